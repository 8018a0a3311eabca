"""For hosts that neither advertise nor browse: their own addresses are followed all the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.discovery.network import NetworkWatch

if TYPE_CHECKING:
    from collections.abc import Callable

    from paglets.remote.discovery import AddressHint, Advertisement
    from paglets.runtime.bind_addresses import NetworkState


class AddressWatch:
    """A ``Discovery`` that finds nobody; ``on_network_change`` is called on the loop when addresses changed."""

    def __init__(self, *, on_network_change: Callable[[], None]) -> None:
        self._on_network_change = on_network_change
        self._watch: NetworkWatch | None = None

    async def start(self, advertisement: Advertisement, on_hint: Callable[[AddressHint], None]) -> None:
        """Begin to watch."""
        del advertisement, on_hint  # nobody is told, and nobody is found
        self._watch = NetworkWatch(self._changed)
        await self._watch.start()

    async def update(self, advertisement: Advertisement) -> None:
        """Nobody is told."""

    async def stop(self) -> None:
        """End the watch."""
        watch, self._watch = self._watch, None
        if watch is not None:
            await watch.stop()

    def _changed(self, _state: NetworkState) -> None:
        self._on_network_change()
