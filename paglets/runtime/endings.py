"""Parking paglets, and disposing of them."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from paglets.core.deactivation import DeactivationPolicy
from paglets.core.errors import HostError, InvalidAgentError, LifecycleError, PagletCrashedError
from paglets.persistence.journal import lifecycle
from paglets.persistence.journal.conflict import JournalConflict
from paglets.persistence.journal.queued_dispatch import park_queued
from paglets.persistence.records import Phase
from paglets.runtime.caller import PROGRAM, Caller
from paglets.runtime.child_specs import Departure, DepartureKind
from paglets.runtime.patience import within
from paglets.runtime.residents import OPERATION_TIMEOUT
from paglets.runtime.transfers.movable import message_it_leaves_in
from paglets.runtime.undivided import Undivided, undivided

if TYPE_CHECKING:
    from paglets.core.deactivation import DeactivationRequest
    from paglets.persistence.records import PagletRecord, QueuedDispatch
    from paglets.persistence.store import Store
    from paglets.runtime.checkpoints import Checkpoints
    from paglets.runtime.claims import Claims
    from paglets.runtime.delivery import Delivery
    from paglets.runtime.events import Events
    from paglets.runtime.lifecycle import Lifecycle
    from paglets.runtime.mailboxes import Mailboxes
    from paglets.runtime.memory_files import Payload
    from paglets.runtime.residents import Resident, Residents
    from paglets.runtime.services.class_offers import ClassOffers
    from paglets.runtime.settings import Limits
    from paglets.runtime.states import States
    from paglets.runtime.supervisor import Supervisor
    from paglets.runtime.wakeups import Wakeups
    from paglets.runtime.work_places import WorkPlaces

_DISPOSE_PATIENCE = 5.0


class Endings:
    """Ends the lives of paglets on this host, for a while or for good."""

    def __init__(
        self,
        *,
        store: Store,
        states: States,
        residents: Residents,
        supervisor: Supervisor,
        mailboxes: Mailboxes,
        checkpoints: Checkpoints,
        delivery: Delivery,
        lifecycle: Lifecycle,
        claims: Claims,
        wakeups: Wakeups,
        work_places: WorkPlaces,
        offers: ClassOffers,
        events: Events,
        limits: Limits,
    ) -> None:
        self._store = store
        self._states = states
        self._residents = residents
        self._supervisor = supervisor
        self._mailboxes = mailboxes
        self._checkpoints = checkpoints
        self._delivery = delivery
        self._lifecycle = lifecycle
        self._claims = claims
        self._wakeups = wakeups
        self._work_places = work_places
        self._offers = offers
        self._events = events
        self._limits = limits
        self.undivided = Undivided()

    async def aclose(self) -> None:
        """Stop what is under way; the records say how far it came."""
        await self.undivided.aclose()

    # --- park

    @undivided
    async def deactivate(
        self,
        agent_id: str,
        request: DeactivationRequest,
        caller: Caller = PROGRAM,
        *,
        resume: bool = False,
        timeout: float = OPERATION_TIMEOUT,
    ) -> None:
        """Park an active paglet: hooks, resources, state, one commit; its process ends afterwards.

        Nothing happens to one that is parked already. A hook or resource that fails cancels it. ``timeout``: seconds
        that it has to get ready; what it then gives is written however long the disk takes.
        """
        async with self._claims.take(agent_id, caller, timeout) as resident:
            if resident is None:
                record = await self._lifecycle.record(agent_id)
                if record.phase is not Phase.INACTIVE:
                    raise LifecycleError(
                        f"paglet {agent_id} is {record.phase.value}; it cannot be deactivated"
                    )
                if record.queued is not None:
                    await self._unqueue(record, record.queued, request)
                return
            child = resident.need_child()
            await self._mailboxes.settle(resident)
            await self._checkpoints.catch_up(resident, caller.own_call(resident))
            departure = Departure(
                kind=DepartureKind.DEACTIVATE,
                event={"reason": request.reason, "request": request.to_wire()},
                call_id=caller.own_call(resident),
                handler_wait=timeout,
            )
            async with within(
                min(self._limits.hook_timeout, timeout),
                f"paglet {agent_id} was not ready to be parked",
                so="it goes on; try again when its handler has returned",
                error=LifecycleError,
            ):
                snapshot = await child.begin_departure(departure)
            await self._mailboxes.settle(resident)
            try:
                left_in = message_it_leaves_in(resident, caller)
                await self._park(
                    resident, snapshot.state, snapshot.policy, request, resume=resume, left_in=left_in
                )
            except BaseException:
                await asyncio.shield(child.resume(None))
                raise
            self._offers.parking(resident)
            self._residents.remove(resident)
            self._supervisor.end(child, grace=self._limits.end_grace)
        self._wakeups.note(resident.record)
        self._events.emit(
            "deactivate",
            agent_id=agent_id,
            class_name=resident.record.class_name,
            data={"reason": request.reason, "epoch": resident.incarnation.epoch},
        )
        self._delivery.reroute(resident)

    async def _park(
        self,
        resident: Resident,
        payload: Payload | None,
        policy: dict[str, Any],
        request: DeactivationRequest,
        *,
        resume: bool,
        left_in: str,
    ) -> None:
        if payload is None:
            raise HostError(f"paglet {resident.agent_id} gave no state")
        with payload:
            staged = await self._states.stage(payload)
        resident.record = await self._store.commit(
            lambda tx: lifecycle.deactivate(
                tx,
                resident.agent_id,
                resident.incarnation,
                state=staged.ref,
                policy=policy or DeactivationPolicy().to_wire(),
                request=request.to_wire(),
                at=time.time(),
                resume=resume,
                left_in=left_in,
            ),
            blobs=[staged],
        )

    async def _unqueue(
        self, record: PagletRecord, queued: QueuedDispatch, request: DeactivationRequest
    ) -> None:
        """It shall not be moved any more when its target is back, and stays parked here."""
        policy = (request.policy or DeactivationPolicy()).to_wire()
        if request.policy is None and queued.was is Phase.INACTIVE:
            policy = record.policy  # as it was parked at first
        parked = await self._store.commit(
            lambda tx: park_queued(
                tx,
                record.agent_id,
                record.incarnation,
                queued.key,
                policy=policy,
                request=request.to_wire(),
                at=time.time(),
            )
        )
        self._wakeups.look(parked.agent_id)

    # --- dispose

    @undivided
    async def dispose(self, agent_id: str, caller: Caller = PROGRAM) -> None:
        """End a paglet for good, wherever in its life it is, except on its way to another host.

        ``on_disposing`` and the resources' clean-up run where there is a process; a hook or resource that
        fails cancels it. A paglet that does not come to rest within five seconds is disposed of without.
        """
        try:
            async with self._claims.take(agent_id, caller, _DISPOSE_PATIENCE) as resident:
                await self._dispose(agent_id, resident, caller)
        except LifecycleError:
            resident = self._residents.get(agent_id)
            if resident is None or caller.own_call(resident) is not None or resident.idle.is_set():
                raise
            async with self._residents.claim(agent_id, OPERATION_TIMEOUT):
                await self._bury(resident.record, grace=0)

    async def _dispose(self, agent_id: str, resident: Resident | None, caller: Caller) -> None:
        if resident is None or resident.child is None or resident.crashed:
            await self._bury(resident.record if resident else await self._lifecycle.record(agent_id))
            return
        departure = Departure(
            kind=DepartureKind.DISPOSE, call_id=caller.own_call(resident), handler_wait=_DISPOSE_PATIENCE
        )
        try:
            async with within(
                self._limits.hook_timeout,
                f"paglet {agent_id} was not ready to be disposed of",
                so="it goes on; try again when its handler has returned",
                error=LifecycleError,
            ):
                await resident.child.begin_departure(departure)
        except PagletCrashedError:
            pass  # it has no process any more to be asked
        await self._bury(resident.record)

    async def _bury(self, record: PagletRecord, grace: float | None = None) -> None:
        try:
            disposed = await self._store.commit(
                lambda tx: lifecycle.dispose(tx, record.agent_id, record.incarnation, at=time.time())
            )
        except JournalConflict as conflict:
            raise LifecycleError(str(conflict)) from None
        await self._work_places.clear(record.agent_id, record.incarnation)
        if record.files:
            self._work_places.files.tidy()
        resident = self._residents.get(record.agent_id)
        if resident is not None:
            self._residents.remove(resident)
            if resident.child is not None:
                self._supervisor.end(resident.child, grace=self._limits.end_grace if grace is None else grace)
            gone = InvalidAgentError(
                f"paglet {record.agent_id} was disposed of before it handled the message"
            )
            self._mailboxes.fail_waiting(resident, gone)
        self._residents.left(record.agent_id)
        self._events.emit(
            "dispose",
            agent_id=record.agent_id,
            class_name=record.class_name,
            data={"epoch": record.incarnation.epoch, "unhandled_messages": len(disposed.messages)},
        )
