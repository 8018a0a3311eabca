"""One WebSocket connection: the thin asyncio shell around the protocol of ``websockets``.

Frames are handed to a receiver from within ``data_received`` and written at once: a call costs no task and no
extra turn of the loop. What is read is bounded by the protocol's ``max_size``. A server stops reading while
its own output is stuck, so that a peer that asks but does not listen is not served, and fills no memory.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING, Protocol, cast

from websockets.frames import BINARY, CONT, TEXT, CloseCode, Frame
from websockets.protocol import CLIENT, CONNECTING, OPEN, SERVER

from paglets.core.cork import cork_of
from paglets.remote.wire.large_frames import LARGE, LargeFrames, LargeFramesReading, large_frame

if TYPE_CHECKING:
    from collections.abc import Callable

    from websockets.client import ClientProtocol
    from websockets.http11 import Request, Response
    from websockets.server import ServerProtocol

    from paglets.remote.wire.settings import WireSettings

_MAX_FRAGMENTS = 1024
_MAX_REASON_BYTES = 120

websocket_logger = logging.getLogger("paglets.remote.wire.websocket")
websocket_logger.setLevel(logging.WARNING)  # it announces every single connection at INFO


class Receiver(Protocol):
    """Who gets what arrives. Called on the loop, one call at a time; must not block and must not raise."""

    def message_received(self, data: bytes, *, text: bool) -> None:
        """One whole message."""
        ...

    def writable(self) -> None:
        """Output that was stuck has moved on."""
        ...

    def connection_closed(self, reason: str) -> None:
        """The connection is gone; called once."""
        ...


class Opener(Protocol):
    """Who decides about the HTTP message that opens a connection."""

    def opened(self, channel: Channel, message: Request | Response) -> None:
        """The peer's request (server side) or response (client side) is here."""
        ...

    def failed(self, error: Exception | None) -> None:
        """The connection ended, or turned out not to be HTTP, before that."""
        ...


class Channel(asyncio.Protocol):
    """A connection, from the first byte of HTTP to the last of WebSocket."""

    def __init__(
        self, protocol: ServerProtocol | ClientProtocol, opener: Opener, settings: WireSettings
    ) -> None:
        self.protocol = protocol
        self.transport: asyncio.Transport = cast("asyncio.Transport", None)
        self._opener: Opener | None = opener
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._cork = cork_of(self._loop)
        self._receiver: Receiver | None = None
        self._fragments: list[bytes] = []
        self._fragments_text = False
        self._head: bytearray | None = bytearray()  # of HTTP, as far as it is here; None once it was whole
        self._large: LargeFrames | None = None
        self.was_flooded = False
        """Whether it was cut for a flood of small frames."""
        self._write_paused = False
        self._read_holds = 0
        self._drain_waiters: deque[asyncio.Future[None]] = deque()
        self._last_seen = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self._pinged = False
        self._closing = False
        self._cutting = False
        self._connected = False
        self._closed: asyncio.Future[None] = self._loop.create_future()
        self._reason = ""

    # --- what the owner does -------------------------------------------------------------------------

    def attach(self, receiver: Receiver, *, max_size: int, bulk: bool = False) -> None:
        """Give the messages to ``receiver``, none larger than ``max_size``, and watch for signs of life.

        To be called from ``Opener.opened``, so that no message can have come before. ``bulk``: many of them will be
        large, and binary.
        """
        self.protocol.max_message_size = max_size
        if bulk:
            self._large = LargeFrames(masked=self.protocol.side is SERVER, max_size=max_size)
            self.transport.set_protocol(LargeFramesReading(self, self._large, self.transport))
        self._receiver = receiver
        self._opener = None
        self._watch(self._settings.ping_interval)

    def send_text(self, data: bytes) -> None:
        """Hand a text message to the transport, now or soon. ``ConnectionError`` when the connection is not open."""
        self._require_open()
        self.protocol.send_text(data)
        if not self._cork.hold(len(data), self._flush):
            self._flush()

    def send_binary(self, data: bytes | bytearray | memoryview) -> None:
        """Hand a binary message to the transport, now. ``ConnectionError`` when it is not open."""
        self._require_open()
        if len(data) < LARGE:
            self.protocol.send_binary(data)
            self._flush()
        else:
            self._flush()  # what is held back came first
            self.transport.writelines(large_frame(data, masked=self.protocol.side is CLIENT))

    def now(self) -> float:
        """The loop's clock."""
        return self._loop.time()

    @property
    def stuck(self) -> bool:
        """Whether so much output waits that a writer should ``drain`` before it goes on."""
        return self._write_paused

    @property
    def unsent(self) -> int:
        """Bytes of output that wait to be taken by the other side, about."""
        return self.transport.get_write_buffer_size()

    async def drain(self) -> None:
        """Wait until output moves again. ``ConnectionError`` when the connection is lost meanwhile."""
        if not self._write_paused:
            return
        waiter = self._loop.create_future()
        self._drain_waiters.append(waiter)
        try:
            await waiter
        finally:
            self._drain_waiters.remove(waiter)

    def hold_reading(self) -> None:
        """Read nothing until ``release_reading``; may be nested."""
        self._read_holds += 1
        if self._read_holds == 1 and not self._closing and not self._closed.done():
            self.transport.pause_reading()

    def release_reading(self) -> None:
        """Undo one ``hold_reading``."""
        self._read_holds -= 1
        if self._read_holds == 0 and not self._closing and not self._closed.done():
            self._last_seen = self._loop.time()
            self.transport.resume_reading()

    def close(self, code: int = CloseCode.NORMAL_CLOSURE, reason: str = "") -> None:
        """Start the closing handshake; the connection is cut when it takes longer than the close timeout.

        Messages that still arrive are read and dropped: closing with unread bytes would reset the connection,
        and take from the peer what was sent to it last.
        """
        if self._closed.done() or self._closing:
            return
        self._closing = True
        self._reason = self._reason or reason
        if self._read_holds:
            self.transport.resume_reading()
        if self.protocol.state is OPEN:
            self.protocol.send_close(code, reason.encode()[:_MAX_REASON_BYTES].decode(errors="ignore"))
            self._flush()
        elif self.protocol.state is CONNECTING:
            self.transport.close()
        self._cut_later(self._settings.close_timeout)

    def abort(self, reason: str = "") -> None:
        """Cut the connection, now."""
        self._reason = self._reason or reason
        self.transport.abort()

    def doubt(self, patience: float) -> None:
        """Ask for a sign of life now, and cut the connection when none comes within ``patience`` seconds."""
        if self.is_open:
            self.protocol.send_ping(b"")
            self._flush()
            self._loop.call_later(patience, self._judge, self._loop.time())

    def _judge(self, asked_at: float) -> None:
        if self._last_seen < asked_at and not self._read_holds and not self._closed.done():
            self.abort("the connection went silent")

    @property
    def local_address(self) -> str:
        """This end's IP address; empty for a Unix socket."""
        name = cast("tuple[str, ...] | str", self.transport.get_extra_info("sockname"))
        return name[0].partition("%")[0] if isinstance(name, tuple) else ""

    def send_request(self) -> None:
        """Ask for the WebSocket (calling side)."""
        protocol = cast("ClientProtocol", self.protocol)
        protocol.send_request(protocol.connect())
        self._flush()

    def finish_response(self) -> None:
        """Send the HTTP response that the protocol holds; but for an upgrade, the connection ends with it."""
        self._flush()
        if self.protocol.state is not OPEN:
            self._cut_later(self._settings.read_timeout)

    @property
    def is_open(self) -> bool:
        """Whether messages can be sent."""
        return self.protocol.state is OPEN and not self.transport.is_closing()

    @property
    def is_connected(self) -> bool:
        """Whether there is, or was, a connection at all."""
        return self._connected

    @property
    def is_gone(self) -> bool:
        """Whether the connection has ended."""
        return self._closed.done()

    @property
    def close_reason(self) -> str:
        """Why it ended, for people: what the peer said, or what happened."""
        received = self.protocol.close_rcvd
        if received is not None and received.reason:
            return received.reason
        return self._reason or "the connection was closed"

    async def wait_closed(self) -> None:
        """Wait for the connection to be gone; bounded by the close timeout once ``close`` was called."""
        await asyncio.shield(self._closed)

    def when_closed(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` soon after the connection is gone."""
        self._closed.add_done_callback(lambda _: callback())

    # --- asyncio.Protocol ----------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio, after the TLS handshake."""
        self._connected = True
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=self._settings.write_limit)
        self._last_seen = self._loop.time()

    def data_received(self, data: bytes) -> None:
        """Called by asyncio: parse, and hand on what is whole."""
        self.seen()
        if self._opener is not None:
            self._head_received(data)
        else:
            self._parse(data)

    def seen(self) -> None:
        """The other side has shown a sign of life."""
        self._last_seen = self._loop.time()
        self._pinged = False

    def bytes_received(self, data: bytes) -> None:
        """What else came where large frames may come."""
        self._parse(data)

    def large_received(self, data: bytes) -> None:
        """The payload of a large frame."""
        self._deliver(data, text=False)

    def flooded(self) -> None:
        """More frames came at once than there is a use for where large frames may come."""
        self.was_flooded = True
        self.abort("the other side sent a flood of small frames")

    def _head_received(self, data: bytes) -> None:
        """Parse up to the end of the request, or response; what follows counts once the opener has upgraded."""
        if self._head is None:
            if self.protocol.state is not CONNECTING or self.protocol.side is CLIENT:
                self._parse(data)
            return
        begun = len(self._head)
        self._head += data
        end = self._head.find(b"\r\n\r\n", max(0, begun - 3)) + 4
        if max(end, begun + len(data) if end < 4 else 0) > self._settings.max_request_bytes:
            what = "request" if self.protocol.side is SERVER else "response"
            reason = f"a {what} of more than {self._settings.max_request_bytes} bytes"
            if self._opener is not None:
                self._opener.failed(ValueError(reason))
            self.abort(reason)
        elif end < 4:
            self._parse(data)
        else:
            self._head = None
            self._parse(data[: end - begun])
            self._follows(data[end - begun :])

    def _follows(self, data: bytes) -> None:
        """What came together with the end of the head."""
        if not data:
            return
        if self._large is not None:
            if not self._large.take(data, self.bytes_received, self.large_received):
                self.flooded()
        elif self.protocol.state is not CONNECTING or self.protocol.side is CLIENT:
            self._parse(data)

    def _parse(self, data: bytes) -> None:
        self.protocol.receive_data(data)
        events = self.protocol.events_received()
        self._flush()
        self._cork.work_off(events, self._happened)
        if self.protocol.close_expected():
            self._cut_later(self._settings.close_timeout)

    def _happened(self, event: Frame | Request | Response) -> None:
        if isinstance(event, Frame):
            self._frame_received(event)
        elif self._opener is not None:
            self._opener.opened(self, event)

    def eof_received(self) -> None:
        """Called by asyncio: nothing is left to say to a peer that hung up."""
        self.protocol.receive_eof()
        self._flush()

    def pause_writing(self) -> None:
        """Called by asyncio: the output buffer is full."""
        self._write_paused = True
        if self.protocol.side is SERVER:
            self.hold_reading()

    def resume_writing(self) -> None:
        """Called by asyncio: there is room again, which is a sign of life too."""
        self._write_paused = False
        self._last_seen = self._loop.time()
        if self.protocol.side is SERVER:
            self.release_reading()
        for waiter in self._drain_waiters:
            if not waiter.done():
                waiter.set_result(None)
        if self._receiver is not None:
            self._receiver.writable()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio: the connection is gone."""
        self.protocol.receive_eof()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._reason:
            error = exc or self.protocol.parser_exc
            self._reason = str(error) if error is not None and str(error) else ""
        self._closed.set_result(None)
        for waiter in self._drain_waiters:
            if not waiter.done():
                waiter.set_exception(ConnectionResetError(self.close_reason))
        if self._receiver is not None:
            self._receiver.connection_closed(self.close_reason)
        elif self._opener is not None:
            self._opener.failed(exc or self.protocol.handshake_exc)

    # --- inside --------------------------------------------------------------------------------------

    def _require_open(self) -> None:
        if self.protocol.state is not OPEN or self.transport.is_closing():
            raise ConnectionResetError(self.close_reason)

    def _flush(self) -> None:
        chunks = self.protocol.data_to_send()
        if len(chunks) > 1 and all(chunks):
            chunks = [b"".join(chunks)]  # one system call, and one record of TLS
        for data in chunks:
            if data:
                self.transport.write(data)
            elif self.transport.can_write_eof():
                self.transport.write_eof()
            else:
                self.transport.close()

    def _frame_received(self, frame: Frame) -> None:
        opcode = frame.opcode
        if opcode is TEXT or opcode is BINARY:
            if frame.fin:
                self._deliver(bytes(frame.data), text=opcode is TEXT)
            else:
                self._fragments = [bytes(frame.data)]
                self._fragments_text = opcode is TEXT
        elif opcode is CONT:
            self._fragments.append(bytes(frame.data))
            if frame.fin:
                fragments, self._fragments = self._fragments, []
                self._deliver(b"".join(fragments), text=self._fragments_text)
            elif len(self._fragments) > _MAX_FRAGMENTS:
                self.close(CloseCode.MESSAGE_TOO_BIG, "too many fragments")

    def _deliver(self, data: bytes, *, text: bool) -> None:
        if self._receiver is not None and not self._closing:
            self._receiver.message_received(data, text=text)

    def _cut_later(self, delay: float) -> None:
        if self._cutting or self._closed.done():
            return
        self._cutting = True
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(delay, self.transport.abort)

    def _watch(self, delay: float) -> None:
        if not self._closed.done() and not self.protocol.close_expected():
            self._timer = self._loop.call_later(delay, self._look)

    def _look(self) -> None:
        silent = self._loop.time() - self._last_seen
        if silent < self._settings.ping_interval or self._read_holds:
            self._watch(max(self._settings.ping_interval - silent, self._settings.ping_interval / 4))
        elif not self._pinged:
            self._pinged = True
            self.protocol.send_ping(b"")
            self._flush()
            self._watch(self._settings.ping_timeout)
        else:
            self.abort("the connection went silent")
