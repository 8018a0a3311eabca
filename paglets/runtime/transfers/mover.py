"""All moves that have begun on this host and are not settled, and what each means for its paglet here."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec

from paglets.core.errors import PagletError
from paglets.persistence.journal import queues
from paglets.persistence.journal.counters import reserve_counters
from paglets.persistence.records import MoveKind, Outgoing, PagletRecord, Phase
from paglets.remote.api import MessageParams
from paglets.remote.envelopes.header import EnvelopeHeader, sign_header
from paglets.runtime.transfers.events import ProcessEnded, TargetSeen
from paglets.runtime.transfers.move import Cargo, Move, MoveParts
from paglets.runtime.transfers.open_ids import COUNTER_BLOCK

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from paglets.core.errors import TransferInDoubtError
    from paglets.core.incarnation import TransferId
    from paglets.persistence.journal.lifecycle import Started
    from paglets.persistence.journal.moves import Departed
    from paglets.persistence.records import QueuedRecord
    from paglets.persistence.store import Store
    from paglets.remote.trust.keys import HostKey
    from paglets.runtime.delivery import Delivery
    from paglets.runtime.events import Events
    from paglets.runtime.lifecycle import Lifecycle
    from paglets.runtime.memory_files import Payload
    from paglets.runtime.peers import Peers, Target
    from paglets.runtime.residents import Resident, Residents
    from paglets.runtime.states import States
    from paglets.runtime.supervisor import Supervisor
    from paglets.runtime.transfers.asking import Asker
    from paglets.runtime.transfers.open_ids import OpenTransfers

logger = logging.getLogger(__name__)


class Mover:
    """Owns the moves of one host from the first byte to the settlement, over restarts. An ``Aftermath``."""

    def __init__(
        self,
        *,
        store: Store,
        states: States,
        residents: Residents,
        supervisor: Supervisor,
        delivery: Delivery,
        lifecycle: Lifecycle,
        peers: Peers,
        events: Events,
        key: HostKey,
        asker: Asker,
        open_transfers: OpenTransfers,
    ) -> None:
        self._store = store
        self._residents = residents
        self._supervisor = supervisor
        self._delivery = delivery
        self._lifecycle = lifecycle
        self._key = key
        self._open_transfers = open_transfers
        self._parts = MoveParts(
            store=store,
            states=states,
            peers=peers,
            key=key,
            asker=asker,
            open_transfers=open_transfers,
            events=events,
            aftermath=self,
        )
        self._moves: dict[TransferId, Move] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._refilling = asyncio.Lock()

    # --- beginning -------------------------------------------------------------------------------------

    async def transfer_id(self, target_id: str) -> TransferId:
        """A fresh id for a transfer to that host, open from now on; its counter is durable."""
        async with self._refilling:
            if self._open_transfers.exhausted:
                self._open_transfers.refill(
                    await self._store.commit(lambda tx: reserve_counters(tx, COUNTER_BLOCK))
                )
            return self._open_transfers.take(target_id)

    async def begin(
        self,
        record: PagletRecord,
        target: Target,
        header: EnvelopeHeader,
        payload: Payload,
        *,
        timeout: float,
        resident: Resident | None = None,
        clone: PagletRecord | None = None,
    ) -> Move:
        """Start a move; ``header`` holds the transfer id. The payload is the move's to close."""
        signed = await asyncio.to_thread(sign_header, self._key, header)
        outgoing = Outgoing(
            transfer_id=header.transfer_id,
            kind=header.kind,
            target_id=target.host_id,
            target_url=target.url,
            target_name=target.name,
            incarnation=header.incarnation,
            was=Phase.ACTIVE if clone is not None else record.phase,
            header=signed.encode(),
            started_at=time.time(),
            timeout=timeout,
        )
        cargo = Cargo(target, signed, payload, stored=record.phase is Phase.INACTIVE and clone is None)
        if clone is not None:
            cargo.clone = msgspec.structs.replace(clone, outgoing=outgoing)
            record = clone
        move = Move(self._parts, record, outgoing, cargo=cargo, resident=resident)
        self._start(move)
        if resident is not None and resident.child is not None and clone is None:
            self._own(self._watch(move, resident))
        return move

    def resume(self, record: PagletRecord, resident: Resident | None) -> None:
        """Take up a transfer that the journal holds PREPARED: ask until it is settled."""
        if record.outgoing is None:
            raise ValueError("only a PREPARED record has a transfer to take up")
        self._start(Move(self._parts, record, record.outgoing, cargo=None, resident=resident))

    def _start(self, move: Move) -> None:
        self._moves[move.outgoing.transfer_id] = move
        self._own(self._run(move))

    async def _run(self, move: Move) -> None:
        try:
            await move.run()
        finally:
            if move.state.settled:
                self._moves.pop(move.outgoing.transfer_id, None)

    async def _watch(self, move: Move, resident: Resident) -> None:
        with suppress(PagletError):
            await resident.need_child().wait_ended()
        move.tell(ProcessEnded())

    # --- news ------------------------------------------------------------------------------------------

    def peer_seen(self, host_id: str) -> None:
        """A host was heard from: what is in doubt with it can be asked about now."""
        for move in self._moves.values():
            if move.outgoing.target_id == host_id:
                move.tell(TargetSeen())

    def is_moving(self, agent_id: str) -> bool:
        """Whether a move of that paglet (not of a clone of it) is under way or in doubt."""
        return any(
            move.record.agent_id == agent_id and move.outgoing.kind is not MoveKind.CLONE
            for move in self._moves.values()
        )

    def under_way(self) -> list[dict[str, Any]]:
        """The transfers that have left or want to, for people."""
        return [
            {
                "transfer_id": str(transfer_id),
                "agent_id": move.state.agent_id,
                "peer": move.outgoing.target_name or move.outgoing.target_id,
                "direction": "out",
                "status": "in-doubt"
                if move.state.in_doubt and not move.state.settled
                else move.state.stage.value,
                "reason": move.state.reason,
                "started_at": move.outgoing.started_at,
            }
            for transfer_id, move in self._moves.items()
        ]

    # --- what a move means for its paglet: the Aftermath protocol --------------------------------------

    async def stays(self, move: Move) -> None:
        """See ``Aftermath``."""
        resident = move.resident
        if resident is None or resident.child is None:
            return
        with suppress(PagletError):  # it crashed meanwhile, which is told by itself
            await resident.child.resume(move.event)

    async def restarts(self, move: Move, started: Started) -> None:
        """See ``Aftermath``."""
        self._own(self._lifecycle.start_life(started, replacing=move.resident))

    async def recovers(self, move: Move) -> None:
        """See ``Aftermath``."""
        self._own(self._lifecycle.recover(move.record.agent_id, replacing=move.resident))

    async def left(self, move: Move, departed: Departed | None) -> None:
        """See ``Aftermath``."""
        if move.resident is not None:
            self._residents.remove(move.resident)
            self._delivery.reroute(move.resident)
        if departed is not None and departed.messages:
            self._own(self._send_on(move.record.agent_id, departed.messages))

    async def _send_on(self, agent_id: str, messages: tuple[QueuedRecord, ...]) -> None:
        """Send what waited durably after the paglet, oldest first; each is taken off when it was accepted."""
        for queued in messages:
            params = msgspec.json.decode(queued.message, type=MessageParams)
            message_id = queued.message_id
            try:
                await self._delivery.send(params)
            except PagletError as error:
                logger.warning(
                    "a queued message could not follow its paglet",
                    extra={"agent_id": agent_id, "message_id": message_id, "error": str(error)},
                )
            else:
                await self._store.commit(lambda tx, mid=message_id: queues.take_message(tx, agent_id, mid))

    def ends_process(self, move: Move, grace: float) -> None:
        """See ``Aftermath``."""
        if move.resident is not None and move.resident.child is not None:
            self._supervisor.end(move.resident.child, grace=grace)

    def in_doubt(self, move: Move, error: TransferInDoubtError) -> None:
        """See ``Aftermath``."""
        resident = move.resident
        if resident is not None and resident.doubt is None:
            resident.doubt = error
            resident.child = None
            resident.mailbox.hold()

    def settled(self, move: Move) -> None:
        """See ``Aftermath``."""
        resident = move.resident
        if resident is not None and move.outgoing.was is Phase.INACTIVE:
            self._residents.remove(resident)
            self._delivery.reroute(resident)

    # --- tasks -----------------------------------------------------------------------------------------

    def _own(self, work: Awaitable[Any]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("a move failed in a way it should not", exc_info=error)

    async def aclose(self) -> None:
        """Let go of every move; the journal says what to ask about after the next start."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
