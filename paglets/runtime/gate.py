"""Whether a host takes paglets in: shut while it is drained for maintenance, and that outlasts a restart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from paglets.core.errors import HostError

if TYPE_CHECKING:
    from paglets.persistence.store import Store

_KEY = "drain"
DRAINING = "draining"
"""The property by which the mesh sees that a host is drained."""


class DrainOrder(msgspec.Struct, frozen=True):
    """An operator's order to drain the host."""

    to: tuple[str, ...] = ()
    """Ids of the hosts that may be moved to; none: all."""
    since: float = 0.0
    """Wall clock, for people."""


class Gate:
    """Lets paglets in, by arrival or creation, unless the host is being drained.

    The order is durable before it counts, so that a host that restarts in the middle of its maintenance
    does not fill up again; only ``open`` takes it back. Resident services are the host's own, and not asked about.
    """

    def __init__(self, store: Store, name: str) -> None:
        self._store = store
        self._name = name
        self.order = _read(store)
        """What the host is drained by; None while it takes paglets in."""

    def refusal(self) -> str:
        """Why nothing is let in; empty when it is."""
        if self.order is None:
            return ""
        return (
            f"host {self._name} is being drained and takes no paglets; choose another host, or end that with "
            f"`paglets drain {self._name} --undo`"
        )

    def check(self) -> None:
        """``HostError`` when nothing is let in."""
        if self.order is not None:
            raise HostError(self.refusal())

    async def shut(self, order: DrainOrder) -> None:
        """Let nothing in from now on, until ``open``."""
        await self._store.commit(lambda tx: tx.meta_put(_KEY, msgspec.json.encode(order)))
        self.order = order

    async def open(self) -> None:
        """Let paglets in again; no harm when it does."""
        if self.order is not None:
            await self._store.commit(lambda tx: tx.meta_delete(_KEY))
            self.order = None


def _read(store: Store) -> DrainOrder | None:
    kept = store.read_sync(lambda tx: tx.meta_get(_KEY))
    if kept is None:
        return None
    try:
        return msgspec.json.decode(kept, type=DrainOrder)
    except msgspec.MsgspecError:
        return DrainOrder()  # of another release: that it is shut is what matters
