"""A control link that says whatever a test wants it to."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import msgspec

from paglets.remote.wire.dialer import Dialer
from paglets.remote.wire.settings import CONTROL_PATH
from paglets.remote.wire.strangers import Strangers, ignore_security

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from paglets.remote.wire.channel import Channel
    from paglets.remote.wire.peer import Peer, Trust
    from tests.wire.site import Rig

BOUND = 5.0


class RawLink:
    """Frames out as they are, frames in as JSON."""

    def __init__(self, channel: Channel, peer: Peer, url: str) -> None:
        self.channel = channel
        self.arrived: asyncio.Queue[bytes] = asyncio.Queue()
        """Frames that nobody has looked at yet."""
        self._closed: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    @classmethod
    @asynccontextmanager
    async def open(cls, rig: Rig, trust: Trust, path: str = CONTROL_PATH) -> AsyncGenerator[RawLink]:
        dialer = Dialer(trust, Strangers(ignore_security), rig.settings)
        link = await dialer.open(rig.address, path, 64 * 1024 * 1024, cls)
        try:
            yield link
        finally:
            link.discard()
            await link.channel.wait_closed()

    def send(self, frame: bytes) -> None:
        self.channel.send_text(frame)

    async def next(self) -> dict[str, Any]:
        """The next frame; ``ConnectionError`` with the reason when the other side has closed before it came."""
        arriving = asyncio.ensure_future(self.arrived.get())
        try:
            async with asyncio.timeout(BOUND):
                await asyncio.wait((arriving, self._closed), return_when=asyncio.FIRST_COMPLETED)
        except BaseException:
            arriving.cancel()
            raise
        if arriving.done():
            return msgspec.json.decode(arriving.result())
        arriving.cancel()
        raise ConnectionError(f"the other side has closed: {self._closed.result()}")

    async def ask(self, frame: bytes) -> dict[str, Any]:
        self.send(frame)
        return await self.next()

    async def closed(self, within: float = BOUND) -> str:
        async with asyncio.timeout(within):
            return await asyncio.shield(self._closed)

    def stop_reading(self) -> None:
        self.channel.hold_reading()

    # --- Dialled -------------------------------------------------------------------------------------

    def message_received(self, data: bytes, *, text: bool) -> None:
        self.arrived.put_nowait(data)

    def writable(self) -> None:
        pass

    def connection_closed(self, reason: str) -> None:
        self._closed.set_result(reason)

    def discard(self) -> None:
        self.channel.abort()
