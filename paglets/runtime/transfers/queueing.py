"""Parks paglets whose target is away in the outbox, where they wait for it."""

from __future__ import annotations

import asyncio
import time
import uuid
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Protocol

from paglets.core.errors import HostError, PagletError, TransferError
from paglets.persistence.errors import StoreFailedError
from paglets.persistence.journal.queued_dispatch import queue_dispatch
from paglets.persistence.records import PagletRecord, QueuedDispatch
from paglets.runtime.child_specs import Departure, DepartureKind
from paglets.runtime.transfers.movable import message_it_leaves_in

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from paglets.persistence.records import FileRecord
    from paglets.persistence.store import StagedBlob, Store
    from paglets.remote.transfer import TransferTicket
    from paglets.runtime.caller import Caller
    from paglets.runtime.delivery import Delivery
    from paglets.runtime.events import Events
    from paglets.runtime.files.leaving import LeavingFiles
    from paglets.runtime.here import Here
    from paglets.runtime.memory_files import Payload
    from paglets.runtime.outbox.presence import Away, Presence
    from paglets.runtime.residents import Resident, Residents
    from paglets.runtime.settings import Limits
    from paglets.runtime.states import States
    from paglets.runtime.supervisor import Supervisor
    from paglets.runtime.transfers.packing import Packing
    from paglets.runtime.work_places import WorkPlaces


class WaitingRoom(Protocol):
    """Where paglets wait for their targets."""

    lifetime: float
    """Seconds that one waits at most."""

    def begin(self, record: PagletRecord, after: Awaitable[object] | None = None) -> None:
        """It waits from now on; it is not moved before ``after`` is over."""
        ...


class Queueing:
    """Puts paglets into the outbox, durably. The caller holds their claims."""

    def __init__(
        self,
        *,
        store: Store,
        presence: Presence,
        states: States,
        residents: Residents,
        supervisor: Supervisor,
        delivery: Delivery,
        packing: Packing,
        files: LeavingFiles,
        work_places: WorkPlaces,
        events: Events,
        here: Here,
        limits: Limits,
    ) -> None:
        self._store = store
        self._presence = presence
        self._states = states
        self._residents = residents
        self._supervisor = supervisor
        self._delivery = delivery
        self._packing = packing
        self._files = files
        self._work_places = work_places
        self._events = events
        self._here = here
        self._limits = limits
        self.room: WaitingRoom | None = None
        """Set once, when the host is put together."""

    async def queued(
        self, record: PagletRecord, resident: Resident | None, ticket: TransferTicket, caller: Caller
    ) -> bool:
        """Whether the ticket's target is away, and the paglet therefore waits for it now, durably.

        ``TransferError``: there is no such host; or it could not be put into the outbox, and goes on.
        ``StoreFailedError``: whether it was is known after the next start only.
        """
        away = await self._presence.away(ticket.destination)
        if away is None or self.room is None:
            return False
        entry = QueuedDispatch(
            key=uuid.uuid4().hex,
            ticket=ticket.to_wire(),
            target_id=away.host_id,
            target_url=away.url,
            target_name=away.name,
            was=record.phase,
            since=time.time(),
            lifetime=self.room.lifetime,
        )
        if resident is None:
            record = await self._write(record, entry)
            self.room.begin(record)
        else:
            record = await self._put_away(resident, entry, away, caller)
        self._events.emit(
            "transfer-queued",
            agent_id=record.agent_id,
            class_name=record.class_name,
            data={"target_host_name": away.name or away.url},
            error=away.reason,
        )
        return True

    async def absent(self, queued: QueuedDispatch) -> str:
        """Why the target of one that waits is away now; empty when it is there."""
        return await self._presence.absent(queued.target_id, queued.target_url)

    async def _write(
        self,
        record: PagletRecord,
        entry: QueuedDispatch,
        payload: Payload | None = None,
        left_in: str = "",
    ) -> PagletRecord:
        staged: list[StagedBlob] = []
        files: tuple[FileRecord, ...] | None = None
        with ExitStack() as stack:
            if payload is not None:  # it was at work: its work directory does not outlive this
                place = stack.enter_context(self._packing.place_for_copies())
                files = await self._files.copy_here(record, place)
                staged = [await self._states.stage(payload)]
            state = staged[0].ref if staged else None

            def rule(tx: Any) -> PagletRecord:
                return queue_dispatch(
                    tx,
                    record.agent_id,
                    record.incarnation,
                    entry,
                    at=time.time(),
                    state=state,
                    files=files,
                    left_in=left_in,
                )

            return await self._store.commit(rule, blobs=staged)

    async def _put_away(
        self, resident: Resident, entry: QueuedDispatch, away: Away, caller: Caller
    ) -> PagletRecord:
        child = resident.need_child()
        event = {
            "source_host_name": self._here.name,
            "source_host_address": self._here.address,
            "target_host_name": away.name or away.url,
            "target_host_address": away.url,
            "reason": "dispatch",
        }
        departure = Departure(
            kind=DepartureKind.DISPATCH,
            event=event,
            call_id=caller.own_call(resident),
            handler_wait=float(entry.ticket["timeout"]),
        )
        snapshot = await self._packing.pack(resident, departure)
        try:
            if snapshot.state is None:
                raise HostError(f"paglet {resident.agent_id} gave no state")
            with snapshot.state:
                left_in = message_it_leaves_in(resident, caller)
                record = await self._write(resident.record, entry, snapshot.state, left_in)
        except BaseException as error:
            await asyncio.shield(self._packing.stay(child, event))
            if isinstance(error, PagletError) and not isinstance(error, StoreFailedError):
                raise TransferError(
                    f"paglet {resident.agent_id} did not get into the outbox: {error}"
                ) from error
            raise
        earlier = resident.incarnation
        resident.record = record
        self._residents.remove(resident)
        self._supervisor.end(child, grace=self._limits.end_grace)
        if self.room is not None:
            self.room.begin(record, child.wait_ended())
        await self._work_places.clear(record.agent_id, earlier)
        self._delivery.reroute(resident)
        return record
