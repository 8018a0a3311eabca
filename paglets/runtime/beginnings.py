"""The first steps of each life of a paglet: its hook, its first checkpoint, its mailbox, ``run()``."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

import msgspec

from paglets.core.errors import LifecycleError, PagletCrashedError, PagletError, SerializationError
from paglets.persistence.journal import lifecycle
from paglets.persistence.journal.conflict import JournalConflict
from paglets.persistence.records import HookKind
from paglets.runtime.child_specs import Departure, DepartureKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from paglets.persistence.records import QueuedRecord
    from paglets.persistence.store import Store
    from paglets.runtime.child_specs import Snapshot
    from paglets.runtime.events import Events
    from paglets.runtime.mailboxes import Mailboxes
    from paglets.runtime.residents import Resident, Residents
    from paglets.runtime.services.class_offers import ClassOffers
    from paglets.runtime.settings import Limits
    from paglets.runtime.states import States
    from paglets.runtime.supervision.supervision import Supervision
    from paglets.runtime.supervisor import Supervisor

logger = logging.getLogger(__name__)

_EVENT_KINDS = {
    HookKind.CREATION: "create",
    HookKind.ARRIVAL: "arrival",
    HookKind.CLONE: "clone",
    HookKind.ACTIVATION: "activate",
}


class Beginnings:
    """Brings a paglet whose record is ACTIVE, and whose child is admitted, to run; a pending hook first."""

    def __init__(
        self,
        *,
        store: Store,
        states: States,
        residents: Residents,
        supervisor: Supervisor,
        mailboxes: Mailboxes,
        offers: ClassOffers,
        events: Events,
        limits: Limits,
        supervision: Supervision,
    ) -> None:
        self._store = store
        self._states = states
        self._residents = residents
        self._supervisor = supervisor
        self._supervision = supervision
        self._mailboxes = mailboxes
        self._offers = offers
        self._events = events
        self._limits = limits

    async def begin(
        self, resident: Resident, waiting: Iterable[QueuedRecord] = (), *, newborn: bool = False
    ) -> None:
        """Run the pending hook, if there is one, make what it left durable, let messages in, start ``run()``.

        ``resident.settled`` resolves with it. When the hook raises, or its process ends, the record keeps the
        hook pending, the process is ended, ``LifecycleError`` is raised, and what follows is for the supervision
        to say. With a ``newborn``, which goes then, the hook's own error is raised. A paglet that moved on from
        within its hook has settled too.
        """
        try:
            await self._begin(resident, waiting, newborn=newborn)
        except BaseException as error:
            if not resident.settled.done():
                failure = error if isinstance(error, Exception) else LifecycleError("its host stopped")
                resident.settled.set_exception(failure)
            raise

    async def _begin(self, resident: Resident, waiting: Iterable[QueuedRecord], *, newborn: bool) -> None:
        pending, begins = resident.record.pending, resident.begins
        if pending is not None:
            event = dict(pending.event)
            init = msgspec.json.encode(event.pop("init", None))
            try:
                async with asyncio.timeout(self._limits.hook_timeout):
                    child = resident.need_child()
                    await child.run_hook(pending.kind, event, init=init)
                    snapshot = await child.begin_departure(Departure(kind=DepartureKind.CHECKPOINT))
                await self._keep(resident, snapshot)
            except JournalConflict:
                pass  # it moved on, or was parked, by its own call in the hook
            except (PagletError, TimeoutError) as error:
                if self._is_current(resident):
                    self._fail(resident, pending.kind, error, newborn=newborn)
        if begins is not None:
            self._events.emit(
                _EVENT_KINDS[begins.kind],
                agent_id=resident.agent_id,
                class_name=resident.record.class_name,
                data={"epoch": resident.incarnation.epoch, **_told(begins.event)},
            )
        if self._is_current(resident):
            self._offers.begun(resident, begins.kind if begins is not None else None)
            waiting = await self._mailboxes.waiting_for(resident, waiting)
        if not resident.settled.done():
            resident.settled.set_result(None)
        if self._is_current(resident):
            self._supervision.recovered(resident)
            self._mailboxes.open(resident, waiting)
            if resident.child is not None:
                resident.child.start_run()
                self._supervisor.attend(resident.child)

    def _is_current(self, resident: Resident) -> bool:
        return self._residents.get(resident.agent_id) is resident

    async def _keep(self, resident: Resident, snapshot: Snapshot) -> None:
        if snapshot.state is None:
            raise SerializationError(f"paglet {resident.agent_id} gave no state")
        with snapshot.state as payload:
            staged = await self._states.stage(payload)
        resident.record = await self._store.commit(
            lambda tx: lifecycle.complete_hook(
                tx, resident.agent_id, resident.incarnation, state=staged.ref, at=time.time()
            ),
            blobs=[staged],
        )

    def _fail(
        self, resident: Resident, kind: HookKind, error: PagletError | TimeoutError, *, newborn: bool
    ) -> None:
        why = (
            str(error)
            if isinstance(error, PagletError)
            else f"it took longer than {self._limits.hook_timeout:g} s"
        )
        reason = f"on_{kind.value} failed: {why}"
        logger.warning("a paglet's first hook failed", extra={"agent_id": resident.agent_id, "error": reason})
        if resident.child is not None:
            self._supervisor.end(resident.child, grace=0)
        if newborn:
            self._mailboxes.fail_waiting(
                resident, PagletCrashedError(f"paglet {resident.agent_id} has failed: {reason}")
            )
            raise error if isinstance(error, PagletError) else LifecycleError(reason) from error
        if not resident.moving:  # otherwise its move brings it back, or has it somewhere else
            self._supervision.not_begun(resident, reason)
            resident.child = None
        raise LifecycleError(f"paglet {resident.agent_id} is here, but {reason}") from error


def _told(event: dict[str, object]) -> dict[str, object]:
    return {key: event[key] for key in ("reason", "source_host_name", "source_agent_id") if key in event}
