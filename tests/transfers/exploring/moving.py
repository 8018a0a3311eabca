"""What a move under way does next by itself, and what may befall it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paglets.persistence.journal.conflict import JournalConflict
from paglets.persistence.records import BlobRef, MoveKind, PagletRecord, Phase
from paglets.persistence.restoring import SKIPPED
from paglets.runtime.transfers import effects as do
from paglets.runtime.transfers import events as on
from paglets.runtime.transfers.open_ids import OpenTransfers
from paglets.runtime.transfers.source_move import Stage
from tests.transfers.exploring.choices import duty, will
from tests.transfers.exploring.messages import Question
from tests.transfers.exploring.stores import is_held, records, tables
from tests.transfers.exploring.world import BrokenPromiseError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.transfers.exploring.choices import Choice, Maker
    from tests.transfers.exploring.draft import Draft
    from tests.transfers.exploring.scope import Scope
    from tests.transfers.exploring.world import HostState, Running

EVENT = {"reason": "recovered"}


def of_a_move(maker: Maker, name: str, host: HostState, running: Running) -> Iterator[Choice]:
    """The steps of one move at its source."""
    move = running.move
    if running.write is not None:
        yield duty(write, name, running)
        if maker.may("full"):
            yield will(cannot_write, name, running, spend="full")
    if running.streaming and not move.payload_sent:
        yield duty(send_payload, name, running)
    if move.stage is Stage.STREAMING and maker.may("losses"):
        yield will(lose_stream, name, running, spend="losses")
    if not running.late and maker.may("deadlines"):
        yield will(pass_deadline, name, running, spend="deadlines")
    if move.stage is Stage.SENT:
        target = running.outgoing.target_id
        floor = floor_of(maker.scope, host, name, target)
        counter = counter_of(maker.scope, host)
        question = Question(move.transfer_id, target, move.agent_id, move.incarnation, floor, counter)
        if not maker.is_sent(question):
            yield duty(ask, name, question)


def write(draft: Draft, name: str, running: Running) -> str:
    """Commit what the machine asked for, and tell it how that went."""
    effect, transfer_id = running.write, running.move.transfer_id
    try:
        done = _commit(draft, name, running)
    except JournalConflict as conflict:
        done = _refused(effect, str(conflict), overtaken=True)
    draft.tell(name, transfer_id, done, write_ended=True)
    return f"{name} syncs {type(effect).__name__} {transfer_id}"


def _commit(draft: Draft, name: str, running: Running) -> on.Event:
    move, agent_id, transfer_id = running.move, running.move.agent_id, running.move.transfer_id
    match running.write:
        case do.WritePrepared() if move.kind is MoveKind.CLONE:
            draft.commit(name, "prepare_clone", _clone_record(name, running))
            return on.PreparedWritten()
        case do.WritePrepared():
            state = BlobRef(b"", running.life.epoch)
            kept = state if running.outgoing.was is Phase.ACTIVE else None
            compared = {} if running.queue_key is None else {"queue_key": running.queue_key}
            arguments = (agent_id, running.life, running.outgoing)
            written = draft.commit(name, "prepare", *arguments, state=kept, at=0.0, **compared)
            if compared and (written.queued is None or written.queued.key != running.queue_key):
                raise BrokenPromiseError(f"Q2 {agent_id} is moved, though it does not wait any more")
            return on.PreparedWritten()
        case do.WriteAbort(alive):
            draft.commit(name, "abort", agent_id, transfer_id, process_alive=alive, event=EVENT, at=0.0)
            return on.AbortWritten()
        case do.WriteArrived():
            draft.commit(name, "settle_arrived", agent_id, transfer_id, move.incarnation, at=0.0)
        case do.WriteFenced(alive):
            arguments = (agent_id, transfer_id, move.incarnation)
            draft.commit(name, "settle_fenced", *arguments, process_alive=alive, event=EVENT, at=0.0)
        case do.WriteAdopted():
            adopted = draft.commit(name, "adopt", name, agent_id, transfer_id, event=EVENT, at=0.0)
            draft.note("adopted", agent_id, adopted.started.record.incarnation.lineage)
            return on.AdoptionWritten()
        case effect:
            raise AssertionError(effect)
    return on.SettlementWritten()


def cannot_write(draft: Draft, name: str, running: Running) -> str:
    effect, transfer_id = running.write, running.move.transfer_id
    draft.tell(name, transfer_id, _refused(effect, "disk full"), write_ended=True)
    return f"{name} cannot write {type(effect).__name__} {transfer_id}"


def _refused(effect: do.Effect | None, reason: str, *, overtaken: bool = False) -> on.Event:
    if isinstance(effect, do.WritePrepared):
        return on.PreparedRefused(reason)
    if isinstance(effect, do.WriteAbort):
        return on.AbortRefused(reason)
    if isinstance(effect, do.WriteAdopted):
        return on.AdoptionRefused(reason)
    return on.SettlementRefused(reason, overtaken)


def _clone_record(name: str, running: Running) -> PagletRecord:
    return PagletRecord(
        agent_id=running.move.agent_id,
        birth=name,
        phase=Phase.PREPARED,
        incarnation=running.life,
        class_name="m:C",
        state_class_name="m:S",
        state=BlobRef(b"", 0),
        outgoing=running.outgoing,
    )


def send_payload(draft: Draft, name: str, running: Running) -> str:
    draft.tell(name, running.move.transfer_id, on.PayloadSent())
    return f"{name} has sent the payload of {running.move.transfer_id}"


def lose_stream(draft: Draft, name: str, running: Running) -> str:
    draft.tell(name, running.move.transfer_id, on.StreamLost("cable pulled"))
    return f"{name} loses the stream of {running.move.transfer_id}"


def pass_deadline(draft: Draft, name: str, running: Running) -> str:
    moves = tuple(
        each._replace(late=True) if each.move.transfer_id == running.move.transfer_id else each
        for each in draft.host(name).moves
    )
    draft.put(name, moves=moves)
    draft.tell(name, running.move.transfer_id, on.DeadlinePassed())
    return f"{name} sees the deadline of {running.move.transfer_id} pass"


def ask(draft: Draft, name: str, question: Question) -> str:
    draft.send(question)
    return f"{name} asks about {question.transfer_id}"


def counter_of(scope: Scope, host: HostState) -> int:
    """The next transfer counter that the host hands out, where it tells it."""
    return tables(host.store).counter() if scope.floors else 0


def floor_of(scope: Scope, host: HostState, name: str, target: str) -> int:
    """The floor that the host tells, by the product's own means; 0 where floors are left out."""
    if not scope.floors:
        return 0
    unsettled = [
        (record.outgoing.target_id, record.outgoing.transfer_id)
        for record in records(host.store).values()
        if record.phase is Phase.PREPARED and record.outgoing
    ]
    if tables(host.store).counter() > SKIPPED:
        # What the store held open when it was restored is closed: its targets have verdicts on it, or never will.
        unsettled = [(to, each) for to, each in unsettled if each.counter > SKIPPED]
    if scope.rules.floors_of_memory:
        unsettled += [(each.outgoing.target_id, each.move.transfer_id) for each in host.moves]
    if not is_held(host.store, name) or not scope.rules.closes_abandoned:
        abandoned = tables(host.store).abandoned()
        unsettled += [(each.outgoing.target_id, each.outgoing.transfer_id) for each in abandoned]
    return OpenTransfers(name, tables(host.store).counter(), unsettled).floor(target)
