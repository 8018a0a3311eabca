"""The connections that came in: how many, whose, and the wait for them to go."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from paglets.remote.wire.channel import Channel
    from paglets.remote.wire.peer import Peer
    from paglets.remote.wire.settings import WireSettings


class Crowd:
    """Every opened connection of a host, bounded in all and for each peer."""

    def __init__(self, settings: WireSettings) -> None:
        self._settings = settings
        self._channels: dict[Channel, str] = {}
        self._per_peer: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._channels)

    def join(self, channel: Channel, peer: Peer | None) -> bool:
        """Count a connection until it closes; false, and uncounted, when its peer or the host has enough."""
        key = "" if peer is None else peer.host_id or peer.kind.value
        if (
            len(self._channels) >= self._settings.max_connections
            or self._per_peer[key] >= self._settings.max_connections_per_peer
        ):
            return False
        self._channels[channel] = key
        self._per_peer[key] += 1
        channel.when_closed(lambda: self._left(channel, key))
        return True

    def _left(self, channel: Channel, key: str) -> None:
        del self._channels[channel]
        self._per_peer[key] -= 1
        if not self._per_peer[key]:
            del self._per_peer[key]

    def expel(self, host_id: str, code: int, reason: str) -> None:
        """Ask every connection of one peer to go."""
        for channel, key in self._channels.items():
            if key == host_id:
                channel.close(code, reason)

    async def disperse(self, code: int, reason: str) -> None:
        """Ask all to go and wait for it, no longer than the close timeout."""
        channels = tuple(self._channels)
        for channel in channels:
            channel.close(code, reason)
        if channels:
            await asyncio.wait([asyncio.ensure_future(channel.wait_closed()) for channel in channels])
