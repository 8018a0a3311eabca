"""The state of two or three hosts and the network between them, and the steps that change it."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from paglets.core.incarnation import Incarnation, TransferId
from paglets.persistence.journal.conflict import JournalConflict
from paglets.persistence.memory import MemoryJournal, Snapshot
from paglets.persistence.records import BlobRef, MoveKind, Outcome, Outgoing, PagletRecord, Phase
from paglets.runtime.transfers import effects as do
from paglets.runtime.transfers import events as on

if TYPE_CHECKING:
    from collections.abc import Callable

    from paglets.runtime.transfers.source import SourceMove
    from paglets.testing.network.traffic import Traffic
    from tests.transfers.exploring.scope import Scope

DEADLINE = 10.0
EVENT = {"reason": "recovered"}


class Life(NamedTuple):
    """A child process: which paglet it runs, in which life."""

    agent_id: str
    incarnation: Incarnation


class Running(NamedTuple):
    """A move under way in a host's memory."""

    move: SourceMove
    outgoing: Outgoing
    life: Incarnation
    """Of the paglet here, when the move began."""
    write: do.Effect | None = None
    """The commit that is queued for it."""
    streaming: bool = False
    late: bool = False
    """Its deadline has passed."""


class HostState(NamedTuple):
    """One host: what is durable, and what is not."""

    store: bytes
    moves: tuple[Running, ...] = ()
    children: frozenset[Life] = frozenset()
    ending: frozenset[Life] = frozenset()
    """Children that were told to end and have not yet; they may still try to write."""


class Envelope(NamedTuple):
    transfer_id: TransferId
    target: str
    agent_id: str
    birth: str
    incarnation: Incarnation
    kind: MoveKind
    parked: bool
    state: BlobRef | None


class Question(NamedTuple):
    transfer_id: TransferId
    target: str
    agent_id: str
    incarnation: Incarnation
    floor: int


class Answer(NamedTuple):
    transfer_id: TransferId
    outcome: Outcome | None
    """None: closed."""
    incarnation: Incarnation | None = None


class FloorTold(NamedTuple):
    source: str
    target: str
    floor: int


class Recall(NamedTuple):
    """A host asks for a paglet that it saw elsewhere: the first half of a retract."""

    asker: str
    holder: str
    agent_id: str
    incarnation: Incarnation


class Letter(NamedTuple):
    """A message that follows forwards, with where it waits until it is accepted."""

    waits_at: str
    sent_along: Incarnation
    target: str
    agent_id: str
    message_id: str
    followed: Incarnation


class Accepted(NamedTuple):
    waits_at: str
    sent_along: Incarnation
    agent_id: str
    message_id: str


class World(NamedTuple):
    """A state of everything. Nothing is taken off the network: so messages come late, twice, or never."""

    hosts: tuple[HostState, ...]
    net: Traffic[Any]
    budget: tuple[int, ...]
    facts: frozenset[Any]
    """What has happened and cannot be undone, for the invariants only."""


class BrokenPromiseError(Exception):
    """An invariant does not hold."""


_decoder = msgspec.msgpack.Decoder(Snapshot)
_encoder = msgspec.msgpack.Encoder(order="deterministic")


@lru_cache(maxsize=200_000)
def opened(store: bytes) -> Snapshot:
    return _decoder.decode(store)


@lru_cache(maxsize=200_000)
def records(store: bytes) -> dict[str, PagletRecord]:
    return {record.agent_id: record for record in opened(store).paglets}


def closed(snapshot: Snapshot) -> bytes:
    return _encoder.encode(snapshot)


class Draft:
    """A world being changed by one step."""

    def __init__(self, world: World, scope: Scope) -> None:
        self.scope = scope
        self.rules = scope.rules
        self.hosts = list(world.hosts)
        self.net = world.net
        self.budget = world.budget
        self.facts = world.facts
        self.index = {name: i for i, name in enumerate(scope.host_ids)}

    def done(self) -> World:
        return World(tuple(self.hosts), self.net, self.budget, self.facts)

    def spend(self, position: int) -> None:
        budget = self.budget
        self.budget = (*budget[:position], budget[position] - 1, *budget[position + 1 :])

    def host(self, name: str) -> HostState:
        return self.hosts[self.index[name]]

    def put(self, name: str, **changes: Any) -> None:
        self.hosts[self.index[name]] = self.host(name)._replace(**changes)

    def send(self, message: Any) -> None:
        self.net = self.net.send(message)

    def note(self, *fact: Any) -> None:
        self.facts |= {fact}

    # --- durable steps

    def commit(self, name: str, rule: str, *args: Any, **kwargs: Any) -> Any:
        """Apply a rule of the journal and sync it; ``JournalConflict`` passes through."""
        function: Callable[..., Any] = getattr(self.rules, rule)
        before = self.host(name).store
        journal = MemoryJournal(opened(before))
        try:
            result = journal.commit(lambda tx: function(tx, *args, **kwargs))
        except JournalConflict:
            self.scope.refused.add(rule)
            raise
        after = closed(journal.snapshot())
        if after != before:
            self.scope.exercised.add(rule)
            self.put(name, store=after)
            self._states_go_forward(name, before, after)
        return result

    def _states_go_forward(self, name: str, before: bytes, after: bytes) -> None:
        """The size of a state is, in these explorations, the epoch that wrote it."""
        old = records(before)
        for agent_id, record in records(after).items():
            earlier = old.get(agent_id)
            if earlier and earlier.state and record.state and record.state.size < earlier.state.size:
                raise BrokenPromiseError(f"STATE of {agent_id} at {name} was overwritten by an older life")

    # --- children

    def start_child(self, name: str, record: PagletRecord) -> None:
        life = Life(record.agent_id, record.incarnation)
        if life in self.host(name).ending:
            raise BrokenPromiseError(
                f"I1 two processes of {life.agent_id} in life {life.incarnation} at {name}"
            )
        self.put(name, children=self.host(name).children | {life})

    def end_child(self, name: str, life: Life) -> None:
        host = self.host(name)
        if life in host.children:
            ending = host.ending | {life} if self.scope.checkpoints else host.ending
            self.put(name, children=host.children - {life}, ending=ending)

    # --- the machine of one move

    def begin(self, name: str, agent_id: str, target: str, kind: MoveKind, **clone: Any) -> None:
        host = self.host(name)
        record = records(host.store)[agent_id]
        counter = self.commit(name, "reserve_counters", 1)[0]
        life = record.incarnation
        moving = agent_id
        if kind is MoveKind.CLONE:
            moving, life = f"{agent_id}~{name}{counter}", Incarnation(epoch=0)
        outgoing = Outgoing(
            TransferId(name, counter),
            kind,
            target,
            target_url="",
            target_name="",
            incarnation=life.next(),
            was=record.phase,
            header=b"",
            started_at=0.0,
            timeout=DEADLINE,
        )
        begun = self.rules.begin(moving, outgoing, now=0.0)
        self.put(name, moves=(*host.moves, Running(begun.move, outgoing, life)))
        if kind is MoveKind.RETRACT:
            self.note("recalled", outgoing.transfer_id)
        self.carry_out(name, Running(begun.move, outgoing, life), begun.effects)

    def tell(self, name: str, transfer_id: TransferId, event: on.Event, *, write_ended: bool = False) -> None:
        """Let the machine of a move, if there still is one, take an event."""
        for running in self.host(name).moves:
            if running.move.transfer_id == transfer_id:
                now = DEADLINE if running.late else 0.0
                after = self.rules.step(running.move, event, now)
                # How often it was asked only sets the pace, so it is kept out of the state.
                write = None if write_ended else running.write
                changed = running._replace(move=replace(after.move, failed_asks=0), write=write)
                self.carry_out(name, changed, after.effects)
                return

    def retire(self, name: str, running: Running) -> None:
        """Write a changed move back; one that is settled, with no write queued, is gone from memory."""
        transfer_id = running.move.transfer_id
        over = running.move.settled and running.write is None
        moves = tuple(
            running if other.move.transfer_id == transfer_id else other
            for other in self.host(name).moves
            if other.move.transfer_id != transfer_id or not over
        )
        self.put(name, moves=moves)

    def carry_out(self, name: str, running: Running, effects: tuple[do.Effect, ...]) -> None:
        move = running.move
        life = Life(move.agent_id, running.life)
        for effect in effects:
            match effect:
                case do.WritePrepared() | do.WriteAbort() | do.WriteArrived() | do.WriteFenced():
                    if running.write is not None:
                        raise BrokenPromiseError(f"{name} queues {effect} while {running.write} is queued")
                    running = running._replace(write=effect)
                case do.StartStream():
                    running = running._replace(streaming=True)
                case do.CloseStream():
                    running = running._replace(streaming=False)
                case do.SendTrailer():
                    running = running._replace(streaming=False)
                    self.send(self.envelope(name, running))
                case do.EndProcess():
                    self.end_child(name, life)
                case do.RestartProcess():
                    self.end_child(name, life)
                    self.start_child(name, records(self.host(name).store)[move.agent_id])
                case do.ResumeProcess():
                    self.must_be_alive(name, life)
                case _:
                    self.believe(name, move, effect)
        self.retire(name, running)

    def must_be_alive(self, name: str, life: Life) -> None:
        record = records(self.host(name).store).get(life.agent_id)
        lives = record and record.phase is Phase.ACTIVE and record.incarnation == life.incarnation
        if not lives or life not in self.host(name).children:
            raise BrokenPromiseError(f"{name} resumes a process of {life.agent_id} whose life is over")

    def believe(self, name: str, move: SourceMove, effect: do.Effect) -> None:
        """What is said of a move has to be true, and to stay so."""
        has_arrived = ("arrived", move.transfer_id) in self.facts
        if isinstance(effect, do.ReportFailed):
            if has_arrived:
                raise BrokenPromiseError(f"{name} says that {move.transfer_id} failed, but it arrived")
            self.note("failed", move.transfer_id)
        if isinstance(effect, do.ReportMoved) and not has_arrived:
            raise BrokenPromiseError(f"{name} says that {move.transfer_id} moved, but it did not")

    def envelope(self, name: str, running: Running) -> Envelope:
        record = records(self.host(name).store).get(running.move.agent_id)
        outgoing = running.outgoing
        parked = outgoing.was is Phase.INACTIVE and outgoing.kind is not MoveKind.CLONE
        return Envelope(
            outgoing.transfer_id,
            outgoing.target_id,
            running.move.agent_id,
            record.birth if record else "",
            outgoing.incarnation,
            outgoing.kind,
            parked,
            record.state if record else None,
        )

    def crash(self, name: str) -> None:
        """The host dies and comes back: memory and children are gone; transfers are taken up again."""
        self.put(name, moves=(), children=frozenset(), ending=frozenset())
        for agent_id, record in records(self.host(name).store).items():
            if record.phase is Phase.PREPARED and record.outgoing:
                resumed = self.rules.resume(agent_id, record.outgoing)
                running = Running(resumed.move, record.outgoing, record.incarnation, late=True)
                self.put(name, moves=(*self.host(name).moves, running))
                self.carry_out(name, running, resumed.effects)


def busy(host: HostState, agent_id: str) -> bool:
    """True while a move of that paglet is under way."""
    return any(r.move.agent_id == agent_id for r in host.moves)
