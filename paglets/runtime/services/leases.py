"""Leases: what keeps services of this host up, and what paglets of this host hold anywhere."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from paglets.core.errors import HostError, PagletError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from paglets.runtime.children.child import Child
    from paglets.runtime.residents import Residents

logger = logging.getLogger(__name__)

MAX_TTL = 24 * 3600.0
MAX_LEASES_ON_ONE = 1_000
MAX_LEASES_HERE = 10_000
MAX_LEASES_OF_ONE = 2_500
"""Of one asker from afar: a host of the mesh with all its paglets, or an admin."""
MAX_LEASES_OF_ONE_ON_ONE = 250
MAX_HELD_BY_ONE = 256


def check_ttl(ttl: float) -> None:
    """``HostError`` for what no lease can last, in seconds."""
    if not 0 < ttl <= MAX_TTL:
        raise HostError(f"a lease lasts more than 0 and up to {MAX_TTL:g} s, not {ttl!r}; renew it instead")


class _Granted(NamedTuple):
    asker: str
    agent_id: str
    expiry: asyncio.TimerHandle


class Leases:
    """The leases on services of this host. Kept in memory, timed by the monotonic clock.

    ``asker``: the key of who asks, empty for this machine. A lease is its asker's, and nobody else's to end.
    """

    def __init__(self, residents: Residents) -> None:
        self.ended: Callable[[str], None] | None = None
        """Hears of each paglet on which a lease has ended; set once, when the host is put together."""
        self._granted: dict[tuple[str, str], _Granted] = {}
        self._on: dict[str, set[tuple[str, str]]] = {}
        self._of: Counter[str] = Counter()
        residents.on_left.append(self._left)

    def holds(self, agent_id: str) -> bool:
        """Whether there is a lease on that paglet."""
        return agent_id in self._on

    def grant(self, lease_id: str, agent_id: str, ttl: float, *, asker: str = "") -> None:
        """Begin a lease, or let it begin anew; ``HostError`` for a bad time, or too many leases."""
        check_ttl(ttl)
        key = (asker, lease_id)
        standing = self._granted.get(key)
        if standing is not None and standing.agent_id != agent_id:
            raise HostError("a lease of that id is on another paglet")
        if standing is None:
            self._check_room(agent_id, asker)
            self._of[asker] += 1
        else:
            standing.expiry.cancel()
        expiry = asyncio.get_running_loop().call_later(ttl, self._end, key)
        self._granted[key] = _Granted(asker, agent_id, expiry)
        self._on.setdefault(agent_id, set()).add(key)

    def _check_room(self, agent_id: str, asker: str) -> None:
        on = self._on.get(agent_id, set())
        if len(self._granted) >= MAX_LEASES_HERE or len(on) >= MAX_LEASES_ON_ONE:
            raise HostError(f"there are as many leases on {agent_id} and its host as there may be")
        own = sum(self._granted[key].asker == asker for key in on)
        if asker and (self._of[asker] >= MAX_LEASES_OF_ONE or own >= MAX_LEASES_OF_ONE_ON_ONE):
            raise HostError(
                f"you hold as many leases on {agent_id} and its host as one asker may; release some first"
            )

    def release(self, lease_id: str, *, asker: str = "") -> None:
        """End a lease of that asker; of one that is over, or another's, nothing happens."""
        self._end((asker, lease_id))

    def _end(self, key: tuple[str, str]) -> None:
        granted = self._granted.pop(key, None)
        if granted is None:
            return
        granted.expiry.cancel()
        self._of[granted.asker] -= 1
        if not self._of[granted.asker]:
            del self._of[granted.asker]
        on = self._on[granted.agent_id]
        on.discard(key)
        if not on:
            del self._on[granted.agent_id]
        if self.ended is not None:
            self.ended(granted.agent_id)

    def _left(self, agent_id: str) -> None:
        for key in list(self._on.get(agent_id, ())):
            self._end(key)

    def close(self) -> None:
        """Stop the clocks."""
        for granted in self._granted.values():
            granted.expiry.cancel()


class HeldLeases:
    """What the paglets of this host hold: released when the life that asked for it is over.

    That is tried once; a host that cannot be reached lets go when the lease's time is up.
    """

    def __init__(self, residents: Residents, release: Callable[[str, str], Awaitable[None]]) -> None:
        self._release = release
        """Ends a lease, given its id and the URL of the host that granted it (empty: this one)."""
        self._held: dict[Child, dict[str, str]] = {}
        self._clocks: dict[str, asyncio.TimerHandle] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False
        residents.on_ended.append(self._ended)

    def begin(self, child: Child, lease_id: str, host_url: str, ttl: float) -> None:
        """A paglet is about to ask for a lease. ``HostError`` when it holds too many."""
        held = self._held.get(child, {})
        if len(held) >= MAX_HELD_BY_ONE:
            raise HostError(f"paglet {child.agent_id} holds {MAX_HELD_BY_ONE} leases; release some first")
        self._held.setdefault(child, {})[lease_id] = host_url
        loop = asyncio.get_running_loop()
        self._clocks[lease_id] = loop.call_later(ttl, self.forget, child, lease_id)

    def holds(self, child: Child, lease_id: str) -> bool:
        """Whether that life still holds it."""
        return lease_id in self._held.get(child, {})

    def forget(self, child: Child, lease_id: str) -> None:
        """It is over."""
        held = self._held.get(child, {})
        held.pop(lease_id, None)
        if not held:
            self._held.pop(child, None)
        clock = self._clocks.pop(lease_id, None)
        if clock is not None:
            clock.cancel()

    def let_go(self, child: Child, lease_id: str, host_url: str) -> None:
        """Release it in the background: nobody waits for that."""
        self.forget(child, lease_id)
        if self._closed:
            return
        task = asyncio.create_task(self._quietly(lease_id, host_url))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _ended(self, child: Child) -> None:
        for lease_id, host_url in list(self._held.get(child, {}).items()):
            self.let_go(child, lease_id, host_url)

    async def _quietly(self, lease_id: str, host_url: str) -> None:
        try:
            await self._release(lease_id, host_url)
        except PagletError as error:
            logger.info(
                "a lease could not be released; it ends when its time is up",
                extra={"host": host_url, "error": str(error)},
            )

    async def aclose(self) -> None:
        """Release no more."""
        self._closed = True
        for clock in self._clocks.values():
            clock.cancel()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
