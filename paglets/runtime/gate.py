"""Whether a host takes paglets in and lets them go on: not while it is drained, or was restored from a copy."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import msgspec

from paglets.core.errors import HostError, LifecycleError
from paglets.persistence.journal.peers import is_restored

if TYPE_CHECKING:
    from collections.abc import Callable

    from paglets.persistence.store import Store
    from paglets.persistence.transaction import JournalTransaction

_KEY = "drain"
DRAINING = "draining"
"""The property by which the mesh sees that a host is drained."""
RESTORED = "restored"
"""The same for a host that is held."""


class DrainOrder(msgspec.Struct, frozen=True):
    """An operator's order to drain the host."""

    to: tuple[str, ...] = ()
    """Ids of the hosts that may be moved to; none: all."""
    since: float = 0.0
    """Wall clock, for people."""


class Gate:
    """Lets paglets in, by arrival or creation, unless the host is being drained or was restored.

    A restored host does not wake or move what it has either, until its operator has accepted the copy.
    The order to drain is durable before it counts, so that a host that restarts in the middle of its maintenance
    does not fill up again; only ``open`` takes it back. Resident services are the host's own, and not asked about.
    """

    def __init__(self, store: Store, name: str, host_id: str) -> None:
        self._store = store
        self._name = name
        self.order = _read(store)
        """What the host is drained by; None while it takes paglets in."""

        self.held = ""
        """Why nothing goes on here: the store is a restored copy that nobody has accepted yet; else empty."""
        if store.read_sync(lambda tx: is_restored(cast("JournalTransaction", tx), host_id)):
            self.held = _restored(
                "it was put back from a backup, or another host has seen it further than it is"
            )
        self.read_only = str(store.failed) if store.failed is not None else ""
        """Why nothing changes here at all: the store was opened on a disk that cannot be written; else empty."""
        self.on_held: Callable[[], None] = _nothing
        """Told when the host is held while it runs."""

    def hold(self, why: str) -> None:
        """The store turns out to be a copy of an earlier time: nothing goes on here from now on."""
        self.held = _restored(why)
        self.on_held()

    def refusal(self) -> str:
        """Why nothing is let in; empty when it is."""
        if self.read_only:
            return f"host {self._name} can only be looked at: {self.read_only}"
        if self.held:
            return f"host {self._name} takes no paglets: {self.held}"
        if self.order is None:
            return ""
        return (
            f"host {self._name} is being drained and takes no paglets; choose another host, or end that with "
            f"`paglets drain {self._name} --undo`"
        )

    def check(self) -> None:
        """``HostError`` when nothing is let in."""
        if reason := self.refusal():
            raise HostError(reason)

    def check_held(self) -> None:
        """``LifecycleError`` when what is here has to stay parked here."""
        if self.read_only:
            raise LifecycleError(f"host {self._name} can only be looked at: {self.read_only}")
        if self.held:
            raise LifecycleError(f"paglets of host {self._name} stay parked: {self.held}")

    async def shut(self, order: DrainOrder) -> None:
        """Let nothing in from now on, until ``open``."""
        await self._store.commit(
            lambda tx: tx.meta_put(_KEY, msgspec.json.encode(order)), then=lambda _: self._ordered(order)
        )

    async def open(self) -> None:
        """Let paglets in again; no harm when it does."""
        if self.order is not None:
            await self._store.commit(lambda tx: tx.meta_delete(_KEY), then=lambda _: self._ordered(None))

    def _ordered(self, order: DrainOrder | None) -> None:
        self.order = order


def _nothing() -> None:
    """Nobody listens."""


def _restored(why: str) -> str:
    """Why a host is held, and what to do."""
    return f"the store is a restored copy ({why}); `paglets restore --accept` sets its paglets going again"


def _read(store: Store) -> DrainOrder | None:
    kept = store.read_sync(lambda tx: tx.meta_get(_KEY))
    if kept is None:
        return None
    try:
        return msgspec.json.decode(kept, type=DrainOrder)
    except msgspec.MsgspecError:
        return DrainOrder()  # of another release: that it is shut is what matters
