"""Dispatch, retract and clone as this host's paglets and their callers ask for them."""

from __future__ import annotations

import asyncio
import dataclasses
import time
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec.structs import replace

from paglets.core.errors import (
    HostError,
    InvalidAgentError,
    LifecycleError,
    PagletError,
    TransferError,
    TransferInDoubtError,
)
from paglets.core.incarnation import Incarnation, Lineage
from paglets.persistence.errors import StoreFailedError
from paglets.persistence.records import MoveKind, PagletRecord, Phase, is_at_work
from paglets.remote import api
from paglets.remote.transfer import TransferTicket
from paglets.runtime.caller import PROGRAM
from paglets.runtime.child_specs import Departure, DepartureKind
from paglets.runtime.outbox import waiting_move
from paglets.runtime.residents import OPERATION_TIMEOUT
from paglets.runtime.transfers.aiming import Aimer
from paglets.runtime.transfers.headers import Headers, clone_event, move_event
from paglets.runtime.transfers.movable import (
    check_movable,
    check_not_resident,
    message_it_leaves_in,
    waits_here,
)
from paglets.runtime.undivided import Undivided, undivided

if TYPE_CHECKING:
    from paglets.persistence.records import QueuedDispatch
    from paglets.runtime.caller import Caller
    from paglets.runtime.claims import Claims
    from paglets.runtime.files.leaving import LeavingFiles, Shipment
    from paglets.runtime.gate import Gate
    from paglets.runtime.here import Here
    from paglets.runtime.lifecycle import Lifecycle
    from paglets.runtime.memory_files import Payload
    from paglets.runtime.peers import Peers, Target
    from paglets.runtime.residents import Resident, Residents
    from paglets.runtime.settings import Limits
    from paglets.runtime.states import States
    from paglets.runtime.transfers.first_hooks import FirstHooks
    from paglets.runtime.transfers.mover import Mover
    from paglets.runtime.transfers.packing import Packing
    from paglets.runtime.transfers.queueing import Queueing
    from paglets.runtime.work_places import WorkPlaces

_DEPARTURES = {MoveKind.DISPATCH: DepartureKind.DISPATCH, MoveKind.RETRACT: DepartureKind.RETRACT}


class Departures:
    """Runs the leaving side of moves and clones: hooks, state, then the transfer, then the arrival's hook."""

    def __init__(
        self,
        *,
        residents: Residents,
        states: States,
        claims: Claims,
        lifecycle: Lifecycle,
        mover: Mover,
        work_places: WorkPlaces,
        peers: Peers,
        first_hooks: FirstHooks,
        files: LeavingFiles,
        here: Here,
        limits: Limits,
        gate: Gate,
        packing: Packing,
        queueing: Queueing,
    ) -> None:
        self._residents = residents
        self._states = states
        self._claims = claims
        self._lifecycle = lifecycle
        self._mover = mover
        self._work_places = work_places
        self._first_hooks = first_hooks
        self._files = files
        self._here = here
        self._limits = limits
        self._gate = gate
        self._packing = packing
        self.queueing = queueing
        self._aimer = Aimer(peers=peers, here=here)
        self._headers = Headers(mover=mover, here=here)
        self.undivided = Undivided()

    # --- dispatch and retract --------------------------------------------------------------------------

    @undivided
    async def dispatch(
        self,
        agent_id: str,
        ticket: TransferTicket,
        caller: Caller,
        *,
        kind: MoveKind = MoveKind.DISPATCH,
        expected: Incarnation | None = None,
    ) -> api.Place:
        """Move a paglet; its new place when the arrival hook has returned there, within the ticket's time.

        ``TransferError``: it did not move, durably, and goes on here. ``TransferInDoubtError``: nobody knows
        yet. ``LifecycleError``: it moved, and its arrival hook raised there; or it could not leave.
        """
        deadline = asyncio.get_running_loop().time() + ticket.timeout
        async with self._claims.take(agent_id, caller, ticket.timeout) as resident:
            record = (
                resident.record if resident is not None else await self._lifecycle.record_at_rest(agent_id)
            )
            check_movable(record, expected)
            self._gate.check_held()
            moved = await self._move_or_queue(record, resident, ticket, caller, kind)
        if moved is None:
            return api.Place(self._here.address, agent_id, queued=True)
        target = moved.target
        waits = resident is not None or (is_at_work(record) and target.host_id != self._here.host_id)
        if waits and not moved.begun:
            if record.files:  # the ticket's time is for the move, however long its files took
                deadline = asyncio.get_running_loop().time() + ticket.timeout
            incarnation = record.incarnation.next()
            await self._first_hooks.returned(agent_id, target, incarnation, caller, deadline)
        return api.Place(target.url, agent_id)

    async def _move_or_queue(
        self,
        record: PagletRecord,
        resident: Resident | None,
        ticket: TransferTicket,
        caller: Caller,
        kind: MoveKind,
    ) -> _Moved | None:
        """Move it; None: it waits in the outbox until the host that the ticket names is back."""
        if ticket.queue and await self.queueing.queued(record, resident, ticket, caller):
            return None
        try:
            if resident is None:
                moved = await self._move_parked(record, ticket, kind)
            else:
                moved = await self._move_active(resident, ticket, caller, kind)
        except TransferInDoubtError:
            raise
        except TransferError:
            # The target may have gone away in the middle; and the paglet's process may have ended meanwhile.
            try:
                if ticket.queue and await self.queueing.queued(record, resident, ticket, caller):
                    return None
            except StoreFailedError:
                raise  # it may wait now, for all that is known
            except PagletError:
                pass
            raise
        if resident is not None or moved.target.host_id != self._here.host_id:
            await self._work_places.clear(record.agent_id, record.incarnation)
        return moved

    @undivided
    async def carry(self, agent_id: str, queued: QueuedDispatch) -> waiting_move.Event:
        """See ``Carrier``: move a paglet of the outbox, if it still waits there under that key."""
        try:
            return await self._carry(agent_id, queued)
        except InvalidAgentError:
            return waiting_move.Gone()
        except TransferInDoubtError as error:
            return waiting_move.InDoubt(str(error))
        except LifecycleError as error:
            return waiting_move.Absent(str(error))  # somebody else is at it, or the host is held
        except PagletError as error:
            away = await self.queueing.absent(queued)
            return waiting_move.Absent(away) if away else waiting_move.Refused(str(error))

    async def _carry(self, agent_id: str, queued: QueuedDispatch) -> waiting_move.Event:
        async with self._claims.take(agent_id, PROGRAM, OPERATION_TIMEOUT) as resident:
            record = await self._lifecycle.record(agent_id)
            if record.queued is None or record.queued.key != queued.key:
                return waiting_move.Gone()
            if resident is not None or record.phase is not Phase.INACTIVE:
                return waiting_move.Absent("it is being moved elsewhere")
            self._gate.check_held()
            ticket = TransferTicket.from_wire({**queued.ticket, "queue": False})
            if queued.target_id:
                ticket = dataclasses.replace(ticket, destination=queued.target_url)
            await self._move_parked(
                record, ticket, MoveKind.DISPATCH, host_id=queued.target_id, queue_key=queued.key
            )
            await self._work_places.clear(agent_id, record.incarnation)
        return waiting_move.Gone()

    async def _move_active(
        self, resident: Resident, ticket: TransferTicket, caller: Caller, kind: MoveKind
    ) -> _Moved:
        child = resident.need_child()
        call_id = caller.own_call(resident)
        aim = await self._aimer.aim(ticket)
        if aim.target is None and call_id is None:
            raise aim.error or TransferError("there is no such host")
        event = move_event(self._here, aim.target, ticket, kind)
        departure = Departure(
            kind=_DEPARTURES[kind], event=event, call_id=call_id, handler_wait=ticket.timeout
        )
        snapshot = await self._packing.pack(resident, departure)
        payload = snapshot.state
        if aim.target is None or payload is None:
            if payload is not None:
                payload.close()
            await self._packing.stay(child, event)
            raise aim.error or HostError(f"paglet {resident.agent_id} gave no state")
        if aim.target.host_id == self._here.host_id:
            await self._move_here(resident, payload, event, message_it_leaves_in(resident, caller))
            return _Moved(aim.target)
        try:
            shipment = await self._ship(resident.record, aim.target)
            header = await self._headers.header(
                resident.record, aim.target, ticket, kind, payload, event=event, shipment=shipment
            )
            move = self._mover.begin(
                resident.record,
                aim.target,
                header,
                payload,
                timeout=ticket.timeout,
                resident=resident,
                left_in=message_it_leaves_in(resident, caller),
                files=shipment.files if shipment else None,
            )
        except BaseException as error:
            payload.close()
            await asyncio.shield(self._packing.stay(child, event))
            if isinstance(error, PagletError):
                raise TransferError(f"paglet {resident.agent_id} did not move: {error}") from error
            raise
        try:
            await asyncio.shield(move.result)
        except TransferInDoubtError:
            if call_id is not None:
                # It must not return into the paglet: what it did next, it might do beside its own successor.
                await child.wait_ended()
            raise
        return _Moved(aim.target, move.begun)

    async def _move_here(
        self, resident: Resident, payload: Payload, event: dict[str, Any], left_in: str
    ) -> None:
        try:
            with payload, self._packing.place_for_copies() as place:
                files = await self._files.copy_here(resident.record, place)
                await self._lifecycle.move_here(resident, payload, event, files, left_in=left_in)
        except PagletError as error:
            await self._packing.stay(resident.need_child(), event)
            raise TransferError(f"paglet {resident.agent_id} did not move: {error}") from error

    async def _move_parked(
        self,
        record: PagletRecord,
        ticket: TransferTicket,
        kind: MoveKind,
        *,
        host_id: str = "",
        queue_key: str | None = None,
    ) -> _Moved:
        aim = await self._aimer.aim(ticket, host_id)
        if aim.target is None:
            raise aim.error or TransferError("there is no such host")
        if aim.target.host_id == self._here.host_id:
            if record.queued is not None:
                raise TransferError(waits_here(record.agent_id, record.queued))
            return _Moved(aim.target)
        if record.state is None:
            raise HostError(f"paglet {record.agent_id} has no stored state")
        payload = await self._states.load(record.state)
        resident = self._residents.add(record)
        try:
            shipment = await self._ship(record, aim.target)
            header = await self._headers.header(
                record,
                aim.target,
                ticket,
                kind,
                payload,
                event=move_event(self._here, aim.target, ticket, kind) if is_at_work(record) else None,
                parked=not is_at_work(record),
                shipment=shipment,
            )
            move = self._mover.begin(
                record,
                aim.target,
                header,
                payload,
                timeout=ticket.timeout,
                resident=resident,
                files=shipment.files if shipment else None,
                queue_key=queue_key,
            )
        except BaseException:
            payload.close()
            self._residents.remove(resident)
            raise
        await asyncio.shield(move.result)
        return _Moved(aim.target, move.begun)

    # --- clone -----------------------------------------------------------------------------------------

    @undivided
    async def clone(self, agent_id: str, ticket: TransferTicket | None, caller: Caller) -> api.Place:
        """Make a copy with an id of its own, here or at the ticket's host; the original goes on whatever happens."""
        timeout = ticket.timeout if ticket else self._limits.hook_timeout
        deadline = asyncio.get_running_loop().time() + timeout
        clone_id = uuid.uuid4().hex
        async with self._claims.take(agent_id, caller, timeout) as resident:
            if resident is None:
                await self._lifecycle.record(agent_id)
                raise LifecycleError(f"paglet {agent_id} is parked; activate it before it is cloned")
            check_not_resident(resident.record)
            child = resident.need_child()
            aim = await self._aimer.aim(ticket) if ticket else await self._aimer.here()
            if aim.target is None:
                raise aim.error or TransferError("there is no such host")
            target = aim.target
            if target.host_id == self._here.host_id:
                self._gate.check()
            event = clone_event(self._here, agent_id, clone_id, target)
            departure = Departure(
                kind=DepartureKind.CLONE, event=event, call_id=caller.own_call(resident), handler_wait=timeout
            )
            snapshot = await self._packing.pack(resident, departure)
            original = resident.record
        if snapshot.state is None:
            raise HostError(f"paglet {agent_id} gave no state")
        incarnation, begun = await self._place_clone(
            original, clone_id, target, ticket, snapshot.state, event, timeout
        )
        with suppress(PagletError, TimeoutError):
            async with asyncio.timeout(self._limits.hook_timeout):
                await child.cloned(event)
        if not begun:
            await self._first_hooks.returned(clone_id, target, incarnation, caller, deadline)
        return api.Place(target.url, clone_id)

    async def _place_clone(
        self,
        original: PagletRecord,
        clone_id: str,
        target: Target,
        ticket: TransferTicket | None,
        payload: Payload,
        event: dict[str, Any],
        timeout: float,
    ) -> tuple[Incarnation, bool]:
        """The life that the clone begins with, and whether its first hook there is known to have returned."""
        now = time.time()
        clone = PagletRecord(
            agent_id=clone_id,
            birth=self._here.host_id,
            phase=Phase.PREPARED,
            incarnation=Incarnation(Lineage(), 0),
            class_name=original.class_name,
            state_class_name=original.state_class_name,
            code_version=original.code_version,
            created_at=now,
            changed_at=now,
        )
        if ticket is None or target.host_id == self._here.host_id:
            with payload, self._packing.place_for_copies() as place:
                files = await self._files.copy_here(original, place, everything=True)
                await self._lifecycle.settle_clone(
                    replace(clone, files=files), payload, event, on_behalf=original.agent_id
                )
            return clone.incarnation.next(), False
        try:
            clone = replace(clone, receipt=original.receipt, passport=original.passport)
            shipment = await self._ship(original, target, clone_id=clone_id)
            header = await self._headers.header(
                clone,
                target,
                ticket,
                MoveKind.CLONE,
                payload,
                event=event,
                clone_of=original.agent_id,
                shipment=shipment,
            )
            move = self._mover.begin(original, target, header, payload, timeout=timeout, clone=clone)
        except BaseException:
            payload.close()
            raise
        await asyncio.shield(move.result)
        return header.incarnation, move.begun

    # --- files

    async def _ship(self, record: PagletRecord, target: Target, *, clone_id: str = "") -> Shipment | None:
        """Send the files of a paglet, or of a clone of it, ahead; None when it has none."""
        if not record.files:
            return None
        transfer_id = await self._mover.transfer_id(target.host_id)
        try:
            return await self._files.send(
                record, transfer_id, target, agent_id=clone_id or record.agent_id, copy=bool(clone_id)
            )
        except BaseException:
            self._mover.give_up(transfer_id)
            raise


class _Moved(NamedTuple):
    """Where it is now."""

    target: Target
    begun: bool = False
    """Its first hook there is known to have returned, or it has none."""
