"""Making the current state of a paglet the one that a restart comes back to."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from paglets.core.errors import HostError, LifecycleError
from paglets.persistence.journal import lifecycle
from paglets.persistence.journal.conflict import JournalConflict
from paglets.runtime.child_specs import Departure, DepartureKind
from paglets.runtime.patience import within
from paglets.runtime.residents import OPERATION_TIMEOUT
from paglets.runtime.undivided import Undivided, undivided

if TYPE_CHECKING:
    from paglets.persistence.store import Store
    from paglets.runtime.caller import Caller
    from paglets.runtime.events import Events
    from paglets.runtime.here import Here
    from paglets.runtime.residents import Residents
    from paglets.runtime.settings import Limits
    from paglets.runtime.states import States


class Checkpoints:
    """Writes checkpoints when somebody asks for one."""

    def __init__(
        self,
        *,
        store: Store,
        states: States,
        residents: Residents,
        events: Events,
        here: Here,
        limits: Limits,
    ) -> None:
        self._store = store
        self._states = states
        self._residents = residents
        self._events = events
        self._here = here
        self._limits = limits
        self.undivided = Undivided()

    async def aclose(self) -> None:
        """Stop what is under way."""
        await self.undivided.aclose()

    @undivided
    async def write(self, agent_id: str, caller: Caller) -> None:
        """Make a paglet's current state what a restart comes back to; durable when this returns."""
        resident = self._residents.get(agent_id)
        if resident is None:
            raise LifecycleError(f"paglet {agent_id} is not active on host {self._here.name}")
        departure = Departure(
            kind=DepartureKind.CHECKPOINT, call_id=caller.own_call(resident), handler_wait=OPERATION_TIMEOUT
        )
        async with within(
            self._limits.hook_timeout,
            f"paglet {agent_id} did not give its state",
            so="its last checkpoint stays; try again when its handler has returned",
        ):
            snapshot = await resident.need_child().begin_departure(departure)
        if snapshot.state is None:
            raise HostError(f"paglet {agent_id} gave no state")
        with snapshot.state as payload:
            staged = await self._states.stage(payload)
        try:
            resident.record = await self._store.commit(
                lambda tx: lifecycle.checkpoint(
                    tx, agent_id, resident.incarnation, staged.ref, at=time.time()
                ),
                blobs=[staged],
            )
        except JournalConflict as conflict:
            raise LifecycleError(str(conflict)) from None
        self._events.emit("checkpoint", agent_id=agent_id, class_name=resident.record.class_name)
