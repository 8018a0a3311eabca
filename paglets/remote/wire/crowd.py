"""The connections that came in: how many, whose, and the wait for them to go."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from paglets.core.fair_share import FairShare
from paglets.remote.wire.peer import PeerKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from paglets.remote.wire.channel import Channel
    from paglets.remote.wire.peer import Peer
    from paglets.remote.wire.settings import WireSettings


class Crowd:
    """Every opened connection of a host, bounded in all and for each peer."""

    def __init__(self, settings: WireSettings) -> None:
        self._channels: dict[Channel, str] = {}
        self._most_of_one = settings.max_connections_per_peer
        self.share = FairShare("connections", settings.max_connections, each=self._most_of_one)

    def __len__(self) -> int:
        return len(self._channels)

    def __iter__(self) -> Iterator[Channel]:
        return iter(tuple(self._channels))

    @property
    def unsent(self) -> int:
        """Bytes of output that all of them have not taken yet, about."""
        return sum(channel.unsent for channel in self._channels)

    def join(self, channel: Channel, peer: Peer | None) -> bool:
        """Count a connection until it closes; false, and uncounted, when its peer or the host has enough."""
        key = "" if peer is None else peer.share_key
        if peer is not None and peer.kind is PeerKind.LOCAL and self.share.held(key) < self._most_of_one:
            self.share.add(key)  # whoever wants to see why the host is full gets in
        elif not self.share.take(key):
            return False
        self._channels[channel] = key
        channel.when_closed(lambda: self._left(channel, key))
        return True

    def _left(self, channel: Channel, key: str) -> None:
        del self._channels[channel]
        self.share.give_back(key)

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
