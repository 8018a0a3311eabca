"""The receiving side of ``/v1/stream``: header, chunks, trailer, and then the handler's verdict.

One transfer at a time on a connection, any number one after the other. Nothing is buffered beyond a few
chunks: when the handler is slow, reading stops, and TCP tells the sender.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING, Protocol

from paglets.core.errors import HostError, PagletError, TransferError
from paglets.core.fair_share import FairShare
from paglets.remote.wire.reports import report_of
from paglets.remote.wire.settings import CHUNK_BYTES, REFUSED_PREFIX
from paglets.remote.wire.strangers import Refusal, Strangers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from paglets.remote.wire.channel import Channel
    from paglets.remote.wire.peer import Peer
    from paglets.remote.wire.settings import WireSettings
    from paglets.remote.wire.tasks import TaskSet

logger = logging.getLogger(__name__)

_QUEUE_HIGH = 4  # frames that wait for the handler before reading stops
_ONE_PEER = 3.0
"""What one peer may have open, as a multiple of what is free: a quarter is always left to others."""


class StreamHandler(Protocol):
    """What a host does with transfers that arrive."""

    async def receive(self, peer: Peer, stream: IncomingStream) -> bytes:
        """Take one transfer and answer the verdict frame (UTF-8 text).

        Iterate over ``stream`` for the chunks, then look at ``stream.trailer``. A ``PagletError`` refuses the
        transfer, at any time: the sender sees it while it still sends. The handler lets go of what it holds
        when it is cancelled, and when the iteration raises ``TransferError``: the sender is gone or sent what
        the wire does not allow.
        """
        ...


class Send(Protocol):
    """Hands a frame to the transport, and waits while too much output is under way."""

    async def __call__(self, data: bytes | memoryview, *, text: bool) -> None:
        """``TransferError`` when the other side is gone, or takes nothing."""
        ...


class IncomingStream:
    """One transfer as it arrives: ``header``, then the chunks by iteration, then ``trailer``."""

    def __init__(
        self,
        header: bytes,
        take: Callable[[], AsyncIterator[bytes]],
        send: Send,
        max_payload: int,
    ) -> None:
        self.header = header
        """The header frame, exactly as sent."""
        self.trailer = b""
        """The trailer frame, exactly as sent; empty until the iteration has ended by itself."""
        self.received = 0
        """Payload bytes so far."""
        self.max_payload = max_payload
        self._take = take
        self._send = send

    async def say(self, data: bytes) -> None:
        """Send a text frame before the verdict. ``TransferError`` when the other side is gone."""
        await self._send(data, text=True)

    async def give(self, data: bytes | memoryview) -> None:
        """Send payload the other way, in frames of at most 256 KiB; waits while the other side does not keep up."""
        view = memoryview(data)
        for start in range(0, len(view), CHUNK_BYTES):
            await self._send(view[start : start + CHUNK_BYTES], text=False)

    def expect(self, size: int) -> None:
        """Payload bytes announced by the header: a sender of more is cut off."""
        self.max_payload = min(self.max_payload, size)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._take()


class StreamServer:
    """Takes stream connections of a host and hands each transfer to the handler."""

    def __init__(
        self, handler: StreamHandler, *, strangers: Strangers, tasks: TaskSet, settings: WireSettings
    ) -> None:
        self.handler = handler
        self.settings = settings
        self.strangers = strangers
        self.share = FairShare("streams", settings.max_streams, share=_ONE_PEER)
        self._tasks = tasks

    def connect(self, channel: Channel, peer: Peer) -> None:
        """Serve an authenticated host on this channel until it goes."""
        connection = StreamConnection(self, channel, peer)
        channel.attach(connection, max_size=max(self.settings.max_header_bytes, CHUNK_BYTES), bulk=True)
        self._tasks.start(connection.run())


class StreamConnection:
    """One peer's stream connection, seen from the host that receives."""

    def __init__(self, server: StreamServer, channel: Channel, peer: Peer) -> None:
        self._server = server
        self._channel = channel
        self._peer = peer
        self._queue: deque[tuple[bool, bytes]] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._holding = False
        self._lost = ""
        self._stream: IncomingStream
        self._loop = asyncio.get_running_loop()

    # --- what arrives --------------------------------------------------------------------------------

    def message_received(self, data: bytes, *, text: bool) -> None:
        """Queue one frame, and stop reading when the handler lags behind."""
        self._queue.append((text, data))
        if len(self._queue) >= _QUEUE_HIGH and not self._holding:
            self._holding = True
            self._channel.hold_reading()
        self._wake()

    def writable(self) -> None:
        """Verdicts are small: nothing waits for this."""

    def connection_closed(self, reason: str) -> None:
        """The sender is gone."""
        self._lost = reason or "the connection was closed"
        if self._channel.was_flooded:
            self._report(reason)
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _next(self) -> tuple[bool, bytes]:
        """The next frame: (text, data). ``TransferError`` when the sender is gone or silent."""
        while not self._queue:
            if self._lost:
                raise TransferError(f"the stream broke off: {self._lost}")
            self._waiter = self._loop.create_future()
            try:
                async with asyncio.timeout(self._server.settings.stream_idle_timeout):
                    await self._waiter
            except TimeoutError:
                raise TransferError("the stream went silent") from None
            finally:
                self._waiter = None
        frame = self._queue.popleft()
        if self._holding and not self._queue:
            self._holding = False
            self._channel.release_reading()
        return frame

    # --- transfers -----------------------------------------------------------------------------------

    async def run(self) -> None:
        """Take transfers until the connection ends or a refused one leaves it in an unknown state."""
        try:
            while await self._transfer():
                pass
        finally:
            self._channel.close(1000, "done")

    async def _transfer(self) -> bool:
        """One transfer; whether the connection can take another."""
        try:
            text, header = await self._next()
        except TransferError:
            return False  # between transfers, either side may go
        if not text or len(header) > self._server.settings.max_header_bytes:
            self._misbehaved("a stream begins with a header frame")
        elif not self._server.share.take(self._peer.share_key):
            share = self._server.share
            own = share.held(self._peer.share_key)
            self._refuse(
                HostError(
                    f"this host takes as many streams as it may, {own} of {share.used} from you; try again"
                )
            )
        else:
            try:
                return await self._take(header)
            finally:
                self._server.share.give_back(self._peer.share_key)
        return False

    async def _take(self, header: bytes) -> bool:
        self._stream = IncomingStream(
            header, self._chunks, self._send, self._server.settings.max_payload_bytes
        )
        try:
            verdict = await self._server.handler.receive(self._peer, self._stream)
        except PagletError as error:
            self._refuse(error)
        except Exception as error:
            logger.exception("a transfer failed", extra={"peer": self._peer.name})
            self._refuse(HostError(f"the transfer failed: {type(error).__name__}: {error}"))
        else:
            if self._channel.is_open:
                self._channel.send_text(verdict)
                return bool(self._stream.trailer)
        return False

    async def _send(self, data: bytes | memoryview, *, text: bool) -> None:
        """Hand a frame to the transport; waits, bounded, while too much output is under way."""
        try:
            if text:
                self._channel.send_text(bytes(data))
            else:
                self._channel.send_binary(data)
            if not self._channel.stuck:
                await asyncio.sleep(0)
                return
            async with asyncio.timeout(self._server.settings.stream_idle_timeout):
                await self._channel.drain()
        except TimeoutError:
            raise TransferError("the other side takes no more data") from None
        except OSError as error:
            raise TransferError(f"the stream broke off: {error}") from None

    async def _chunks(self) -> AsyncIterator[bytes]:
        stream = self._stream
        while True:
            text, data = await self._next()
            if text:
                if len(data) > self._server.settings.max_header_bytes:
                    raise self._misbehaved("the trailer frame is too large")
                stream.trailer = data
                return
            stream.received += len(data)
            if len(data) > CHUNK_BYTES or stream.received > stream.max_payload:
                raise self._misbehaved("the payload is larger than announced or allowed")
            yield data

    def _misbehaved(self, reason: str) -> TransferError:
        self._report(reason)
        error = TransferError(reason)
        self._refuse(error)
        return error

    def _report(self, reason: str) -> None:
        self._server.strangers.refuse(Refusal.BAD_FRAMES, self._peer.address, f"{self._peer.name}: {reason}")

    def _refuse(self, error: PagletError) -> None:
        self._queue.clear()
        if self._channel.is_open:
            self._channel.send_text(REFUSED_PREFIX + report_of(error) + b"}")
            self._channel.close(1008, str(error))
