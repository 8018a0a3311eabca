"""All moves that have begun on this host and are not settled, and what each means for its paglet here."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any

import msgspec

from paglets.core.errors import PagletCrashedError, PagletError
from paglets.persistence.journal.counters import reserve_counters
from paglets.persistence.records import FileRecord, MoveKind, Outgoing, PagletRecord, Phase
from paglets.remote.envelopes.header import EnvelopeHeader, sign_header
from paglets.runtime.transfers.events import CameHome, GaveWay, ProcessEnded, TargetSeen
from paglets.runtime.transfers.move import Move
from paglets.runtime.transfers.move_parts import Cargo, MoveParts
from paglets.runtime.transfers.onward import Onward
from paglets.runtime.transfers.open_ids import COUNTER_BLOCK
from paglets.runtime.transfers.passports import Passports

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from paglets.core.errors import TransferInDoubtError
    from paglets.core.incarnation import TransferId
    from paglets.persistence.journal.adoption import Adopted
    from paglets.persistence.journal.lifecycle import Started
    from paglets.persistence.journal.moves import Departed
    from paglets.persistence.store import Store
    from paglets.remote.trust.keys import HostKey
    from paglets.runtime.children.child import Child
    from paglets.runtime.delivery import Delivery
    from paglets.runtime.events import Events
    from paglets.runtime.lifecycle import Lifecycle
    from paglets.runtime.mailboxes import Mailboxes
    from paglets.runtime.memory_files import Payload
    from paglets.runtime.peers import Peers, Target
    from paglets.runtime.residents import Resident, Residents
    from paglets.runtime.settings import Limits
    from paglets.runtime.states import States
    from paglets.runtime.supervision.supervision import Supervision
    from paglets.runtime.supervisor import Supervisor
    from paglets.runtime.transfers.asking import Asker
    from paglets.runtime.transfers.open_ids import OpenTransfers
    from paglets.runtime.work_places import WorkPlaces

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
        mailboxes: Mailboxes,
        work_places: WorkPlaces,
        delivery: Delivery,
        lifecycle: Lifecycle,
        supervision: Supervision,
        peers: Peers,
        events: Events,
        key: HostKey,
        asker: Asker,
        open_transfers: OpenTransfers,
        limits: Limits,
    ) -> None:
        self._store = store
        self._residents = residents
        self._supervisor = supervisor
        self._mailboxes = mailboxes
        self._work_places = work_places
        self._delivery = delivery
        self._lifecycle = lifecycle
        self._supervision = supervision
        self._key = key
        self._open_transfers = open_transfers
        self._limits = limits
        self._parts = MoveParts(
            store=store,
            states=states,
            peers=peers,
            key=key,
            asker=asker,
            open_transfers=open_transfers,
            events=events,
            aftermath=self,
            passports=Passports(store),
        )
        self.onward = Onward(store=store)
        self._moves: dict[TransferId, Move] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._refilling = asyncio.Lock()
        self.on_adopted: Callable[[Adopted], None] = _nobody_asks
        """Told of each paglet that was adopted, so that its target is asked on; set once."""
        self.on_parked_settled: Callable[[str], None] = _nobody_waits
        """Told of each parked paglet whose transfer was settled, whether it has moved or not; set once."""

    # --- beginning -------------------------------------------------------------------------------------

    async def transfer_id(self, target_id: str) -> TransferId:
        """A fresh id for a transfer to that host, open from now on; its counter is durable.

        It is for the ``begin`` that follows without waiting for anything in between.
        """
        async with self._refilling:
            if self._open_transfers.exhausted:
                self._open_transfers.refill(
                    await self._store.commit(lambda tx: reserve_counters(tx, COUNTER_BLOCK))
                )
            return self._open_transfers.take(target_id)

    def give_up(self, transfer_id: TransferId) -> None:
        """That transfer will not begin."""
        self._open_transfers.settle(transfer_id)

    def begin(
        self,
        record: PagletRecord,
        target: Target,
        header: EnvelopeHeader,
        payload: Payload,
        *,
        timeout: float,
        resident: Resident | None = None,
        clone: PagletRecord | None = None,
        left_in: str = "",
        files: tuple[FileRecord, ...] | None = None,
        queue_key: str | None = None,
    ) -> Move:
        """Start a move; ``header`` holds the transfer id, which is void when this raises.

        The payload is the move's to close, unless this raises. The mailbox of an active paglet is held until
        it is known where it lives. ``left_in``: the queued message in whose handler it leaves, if there is one; it
        stays behind. ``queue_key``: it is moved only if it still waits in the outbox under that key.
        """
        try:
            signed = sign_header(self._key, header)
        except BaseException:
            self._open_transfers.settle(header.transfer_id)
            raise
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
            left_in=left_in,
        )
        cargo = Cargo(target, signed, payload, stored=record.phase is Phase.INACTIVE and clone is None)
        cargo.files = files
        cargo.queue_key = queue_key
        if clone is not None:
            cargo.clone = msgspec.structs.replace(clone, outgoing=outgoing)
            record = clone
        move = Move(self._parts, record, outgoing, cargo=cargo, resident=resident)
        child = resident.child if resident is not None else None
        if resident is not None and child is not None:
            resident.moving = True
            resident.mailbox.hold()
        self._start(move, child)
        return move

    async def take_up(self, record: PagletRecord) -> None:
        """Take up a transfer that the journal held PREPARED at the start: ask until it is settled.

        Nothing happens when it is settled already, because the paglet has come home since the doors opened.
        """
        outgoing, agent_id = record.outgoing, record.agent_id
        now = await self._store.read(lambda tx: tx.paglet(agent_id))
        if outgoing is None or now is None or now.outgoing != outgoing:
            return
        if outgoing.kind is MoveKind.CLONE:
            self._start(Move(self._parts, now, outgoing, cargo=None, resident=None))
        elif self._residents.get(agent_id) is None:
            resident = self._residents.add(now)
            self._start(Move(self._parts, now, outgoing, cargo=None, resident=resident))

    async def take_up_messages(self) -> None:
        """Go on sending after departed paglets what waited for them."""
        await self.onward.take_up()

    def _start(self, move: Move, child: Child | None = None) -> None:
        self._moves[move.outgoing.transfer_id] = move
        self._own(self._run(move, child))

    async def _run(self, move: Move, child: Child | None) -> None:
        watch = asyncio.create_task(_watch(move, child)) if child is not None else None
        try:
            await move.run()
        finally:
            if watch is not None:
                watch.cancel()
            if move.state.over:
                self._moves.pop(move.outgoing.transfer_id, None)

    # --- news ------------------------------------------------------------------------------------------

    def peer_seen(self, host_id: str) -> None:
        """A host was heard from: what is in doubt with it can be asked about now."""
        for move in self._moves.values():
            if move.outgoing.target_id == host_id:
                move.tell(TargetSeen())

    def follow_on(self, agent_id: str) -> None:
        """A message was queued for a paglet that has left."""
        self.onward.begin(agent_id)

    def came_home(self, transfer_id: TransferId) -> None:
        """A paglet is here again in a later life, which has settled its earlier transfer as arrived."""
        move = self._moves.get(transfer_id)
        if move is not None:
            move.tell(CameHome())
        else:
            self._open_transfers.settle(transfer_id)

    def gave_way(self, agent_id: str, *, abandoned: bool) -> None:
        """The copy here went into quarantine; ``abandoned``: the journal holds its transfer on."""
        for move in self._moves.values():
            if move.state.agent_id == agent_id:
                move.tell(GaveWay(abandoned))

    def find(self, transfer: str) -> list[Move]:
        """The moves of that transfer id, or of paglets whose id is that or begins so."""
        found = {str(transfer_id): move for transfer_id, move in self._moves.items()}
        if transfer in found:
            return [found[transfer]]
        named = [move for move in self._moves.values() if move.state.agent_id == transfer]
        return named or [
            move for move in self._moves.values() if transfer and move.state.agent_id.startswith(transfer)
        ]

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
                if move.state.in_doubt and not move.state.over
                else move.state.stage.value,
                "reason": move.state.reason,
                "started_at": move.outgoing.started_at,
            }
            for transfer_id, move in self._moves.items()
        ]

    # --- what a move means for its paglet: the Aftermath protocol --------------------------------------

    async def stays(self, move: Move, record: PagletRecord | None) -> None:
        """See ``Aftermath``."""
        resident = move.resident
        if resident is None or resident.child is None:
            return
        resident.record = record or resident.record
        try:
            async with asyncio.timeout(self._limits.hook_timeout):
                await resident.child.resume(move.event)
        except PagletCrashedError:
            self.recovers(move)
            return
        except (PagletError, TimeoutError) as error:
            logger.warning(
                "on_dispatch_failed did not return well",
                extra={"agent_id": resident.agent_id, "error": str(error)},
            )
        resident.moving = False
        resident.mailbox.let_go()
        self._mailboxes.pump(resident)

    def restarts(self, move: Move, started: Started) -> None:
        """See ``Aftermath``."""
        self._own(self._lifecycle.start_life(started, replacing=move.resident))

    def recovers(self, move: Move) -> None:
        """See ``Aftermath``."""
        self._own(self._recover(move))

    async def _recover(self, move: Move) -> None:
        agent_id, resident = move.record.agent_id, move.resident
        why = "its process ended while it was moving, and it did not move"
        self._parts.events.emit(
            "paglet-crashed", agent_id=agent_id, class_name=move.record.class_name, error=why
        )
        try:
            await self._lifecycle.recover(agent_id, replacing=resident)
        except PagletError as error:
            if resident is not None and self._residents.get(agent_id) is resident:
                self._supervision.not_begun(resident, f"{why}; it could not be started again: {error}", error)

    def left(self, move: Move, departed: Departed | None) -> None:
        """See ``Aftermath``."""
        if move.resident is not None:
            self._residents.remove(move.resident)
            self._residents.left(move.record.agent_id)
            self._delivery.reroute(move.resident)
        if move.record.files:
            self._work_places.files.tidy()
        if move.state.in_doubt:  # otherwise who waits for the move sees to it
            self._own(self._work_places.clear(move.record.agent_id, move.record.incarnation))
        if departed is not None and departed.messages:
            self.onward.begin(move.record.agent_id)

    def ends_process(self, move: Move, grace: float) -> None:
        """See ``Aftermath``."""
        if move.resident is not None and move.resident.child is not None:
            self._supervisor.end(move.resident.child, grace=grace)

    def in_doubt(self, move: Move, error: TransferInDoubtError) -> None:
        """See ``Aftermath``."""
        resident = move.resident
        if resident is None or resident.doubt is not None:
            return
        resident.doubt = error
        resident.child = None
        if not resident.settled.done():
            resident.settled.set_exception(error)

    def adopted(self, move: Move, adopted: Adopted) -> None:
        """See ``Aftermath``."""
        if adopted.started.record.phase is Phase.ACTIVE and not move.state.restarts:
            self._own(self._lifecycle.start_life(adopted.started))  # it had waited in the outbox, parked
        self.on_adopted(adopted)

    def settled(self, move: Move) -> None:
        """See ``Aftermath``."""
        resident = move.resident
        if resident is not None and move.outgoing.was is Phase.INACTIVE:
            self._residents.remove(resident)
            self._delivery.reroute(resident)
            self.on_parked_settled(resident.agent_id)

    # --- tasks -----------------------------------------------------------------------------------------

    def _own(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("a move failed in a way it should not", exc_info=error)

    async def aclose(self) -> None:
        """Let go of every move; the journal says what to ask about after the next start."""
        await self.onward.aclose()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _nobody_asks(adopted: Adopted) -> None:
    """Until the host is put together."""


def _nobody_waits(agent_id: str) -> None:
    """Until the host is put together."""


async def _watch(move: Move, child: Child) -> None:
    await child.wait_ended()
    move.tell(ProcessEnded())
