"""The sending side of ``/v1/stream``."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from paglets.core.errors import PagletError, RemoteHostError
from paglets.remote.wire.quiet import quiet_future
from paglets.remote.wire.reports import error_of
from paglets.remote.wire.settings import CHUNK_BYTES, REFUSED_PREFIX

if TYPE_CHECKING:
    from paglets.remote.wire.channel import Channel
    from paglets.remote.wire.peer import Peer


class OutgoingStream:
    """One transfer as it leaves: header, chunks, trailer, then the receiver's verdict.

    Every method raises the receiver's ``PagletError`` as soon as it has refused, and ``RemoteHostError`` when
    the connection is lost or stays stuck. ``trailer_left`` tells whether such an error may be taken as final:
    while it is false, not one byte of the trailer was handed to the transport.
    """

    def __init__(self, channel: Channel, peer: Peer, url: str, stall_timeout: float) -> None:
        self.peer = peer
        """Who receives."""
        self.url = url
        self.trailer_left = False
        """Whether the first byte of the trailer was handed to the transport; set just before that happens."""
        self.idle_since = channel.now()
        self._channel = channel
        self._stall_timeout = stall_timeout
        self._answer: asyncio.Future[bytes] = quiet_future()

    # --- what a sender does --------------------------------------------------------------------------

    async def send_header(self, header: bytes) -> None:
        """Send the header frame (UTF-8 text) and begin a transfer."""
        self._send(header, text=True)
        await self._drain()

    async def send_chunk(self, chunk: bytes | bytearray | memoryview) -> None:
        """Send payload, in frames of at most 256 KiB; waits while the receiver does not keep up."""
        view = memoryview(chunk)
        for start in range(0, len(view), CHUNK_BYTES):
            self._send(view[start : start + CHUNK_BYTES], text=False)
            await self._drain()

    async def send_trailer(self, trailer: bytes) -> None:
        """Send the trailer frame (UTF-8 text).

        When this raises with ``trailer_left`` false, nothing of the trailer has left and never will. With it
        true, the trailer may have reached the receiver, whatever is raised, cancellation included.
        """
        self._require_no_answer()
        if not self._channel.is_open:
            raise self._lost(self._channel.close_reason)
        self.trailer_left = True
        self._send(trailer, text=True)
        await self._drain()

    async def verdict(self, timeout: float | None = None) -> bytes:
        """Wait for the verdict frame, as sent.

        A refusal raises, here too; after the trailer it settles nothing, as it carries no signature.
        """
        try:
            async with asyncio.timeout(timeout):
                return await asyncio.shield(self._answer)
        except TimeoutError:
            raise RemoteHostError(f"the host at {self.url} gave no verdict in time") from None

    @property
    def is_reusable(self) -> bool:
        """Whether the transfer ended with a verdict and the connection can take another."""
        answered = self._answer.done() and self._answer.exception() is None
        return self._channel.is_open and self.trailer_left and answered

    @property
    def is_open(self) -> bool:
        """Whether the connection stands."""
        return self._channel.is_open

    def renew(self) -> OutgoingStream:
        """Make ready for the next transfer on the same connection."""
        self.trailer_left = False
        self._answer = quiet_future()
        return self

    def rest(self) -> None:
        """Note that the connection is put aside."""
        self.idle_since = self._channel.now()

    def close(self) -> None:
        """End the connection politely."""
        self._channel.close(1000, "")

    def discard(self) -> None:
        """Cut the connection: what was sent of a transfer is void unless its trailer has left."""
        self._channel.abort("the transfer was given up")

    def doubt(self, patience: float) -> None:
        """Cut the connection unless the other side shows a sign of life within ``patience`` seconds."""
        self._channel.doubt(patience)

    @property
    def local_address(self) -> str:
        """This end's IP address; empty for a Unix socket."""
        return self._channel.local_address

    async def wait_closed(self) -> None:
        """Wait until the connection is gone."""
        await self._channel.wait_closed()

    # --- Receiver ------------------------------------------------------------------------------------

    def message_received(self, data: bytes, *, text: bool) -> None:
        """The receiver's verdict or refusal."""
        if self._answer.done():
            self._channel.close(1008, "one answer for each transfer")
        elif data.startswith(REFUSED_PREFIX):
            self._answer.set_exception(self._refusal(data))
        elif not text:
            self._answer.set_exception(RemoteHostError(f"the host at {self.url} sent no verdict but bytes"))
        elif not self.trailer_left:
            self._answer.set_exception(RemoteHostError(f"the host at {self.url} gave a verdict too early"))
        else:
            self._answer.set_result(data)

    def writable(self) -> None:
        """The sender waits for this by itself."""

    def connection_closed(self, reason: str) -> None:
        """The receiver is gone."""
        if not self._answer.done():
            self._answer.set_exception(self._lost(reason))

    # --- inside --------------------------------------------------------------------------------------

    def _send(self, data: bytes | memoryview, *, text: bool) -> None:
        self._require_no_answer()
        try:
            if text:
                self._channel.send_text(bytes(data))
            else:
                self._channel.send_binary(data)
        except OSError as error:
            raise self._lost(str(error)) from None

    async def _drain(self) -> None:
        """Give way to what arrives, a refusal for example, and wait while too much output is under way."""
        if not self._channel.stuck:
            await asyncio.sleep(0)
        else:
            try:
                async with asyncio.timeout(self._stall_timeout):
                    await self._channel.drain()
            except TimeoutError:
                raise RemoteHostError(f"the host at {self.url} takes no more data") from None
            except OSError as error:
                self._require_no_answer()
                raise self._lost(str(error)) from None
            self._require_no_answer()

    def _require_no_answer(self) -> None:
        if self._answer.done():
            error = self._answer.exception()
            raise (
                error if error is not None else RemoteHostError(f"the transfer to {self.url} has its verdict")
            )

    def _refusal(self, data: bytes) -> PagletError:
        try:
            return error_of(data[len(REFUSED_PREFIX) : -1])
        except ValueError:
            return RemoteHostError(f"the host at {self.url} refused the transfer and did not say why")

    def _lost(self, reason: str) -> RemoteHostError:
        return RemoteHostError(f"the stream to the host at {self.url} broke off: {reason}")
