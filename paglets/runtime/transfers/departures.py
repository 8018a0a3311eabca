"""Dispatch, retract and clone as this host's paglets and their callers ask for them."""

from __future__ import annotations

import asyncio
import time
import uuid
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from paglets.core.errors import (
    HostError,
    LifecycleError,
    PagletError,
    TransferError,
    TransferInDoubtError,
)
from paglets.core.incarnation import Incarnation, Lineage
from paglets.persistence.records import MoveKind, PagletRecord, Phase
from paglets.remote import api
from paglets.runtime.child_specs import CallThread, Departure, DepartureKind
from paglets.runtime.patience import within
from paglets.runtime.transfers.aiming import Aimer
from paglets.runtime.transfers.headers import Headers, clone_event, move_event
from paglets.runtime.undivided import Undivided, undivided

if TYPE_CHECKING:
    from collections.abc import Generator

    from paglets.remote.transfer import TransferTicket
    from paglets.runtime.caller import Caller
    from paglets.runtime.child_specs import Snapshot
    from paglets.runtime.children.child import Child
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
            record = resident.record if resident is not None else await self._lifecycle.record(agent_id)
            _check_movable(record, expected)
            self._gate.check_held()
            if resident is None:
                target = await self._move_parked(record, ticket, kind)
                if target.host_id != self._here.host_id:
                    await self._work_places.clear(agent_id, record.incarnation)
                return api.Place(target.url, agent_id)
            incarnation = record.incarnation.next()
            target = await self._move_active(resident, ticket, caller, kind)
            await self._work_places.clear(agent_id, record.incarnation)
        if record.files:  # the ticket's time is for the move, however long its files took
            deadline = asyncio.get_running_loop().time() + ticket.timeout
        await self._first_hooks.returned(agent_id, target, incarnation, caller, deadline)
        return api.Place(target.url, agent_id)

    async def _move_active(
        self, resident: Resident, ticket: TransferTicket, caller: Caller, kind: MoveKind
    ) -> Target:
        child = resident.need_child()
        call_id = caller.own_call(resident)
        aim = await self._aimer.aim(ticket)
        if aim.target is None and call_id is None:
            raise aim.error or TransferError("there is no such host")
        event = move_event(self._here, aim.target, ticket, kind)
        departure = Departure(
            kind=_DEPARTURES[kind], event=event, call_id=call_id, handler_wait=ticket.timeout
        )
        snapshot = await self._pack(child, departure)
        payload = snapshot.state
        if aim.target is None or payload is None:
            if payload is not None:
                payload.close()
            await self._stay(child, event)
            raise aim.error or HostError(f"paglet {resident.agent_id} gave no state")
        if aim.target.host_id == self._here.host_id:
            await self._move_here(resident, payload, event)
            return aim.target
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
                left_in=_message_it_leaves_in(resident, caller),
                files=shipment.files if shipment else None,
            )
        except BaseException as error:
            payload.close()
            await asyncio.shield(self._stay(child, event))
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
        return aim.target

    async def _pack(self, child: Child, departure: Departure) -> Snapshot:
        async with within(
            self._limits.hook_timeout,
            f"paglet {child.agent_id} was not ready to leave",
            so="it goes on here",
            error=LifecycleError,
        ):
            return await child.begin_departure(departure)

    async def _stay(self, child: Child, event: dict[str, Any]) -> None:
        """Let a paglet that has packed go on where it is; it may have crashed, which is told by itself."""
        with suppress(PagletError, TimeoutError):
            async with asyncio.timeout(self._limits.hook_timeout):
                await child.resume(event)

    async def _move_here(self, resident: Resident, payload: Payload, event: dict[str, Any]) -> None:
        try:
            with payload, self._place_for_copies() as place:
                files = await self._files.copy_here(resident.record, place)
                await self._lifecycle.move_here(resident, payload, event, files)
        except PagletError as error:
            await self._stay(resident.need_child(), event)
            raise TransferError(f"paglet {resident.agent_id} did not move: {error}") from error

    async def _move_parked(self, record: PagletRecord, ticket: TransferTicket, kind: MoveKind) -> Target:
        aim = await self._aimer.aim(ticket)
        if aim.target is None:
            raise aim.error or TransferError("there is no such host")
        if aim.target.host_id == self._here.host_id:
            return aim.target
        if record.state is None:
            raise HostError(f"paglet {record.agent_id} has no stored state")
        payload = await self._states.load(record.state)
        resident = self._residents.add(record)
        try:
            shipment = await self._ship(record, aim.target)
            header = await self._headers.header(
                record, aim.target, ticket, kind, payload, parked=True, shipment=shipment
            )
            move = self._mover.begin(
                record,
                aim.target,
                header,
                payload,
                timeout=ticket.timeout,
                resident=resident,
                files=shipment.files if shipment else None,
            )
        except BaseException:
            payload.close()
            self._residents.remove(resident)
            raise
        await asyncio.shield(move.result)
        return aim.target

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
            _check_not_resident(resident.record)
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
            snapshot = await self._pack(child, departure)
            original = resident.record
        if snapshot.state is None:
            raise HostError(f"paglet {agent_id} gave no state")
        incarnation = await self._place_clone(
            original, clone_id, target, ticket, snapshot.state, event, timeout
        )
        with suppress(PagletError, TimeoutError):
            async with asyncio.timeout(self._limits.hook_timeout):
                await child.cloned(event)
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
    ) -> Incarnation:
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
            with payload, self._place_for_copies() as place:
                files = await self._files.copy_here(original, place, everything=True)
                await self._lifecycle.settle_clone(replace(clone, files=files), payload, event)
            return clone.incarnation.next()
        try:
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
        return header.incarnation

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

    @contextmanager
    def _place_for_copies(self) -> Generator[str]:
        """A directory for files that stay on this host; it goes again unless a record names it in the end."""
        place = self._files.new_place()
        places = self._work_places.files
        with places.holding(place):
            yield place
        places.tidy()


def _check_movable(record: PagletRecord, expected: Incarnation | None) -> None:
    if expected is not None and record.incarnation != expected:
        raise LifecycleError(
            f"paglet {record.agent_id} is in life {record.incarnation} now, not in {expected}; look again"
        )
    _check_not_resident(record)
    if record.phase is Phase.PREPARED:
        raise LifecycleError(
            f"paglet {record.agent_id} is in doubt: an earlier move of it is not settled yet"
        )
    if record.failed:
        raise LifecycleError(
            f"paglet {record.agent_id} has failed ({record.failed}); activate it before it is moved"
        )


def _check_not_resident(record: PagletRecord) -> None:
    if record.host_scoped:
        raise LifecycleError(
            f"{record.agent_id} is a resident service: it is neither moved nor cloned, each host has its own"
        )


def _message_it_leaves_in(resident: Resident, caller: Caller) -> str | None:
    """The id of the message, durably queued, whose handler asks for the move."""
    letter, call = resident.mailbox.in_progress, caller.call
    if letter is None or not letter.durable or call is None or caller.own_call(resident) is None:
        return None
    return letter.params.message_id if call.thread is CallThread.HANDLER else None
