"""A world being changed by one step."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from paglets.core.incarnation import Incarnation, TransferId
from paglets.persistence.journal.conflict import JournalConflict
from paglets.persistence.journal.meeting import last_known
from paglets.persistence.records import MoveKind, Outgoing, Phase, is_at_work
from paglets.runtime.transfers import effects as do
from paglets.runtime.transfers import events as on
from tests.transfers.exploring.messages import Envelope
from tests.transfers.exploring.stores import records, tables
from tests.transfers.exploring.world import BrokenPromiseError, HostState, Life, Running

if TYPE_CHECKING:
    from collections.abc import Callable

    from paglets.persistence.journal.meeting import GaveWay
    from paglets.persistence.records import PagletRecord
    from paglets.runtime.transfers.source_move import SourceMove
    from tests.transfers.exploring.scope import Scope
    from tests.transfers.exploring.stores import Store
    from tests.transfers.exploring.world import View

DEADLINE = 10.0
_HELD = {Phase.ACTIVE, Phase.INACTIVE, Phase.PREPARED}


class Draft:
    """What one step makes of a world: the hosts as they are then, and what was sent and has happened."""

    def __init__(self, world: View, scope: Scope) -> None:
        self.scope = scope
        self.rules = scope.rules
        self.hosts = list(world.hosts)
        self.sent: list[Any] = []
        self.noted: list[Any] = []
        self.severed = ""
        """A host to which no envelope that is under way comes any more."""
        self._facts = world.facts
        self._index = scope.index

    def host(self, name: str) -> HostState:
        return self.hosts[self._index[name]]

    def record(self, name: str, agent_id: str) -> PagletRecord | None:
        return records(self.host(name).store).get(agent_id)

    def put(self, name: str, **changes: Any) -> None:
        self.hosts[self._index[name]] = self.host(name)._replace(**changes)

    def send(self, message: Any) -> None:
        self.sent.append(message)

    def note(self, *fact: Any) -> None:
        self.noted.append(fact)

    def known(self, *fact: Any) -> bool:
        """Whether that has happened."""
        return fact in self._facts or fact in self.noted

    # --- durable steps

    def commit(self, name: str, rule: str, *args: Any, **kwargs: Any) -> Any:
        """Apply a rule of the journal and sync it; ``JournalConflict`` passes through."""
        function: Callable[..., Any] = getattr(self.rules, rule)
        before = self.host(name).store
        changed = tables(before).copy()
        try:
            result = function(changed, *args, **kwargs)
        except JournalConflict:
            self.scope.refused.add(rule)
            raise
        after = self.scope.pack(changed)
        if after != before:
            self.scope.exercised.add(rule)
            self.put(name, store=after)
            self._states_go_forward(name, before, after)
            self._copies_are_kept(name, rule, before, after)
        return result

    def _copies_are_kept(self, name: str, rule: str, before: Store, after: Store) -> None:
        """What gives way to a higher lineage goes into quarantine, and nothing leaves it by itself.

        By ``outlive`` it goes on itself, in the lineage in which it was here.
        """
        if rule in {"adopt", "adopt_copy", "discard_copy", "outlive"}:
            return
        kept, now = tables(after).kept, records(after)
        expected = set(tables(before).kept)
        for agent_id, record in records(before).items():
            later = now.get(agent_id)
            if later is record or later is None or record.phase not in _HELD:
                continue
            if last_known(later).lineage > record.incarnation.lineage:
                expected.add((agent_id, record.incarnation))
        if expected - kept.keys():
            raise BrokenPromiseError(f"I7 a copy that gave way at {name} is gone: {expected - kept.keys()}")

    def _states_go_forward(self, name: str, before: Store, after: Store) -> None:
        """The size of a state is, in these worlds, the epoch that wrote it; an adoption may go back to an older one."""
        old = records(before)
        for agent_id, record in records(after).items():
            earlier = old.get(agent_id)
            if earlier is record or earlier is None or earlier.state is None or record.state is None:
                continue
            if record.incarnation.lineage > earlier.incarnation.lineage:
                continue
            if record.state.size < earlier.state.size:
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

    def begin(
        self, name: str, agent_id: str, target: str, kind: MoveKind, *, queue_key: str | None = None
    ) -> None:
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
        running = Running(begun.move, outgoing, life, queue_key=queue_key)
        self.put(name, moves=(*host.moves, running))
        if kind is MoveKind.RETRACT:
            self.note("recalled", outgoing.transfer_id)
        self.carry_out(name, running, begun.effects)

    def tell(self, name: str, transfer_id: TransferId, event: on.Event, *, write_ended: bool = False) -> None:
        """Let the machine of a move, if there still is one, take an event."""
        for running in self.host(name).moves:
            if running.move.transfer_id == transfer_id:
                now = DEADLINE if running.late else 0.0
                after = self.rules.step(running.move, event, now)
                # How often it was asked only sets the pace, so it is kept out of the state.
                move = replace(after.move, failed_asks=0) if after.move.failed_asks else after.move
                write = None if write_ended else running.write
                self.carry_out(name, running._replace(move=move, write=write), after.effects)
                return

    def retire(self, name: str, running: Running) -> None:
        """Write a changed move back; one that is over, with no write queued, is gone from memory."""
        transfer_id = running.move.transfer_id
        over = running.move.over and running.write is None
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
                case (
                    do.WritePrepared()
                    | do.WriteAbort()
                    | do.WriteArrived()
                    | do.WriteFenced()
                    | do.WriteAdopted()
                ):
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

    # --- copies that meet

    def met(self, name: str, gave_way: GaveWay) -> None:
        """A copy has given way: its process ends, and so does its move."""
        record = gave_way.record
        self.end_child(name, Life(record.agent_id, record.incarnation))
        for running in self.host(name).moves:
            if running.move.agent_id == record.agent_id:
                self.tell(name, running.move.transfer_id, on.GaveWay(gave_way.abandoned is not None))

    def must_be_alive(self, name: str, life: Life) -> None:
        record = self.record(name, life.agent_id)
        lives = record and record.phase is Phase.ACTIVE and record.incarnation == life.incarnation
        if not lives or life not in self.host(name).children:
            raise BrokenPromiseError(f"{name} resumes a process of {life.agent_id} whose life is over")

    def believe(self, name: str, move: SourceMove, effect: do.Effect) -> None:
        """What is said of a move has to be true, and to stay so."""
        if isinstance(effect, do.ReportFailed):
            if self.known("arrived", move.transfer_id) and not self._is_forgotten(name, move):
                raise BrokenPromiseError(f"{name} says that {move.transfer_id} failed, but it arrived")
            self.note("failed", move.transfer_id)
        if self._is_forgotten(name, move):
            return
        if isinstance(effect, do.ReportMoved) and not self.known("arrived", move.transfer_id):
            raise BrokenPromiseError(f"{name} says that {move.transfer_id} moved, but it did not")

    def _is_forgotten(self, name: str, move: SourceMove) -> bool:
        """What was true of the move is true no more: a store of one of the two hosts was put back since."""
        target = next(each for each in self.host(name).moves if each.move.transfer_id == move.transfer_id)
        return self.known("restored", name) or self.known("restored", target.outgoing.target_id)

    def envelope(self, name: str, running: Running) -> Envelope:
        record = self.record(name, running.move.agent_id)
        outgoing = running.outgoing
        parked = outgoing.kind is not MoveKind.CLONE and record is not None and not is_at_work(record)
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

    # --- the end of a host's life

    def stop(self, name: str) -> None:
        """The host dies: memory and children are gone."""
        self.put(name, moves=(), waits=(), children=frozenset[Life](), ending=frozenset[Life](), survey=None)

    def take_up(self, name: str) -> None:
        """The host has started: transfers that its journal holds open are asked about."""
        for agent_id, record in records(self.host(name).store).items():
            if record.phase is Phase.PREPARED and record.outgoing:
                resumed = self.rules.resume(agent_id, record.outgoing)
                running = Running(resumed.move, record.outgoing, record.incarnation, late=True)
                self.put(name, moves=(*self.host(name).moves, running))
                self.carry_out(name, running, resumed.effects)
