"""The calling side of ``/v1/stream`` where both sides speak: artifacts and files, to and fro."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from paglets.core.errors import RemoteHostError
from paglets.remote.wire.reports import error_of
from paglets.remote.wire.settings import CHUNK_BYTES, REFUSED_PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable

    from paglets.remote.wire.channel import Channel
    from paglets.remote.wire.peer import Peer

_QUEUE_HIGH = 4  # frames that wait for the reader before reading stops


class BulkStream:
    """Frames to and from one host, in order. What the other side refuses is raised as its ``PagletError``.

    ``RemoteHostError`` when the connection is lost, or the other side takes nothing, or says nothing, for
    ``stall_timeout`` seconds.
    """

    def __init__(self, channel: Channel, peer: Peer, url: str, stall_timeout: float) -> None:
        self.peer = peer
        """Who is at the other end."""
        self.url = url
        self._channel = channel
        self._stall_timeout = stall_timeout
        self._queue: deque[tuple[bool, bytes]] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._holding = False
        self._lost = ""

    async def send_text(self, data: bytes) -> None:
        """Send a header, a trailer or a verdict."""
        await self._send(data, text=True)

    async def send_chunk(self, chunk: bytes | memoryview) -> None:
        """Send payload, in frames of at most 256 KiB; waits while the other side does not keep up."""
        view = memoryview(chunk)
        for start in range(0, len(view), CHUNK_BYTES):
            await self._send(view[start : start + CHUNK_BYTES], text=False)

    async def next(self) -> tuple[bool, bytes]:
        """The next frame: whether it is text, and what it holds."""
        while not self._queue:
            if self._lost:
                raise RemoteHostError(f"the stream to the host at {self.url} broke off: {self._lost}")
            await self._wait()
        text, data = self._queue.popleft()
        if self._holding and not self._queue:
            self._holding = False
            self._channel.release_reading()
        if text and data.startswith(REFUSED_PREFIX):
            self._refused(data)
        return text, data

    async def next_text(self) -> bytes:
        """The next frame, which has to be text."""
        text, data = await self.next()
        if not text:
            raise RemoteHostError(f"the host at {self.url} sent bytes where it had to say something")
        return data

    async def _wait(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(self._stall_timeout):
                await self._waiter
        except TimeoutError:
            raise RemoteHostError(f"the host at {self.url} went silent") from None
        finally:
            self._waiter = None

    async def _send(self, data: bytes | memoryview, *, text: bool) -> None:
        try:
            if text:
                self._channel.send_text(bytes(data))
            else:
                self._channel.send_binary(data)
            if self._channel.stuck:
                async with asyncio.timeout(self._stall_timeout):
                    await self._channel.drain()
            else:
                await asyncio.sleep(0)  # give way to what arrives, a refusal for example
        except TimeoutError:
            raise RemoteHostError(f"the host at {self.url} takes no more data") from None
        except OSError as error:
            self._look_for_refusal()
            raise RemoteHostError(f"the stream to the host at {self.url} broke off: {error}") from None
        self._look_for_refusal()

    def _look_for_refusal(self) -> None:
        if self._queue and self._queue[0][0] and self._queue[0][1].startswith(REFUSED_PREFIX):
            self._refused(self._queue.popleft()[1])

    def _refused(self, data: bytes) -> None:
        try:
            error = error_of(data[len(REFUSED_PREFIX) : -1])
        except ValueError:
            error = RemoteHostError(f"the host at {self.url} refused, and did not say why")
        raise error

    # --- Receiver ------------------------------------------------------------------------------------

    def message_received(self, data: bytes, *, text: bool) -> None:
        """Keep a frame, and stop reading when the reader lags behind."""
        self._queue.append((text, data))
        if len(self._queue) >= _QUEUE_HIGH and not self._holding:
            self._holding = True
            self._channel.hold_reading()
        self._wake()

    def writable(self) -> None:
        """The sender waits for this by itself."""

    def connection_closed(self, reason: str) -> None:
        """The other side is gone."""
        self._lost = reason or "the connection was closed"
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # --- its life ------------------------------------------------------------------------------------

    def close(self) -> None:
        """End the connection politely."""
        self._channel.close(1000, "")

    def discard(self) -> None:
        """Cut the connection."""
        self._channel.abort("the transfer was given up")

    def doubt(self, patience: float) -> None:
        """Cut the connection unless the other side shows a sign of life within ``patience`` seconds."""
        self._channel.doubt(patience)

    @property
    def local_address(self) -> str:
        """This end's IP address; empty for a Unix socket."""
        return self._channel.local_address

    def when_closed(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` soon after the connection is gone."""
        self._channel.when_closed(callback)

    async def wait_closed(self) -> None:
        """Wait until the connection is gone."""
        await self._channel.wait_closed()
