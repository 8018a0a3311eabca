"""What can happen on a host by itself, or by the will of its paglets and operators."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from paglets.core.incarnation import Incarnation
from paglets.persistence.journal.conflict import JournalConflict
from paglets.persistence.records import (
    BlobRef,
    HookKind,
    MoveKind,
    PagletRecord,
    PeerRecord,
    PendingHook,
    Phase,
    QueuedRecord,
)
from paglets.runtime.transfers import effects as do
from paglets.runtime.transfers import events as on
from paglets.runtime.transfers.open_ids import OpenTransfers
from paglets.runtime.transfers.source import Stage
from tests.transfers.exploring.scope import Budget, Scope
from tests.transfers.exploring.world import (
    EVENT,
    Draft,
    FloorTold,
    HostState,
    Letter,
    Life,
    Question,
    Recall,
    Running,
    World,
    busy,
    opened,
    records,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

POSITION = {field: i for i, field in enumerate(Budget._fields)}
STORE = ("store", 1)
LONG_AFTER = 1e9


class Choice(NamedTuple):
    """A step that can be taken now."""

    label: str
    draft: Draft
    progress: bool
    """The protocol takes it by itself, sooner or later; otherwise somebody's will or bad luck does."""


class Maker:
    """Makes the drafts of one world's steps."""

    def __init__(self, world: World, scope: Scope) -> None:
        self.world = world
        self.scope = scope

    def may(self, kind: str) -> bool:
        return self.world.budget[POSITION[kind]] > 0

    def draft(self, spend: str = "") -> Draft:
        draft = Draft(self.world, self.scope)
        if spend:
            draft.spend(POSITION[spend])
        return draft


def own_steps(world: World, scope: Scope) -> Iterator[Choice]:
    maker = Maker(world, scope)
    for name, host in zip(scope.host_ids, world.hosts, strict=True):
        for running in host.moves:
            yield from of_a_move(maker, name, running)
        for record in records(host.store).values():
            yield from wills(maker, name, host, record)
            yield from lives(maker, name, host, record)
            yield from waits(maker, name, host, record)
        yield from of_the_host(maker, name, host)


# --- one move


def of_a_move(maker: Maker, name: str, running: Running) -> Iterator[Choice]:
    move, transfer_id = running.move, running.move.transfer_id
    if running.write is not None:
        draft = maker.draft()
        write(draft, name, running)
        yield Choice(f"{name} syncs {type(running.write).__name__} {transfer_id}", draft, progress=True)
        if maker.may("full"):
            draft = maker.draft("full")
            draft.tell(name, transfer_id, refused(running.write, "disk full"), write_ended=True)
            yield Choice(f"{name} cannot write {type(running.write).__name__}", draft, progress=False)
    if running.streaming and not move.payload_sent:
        draft = maker.draft()
        draft.tell(name, transfer_id, on.PayloadSent())
        yield Choice(f"{name} has sent the payload of {transfer_id}", draft, progress=True)
    if move.stage is Stage.STREAMING and maker.may("losses"):
        draft = maker.draft("losses")
        draft.tell(name, transfer_id, on.StreamLost("cable pulled"))
        yield Choice(f"{name} loses the stream of {transfer_id}", draft, progress=False)
    if not running.late and maker.may("deadlines"):
        draft = maker.draft("deadlines")
        moves = tuple(r._replace(late=True) if r == running else r for r in draft.host(name).moves)
        draft.put(name, moves=moves)
        draft.tell(name, transfer_id, on.DeadlinePassed())
        yield Choice(f"{name} sees the deadline of {transfer_id} pass", draft, progress=False)
    if move.stage is Stage.SENT:
        floor = floor_of(maker.scope, world_host(maker, name), name, running.outgoing.target_id)
        question = Question(transfer_id, running.outgoing.target_id, move.agent_id, move.incarnation, floor)
        if question not in maker.world.net:
            draft = maker.draft()
            draft.send(question)
            yield Choice(f"{name} asks about {transfer_id}", draft, progress=True)


def world_host(maker: Maker, name: str) -> HostState:
    return maker.world.hosts[maker.scope.host_ids.index(name)]


def write(draft: Draft, name: str, running: Running) -> None:
    """Commit what the machine asked for, and tell it how that went."""
    move, effect = running.move, running.write
    agent_id, transfer_id = move.agent_id, move.transfer_id
    state = BlobRef(b"", running.life.epoch)
    done: on.Event = on.SettlementWritten()
    try:
        match effect:
            case do.WritePrepared() if move.kind is MoveKind.CLONE:
                draft.commit(name, "prepare_clone", clone_record(draft, name, running))
                done = on.PreparedWritten()
            case do.WritePrepared():
                kept = state if running.outgoing.was is Phase.ACTIVE else None
                draft.commit(name, "prepare", agent_id, running.life, running.outgoing, state=kept, at=0.0)
                done = on.PreparedWritten()
            case do.WriteAbort(alive):
                draft.commit(name, "abort", agent_id, transfer_id, process_alive=alive, event=EVENT, at=0.0)
                done = on.AbortWritten()
            case do.WriteArrived():
                draft.commit(name, "settle_arrived", agent_id, transfer_id, move.incarnation, at=0.0)
            case do.WriteFenced(alive):
                arguments = (agent_id, transfer_id, move.incarnation)
                draft.commit(name, "settle_fenced", *arguments, process_alive=alive, event=EVENT, at=0.0)
            case _:
                raise AssertionError(effect)
    except JournalConflict as conflict:
        done = refused(effect, str(conflict), overtaken=True)
    draft.tell(name, transfer_id, done, write_ended=True)


def refused(effect: do.Effect | None, reason: str, *, overtaken: bool = False) -> on.Event:
    if isinstance(effect, do.WritePrepared):
        return on.PreparedRefused(reason)
    if isinstance(effect, do.WriteAbort):
        return on.AbortRefused(reason)
    return on.SettlementRefused(reason, overtaken)


def clone_record(draft: Draft, name: str, running: Running) -> PagletRecord:
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


# --- what paglets and operators want


def wills(maker: Maker, name: str, host: HostState, record: PagletRecord) -> Iterator[Choice]:
    agent_id, incarnation = record.agent_id, record.incarnation
    runs = Life(agent_id, incarnation) in host.children and not record.failed
    if busy(host, agent_id) or not (
        record.phase is Phase.INACTIVE or (record.phase is Phase.ACTIVE and runs)
    ):
        return
    for target in maker.scope.host_ids:
        if target == name or (maker.scope.route is not None and name + target not in maker.scope.route):
            continue
        if maker.may("moves"):
            draft = maker.draft("moves")
            draft.begin(name, agent_id, target, MoveKind.DISPATCH)
            yield Choice(f"{name} starts {agent_id} to {target} in life {incarnation}", draft, progress=False)
        if maker.may("clones"):
            draft = maker.draft("clones")
            draft.begin(name, agent_id, target, MoveKind.CLONE)
            yield Choice(f"{name} clones {agent_id} to {target}", draft, progress=False)
        if maker.may("retracts") and runs:
            draft = maker.draft("retracts")
            draft.send(Recall(target, name, agent_id, incarnation))
            yield Choice(f"{target} asks {name} for {agent_id} {incarnation}", draft, progress=False)
    if maker.may("disposals"):
        draft = maker.draft("disposals")
        draft.commit(name, "dispose", agent_id, incarnation, at=0.0)
        draft.end_child(name, Life(agent_id, incarnation))
        draft.note("disposed", agent_id)
        yield Choice(f"{name} disposes of {agent_id}", draft, progress=False)
    if runs:
        yield from of_the_active(maker, name, record)
    elif not record.failed:
        draft = maker.draft()
        started = draft.commit(name, "activate", agent_id, incarnation, event={}, at=0.0)
        draft.start_child(name, started.record)
        yield Choice(f"{name} activates {agent_id}", draft, progress=False)


def of_the_active(maker: Maker, name: str, record: PagletRecord) -> Iterator[Choice]:
    agent_id, incarnation = record.agent_id, record.incarnation
    life = Life(agent_id, incarnation)
    state = BlobRef(b"", incarnation.epoch)
    if maker.may("here"):
        draft = maker.draft("here")
        started = draft.commit(name, "move_here", agent_id, incarnation, state=state, event={}, at=0.0)
        draft.end_child(name, life)
        draft.start_child(name, started.record)
        yield Choice(f"{name} moves {agent_id} to itself", draft, progress=False)
    if maker.may("parks"):
        draft = maker.draft("parks")
        draft.commit(name, "deactivate", agent_id, incarnation, state=state, policy={}, request={}, at=0.0)
        draft.end_child(name, life)
        yield Choice(f"{name} parks {agent_id}", draft, progress=False)
    if maker.may("failures"):
        draft = maker.draft("failures")
        draft.commit(name, "mark_failed", agent_id, incarnation, "hook raised", at=0.0)
        draft.end_child(name, life)
        yield Choice(f"{name} marks {agent_id} as failed", draft, progress=False)


# --- processes


def lives(maker: Maker, name: str, host: HostState, record: PagletRecord) -> Iterator[Choice]:
    agent_id, incarnation = record.agent_id, record.incarnation
    life = Life(agent_id, incarnation)
    if record.phase is Phase.ACTIVE and life not in host.children and not busy(host, agent_id):
        draft = maker.draft()
        started = draft.commit(name, "recover", agent_id, incarnation, event=EVENT, at=0.0)
        draft.start_child(name, started.record)
        yield Choice(f"{name} recovers {agent_id} from life {incarnation}", draft, progress=True)
    if maker.scope.hooks and record.pending and record.phase is Phase.ACTIVE and life in host.children:
        draft = maker.draft()
        draft.commit(name, "complete_hook", agent_id, incarnation, state=None, at=0.0)
        yield Choice(f"{name}: the hook of {agent_id} returns", draft, progress=True)
    if maker.scope.receipts and record.phase is Phase.ACTIVE and not record.receipt and life in host.children:
        draft = maker.draft()
        draft.commit(name, "keep_receipt", agent_id, incarnation, b"signed", at=0.0)
        yield Choice(f"{name} keeps the receipt of {agent_id}", draft, progress=True)


def of_the_host(maker: Maker, name: str, host: HostState) -> Iterator[Choice]:
    held = opened(host.store)
    if maker.may("crashes") and (held.paglets or host.moves):
        draft = maker.draft("crashes")
        draft.crash(name)
        yield Choice(f"{name} crashes and comes back", draft, progress=False)
    for life in sorted(host.children):
        if maker.may("deaths"):
            draft = maker.draft("deaths")
            draft.put(name, children=host.children - {life})
            for running in host.moves:
                if Life(running.move.agent_id, running.life) == life:
                    draft.tell(name, running.move.transfer_id, on.ProcessEnded())
            yield Choice(f"{name}: the child of {life.agent_id} dies", draft, progress=False)
    for life in sorted(host.ending):
        draft = maker.draft()
        draft.put(name, ending=host.ending - {life})
        yield Choice(f"{name}: an old child of {life.agent_id} has ended", draft, progress=True)
    if maker.scope.checkpoints:
        yield from checkpoints(maker, name, host)
    if maker.scope.floors:
        for target in maker.scope.host_ids:
            told = FloorTold(name, target, floor_of(maker.scope, host, name, target))
            if target != name and told.floor > 1 and told not in maker.world.net:
                draft = maker.draft()
                draft.send(told)
                yield Choice(f"{name} tells {target} its floor {told.floor}", draft, progress=True)
    if maker.may("restores"):
        draft = maker.draft("restores")
        seen = PeerRecord(name, STORE[0], STORE[1] + 1)
        draft.commit(name, "note_own_store", name, *STORE, seen)
        yield Choice(f"{name} learns that its store was restored", draft, progress=False)


def checkpoints(maker: Maker, name: str, host: HostState) -> Iterator[Choice]:
    """Every child tries, those that should not be running any more, too."""
    for agent_id, incarnation in sorted(host.children | host.ending):
        draft = maker.draft()
        try:
            draft.commit(name, "checkpoint", agent_id, incarnation, BlobRef(b"", incarnation.epoch), at=0.0)
        except JournalConflict:
            continue
        yield Choice(f"{name}: {agent_id} checkpoints in life {incarnation}", draft, progress=False)


def floor_of(scope: Scope, host: HostState, name: str, target: str) -> int:
    """The floor that the host tells, by the product's own means; 0 where floors are left out."""
    if not scope.floors:
        return 0
    held = opened(host.store)
    unsettled = [
        (record.outgoing.target_id, record.outgoing.transfer_id)
        for record in held.paglets
        if record.phase is Phase.PREPARED and record.outgoing
    ]
    if scope.rules.floors_of_memory:
        unsettled += [(r.outgoing.target_id, r.move.transfer_id) for r in host.moves]
    return OpenTransfers(name, held.counter, unsettled).floor(target)


# --- what waits


def waits(maker: Maker, name: str, host: HostState, record: PagletRecord) -> Iterator[Choice]:
    agent_id = record.agent_id
    if maker.may("messages") and record.phase in {Phase.INACTIVE, Phase.PREPARED}:
        draft = maker.draft("messages")
        message_id = f"m{maker.world.budget[POSITION['messages']]}"
        try:
            draft.commit(name, "enqueue", agent_id, QueuedRecord(message_id, b"", oneway=True, queued_at=0.0))
        except JournalConflict:
            return
        draft.note("accepted", agent_id, message_id)
        yield Choice(f"{name} queues {message_id} for {agent_id}", draft, progress=False)
    for message in dict(opened(host.store).queues).get(agent_id, ()):
        yield from of_a_message(maker, name, host, record, message)
    if record.phase in {Phase.DEPARTED, Phase.TOMBSTONE} and maker.may("forgets"):
        draft = maker.draft("forgets")
        try:
            draft.commit(name, "forget", agent_id, record.incarnation, now=LONG_AFTER)
        except JournalConflict:
            return
        yield Choice(f"{name} forgets {agent_id}", draft, progress=False)


def of_a_message(
    maker: Maker, name: str, host: HostState, record: PagletRecord, message: QueuedRecord
) -> Iterator[Choice]:
    agent_id, message_id = record.agent_id, message.message_id
    if Life(agent_id, record.incarnation) in host.children and record.phase is Phase.ACTIVE:
        draft = maker.draft()
        draft.note("handled", agent_id, message_id)
        draft.commit(name, "take_message", agent_id, message_id)
        yield Choice(f"{name}: {agent_id} handles {message_id}", draft, progress=True)
    forward = maker.scope.rules.follow(record, None)
    if forward is not None:
        letter = Letter(name, forward.incarnation, forward.host_id, agent_id, message_id, forward.incarnation)
        if letter not in maker.world.net:
            draft = maker.draft()
            draft.send(letter)
            yield Choice(f"{name} forwards {message_id} to {forward.host_id}", draft, progress=True)


def first_record(agent_id: str, birth: str) -> PagletRecord:
    return PagletRecord(
        agent_id=agent_id,
        birth=birth,
        phase=Phase.ACTIVE,
        incarnation=Incarnation(),
        class_name="m:C",
        state_class_name="m:S",
        state=BlobRef(b"", 1),
        pending=PendingHook(HookKind.CREATION),
    )
