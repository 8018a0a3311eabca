"""Waiting for the hook that a moved paglet's new life begins with, here or at another host."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from paglets.core.errors import LifecycleError
from paglets.persistence.records import HookKind, Phase
from paglets.remote import api
from paglets.remote.wire.failures import HostAwayError

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from paglets.core.incarnation import Incarnation
    from paglets.runtime.caller import Caller
    from paglets.runtime.here import Here
    from paglets.runtime.hook_waits import HookWaits
    from paglets.runtime.peers import Peers, Target
    from paglets.runtime.residents import Resident, Residents

_PATIENCE = 0.5
"""Seconds that the hook is given even when the ticket's time is used up."""


class FirstHooks:
    """Asks how the first hook of a life ended: for the mover here, and for movers at other hosts."""

    def __init__(self, *, residents: Residents, peers: Peers, waits: HookWaits, here: Here) -> None:
        self._residents = residents
        self._peers = peers
        self._waits = waits
        self._here = here

    async def returned(
        self, agent_id: str, target: Target, incarnation: Incarnation, caller: Caller, deadline: float
    ) -> None:
        """Wait until the hook has returned at the target, until ``deadline`` (the loop's clock) at the longest.

        ``LifecycleError`` with what the hook raised, or when the target would not say. A target that went
        away, or is slow, is not waited for: the paglet has moved, whatever its hook does.
        """
        left = max(_PATIENCE, deadline - asyncio.get_running_loop().time())
        params = api.ArrivalParams(agent_id=agent_id, incarnation=incarnation, timeout=left)
        if target.host_id == self._here.host_id:
            answer = asyncio.ensure_future(self.returned_here(params))
        else:
            call = self._peers.ask(
                target.host_id, target.url, api.PAGLETS_ARRIVAL, params, timeout=left + _PATIENCE
            )
            answer = asyncio.ensure_future(heard(call))
        waiter = caller.agent_id if caller.agent_id != agent_id else None
        with self._waits.wait(waiter=waiter, moved=agent_id) as released:
            release = asyncio.ensure_future(released.wait())
            try:
                await asyncio.wait({answer, release}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                release.cancel()
                if not answer.done():
                    answer.cancel()
        if answer.done() and not answer.cancelled() and (error := answer.exception()) is not None:
            raise LifecycleError(f"paglet {agent_id} moved to {target}, but: {error}") from error

    async def returned_here(self, params: api.ArrivalParams) -> None:
        """Wait until the first hook of that life has returned here; ``LifecycleError`` with what it raised.

        A later life that begins with it again, because it did not return before the process or the host ended,
        is waited for in its place.
        """
        resident = self._residents.get(params.agent_id)
        if resident is None or resident.record.phase is Phase.INACTIVE:
            return  # parked on arrival, and on its way again perhaps
        if not _begins_with_it(resident, params.incarnation):
            return  # on its way again
        with suppress(TimeoutError):
            async with asyncio.timeout(params.timeout):
                await asyncio.shield(resident.settled)


def _begins_with_it(resident: Resident, asked: Incarnation) -> bool:
    life, begins = resident.incarnation, resident.begins
    if life == asked:
        return True
    again = begins is not None and begins.kind in {HookKind.ARRIVAL, HookKind.CLONE}
    return again and life.lineage == asked.lineage and life > asked


async def heard(call: Awaitable[Any]) -> None:
    """Wait for an answer that need not come: only a host that is away is passed over, what it says counts."""
    with suppress(HostAwayError):
        await call
