"""Every history of a small world, breadth first: what may happen next, and what has to hold in every state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from paglets.persistence.outbox_records import OutboxEntry
from paglets.persistence.outbox_rules import Answer
from paglets.runtime.outbox import machine
from paglets.runtime.outbox.floors import Floors
from paglets.runtime.outbox.judging import judge
from paglets.runtime.outbox.machine import Stage, Waiting
from paglets.testing.network.traffic import Traffic
from tests.outbox.exploring import letters
from tests.outbox.exploring.world import (
    AGENT,
    Budget,
    Delivery,
    LaneState,
    Message,
    Reply,
    Rules,
    Running,
    T,
    Tables,
    World,
    receive,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from paglets.persistence.records import PagletRecord
    from paglets.runtime.outbox.machine import Event, Step

FOREVER = 1e9
_ROUNDS = 60


class Scope(NamedTuple):
    """A small world: what is posted, in order, as (message, lane, whether its time can be over); and what happens."""

    budget: Budget
    messages: tuple[tuple[str, str, bool], ...] = (("1a", "a", False), ("2a", "a", False))
    rules: Rules = Rules()
    limit: int = 400_000
    crashes_allowed: int = 2
    """So often a message may end the process that handles it."""
    forever: float = FOREVER


@dataclass
class Findings:
    """What an exploration saw."""

    states: int
    violation: str = ""
    history: tuple[str, ...] = ()

    def __str__(self) -> str:
        if not self.violation:
            return f"all hold in {self.states} states"
        return "\n".join([f"{self.violation}, after", *(f"  {label}" for label in self.history)])


def explore(scope: Scope) -> Findings:
    """The first broken promise in breadth-first order, with its shortest history, or none."""
    start = World(scope.budget)
    parents: dict[World, tuple[World, str] | None] = {start: None}
    waiting = [start]
    settled: dict[World, str] = {}
    for world in waiting:
        left_alone = world._replace(net=Traffic[Message](), budget=Budget(), busy=False)
        if left_alone not in settled:
            settled[left_alone] = violation(world, scope) or unsettled(left_alone, scope)
        broken = settled[left_alone]
        if broken:
            return Findings(len(parents), broken, _history(parents, world))
        for label, after in following(world, scope):
            if after not in parents:
                parents[after] = world, label
                waiting.append(after)
        if len(parents) > scope.limit:
            raise AssertionError(f"more than {scope.limit} states: the scope is too large")
    return Findings(len(parents))


def _history(parents: dict[World, tuple[World, str] | None], world: World) -> tuple[str, ...]:
    steps: list[str] = []
    while (origin := parents[world]) is not None:
        world, label = origin
        steps.append(label)
    return tuple(reversed(steps))


# --- what has to hold --------------------------------------------------------------------------------------


def violation(world: World, scope: Scope) -> str:
    """Which promise a state breaks; empty: none."""
    accepted = world.receiver.accepted
    sure = [message for message in accepted if message not in world.doubtful]
    if len(set(sure)) < len(sure):
        return f"O1 a message was accepted twice: {accepted}"
    for lane in {lane for _, lane, _ in scope.messages}:
        order = [message for message, of, _ in scope.messages if of == lane]
        came = [order.index(each) for each in accepted if each in order and each not in world.again]
        if came != sorted(came):
            return f"O2 the order of a lane was not kept: {accepted}"
    kept = {entry.message_id for entry in world.sender.entries}
    dead = {letter.message_id: letter for letter in world.sender.dead}
    for message in world.posted:
        if message not in {*kept, *accepted, *dead, *world.dropped}:
            return f"O3 message {message} is lost"
    for letter in world.sender.dead:
        if not letter.in_doubt and letter.message_id in accepted:
            return f"O4 message {letter.message_id} was accepted, and is a dead letter without doubt"
    return letters.broken(world, scope)


def unsettled(world: World, scope: Scope) -> str:
    """Whether the protocol fails to come to rest in a world that is left to itself, with nothing under way."""
    if not world.running.lanes and world.sender.entries:
        world = _restart(world, scope)
    for _ in range(_ROUNDS):
        broken = violation(world, scope)
        if broken:
            return broken
        names = [name for name, state in world.running.lanes if state.lane.stage is not Stage.IDLE]
        if not names:
            break
        for name in names:
            world = _progress(world, scope, name)
    if world.sender.entries:
        return "O5 a message stays in the outbox although its host is there"
    above = {number for number, _ in world.receiver.seen if number < world.receiver.source.floor}
    return f"O6 answers below the floor are remembered: {above}" if above else ""


def _progress(world: World, scope: Scope, name: str) -> World:
    """The lane's next step when all goes well."""
    state = world.running.lane(name)
    if state.doing is None:
        return _tell(world, scope, name, machine.Silent(state.lane.waiting[0].position))
    for _, after in _lane_steps(world, scope, name):
        for message in after.net - world.net:
            if isinstance(message, Delivery):
                _, answered = _deliver(after, scope, message)
                for reply in answered.net - after.net:
                    if isinstance(reply, Reply):
                        return _hear(answered, scope, name, reply)._replace(net=Traffic[Message]())
        return after
    raise AssertionError("a lane has nothing to do and is not idle")


# --- what may happen ---------------------------------------------------------------------------------------


def following(world: World, scope: Scope) -> Iterator[tuple[str, World]]:
    """Everything that may happen next."""
    yield from _outside(world, scope)
    for name, _ in world.running.lanes:
        yield from _lane_steps(world, scope, name)
        yield from _lane_mishaps(world, scope, name)
    for message in world.net:
        if isinstance(message, Delivery):
            yield _deliver(world, scope, message)
        else:
            for name, _ in world.running.lanes:
                after = _hear(world, scope, name, message)
                if after != world:
                    yield f"{name} hears {message}", after


def _outside(world: World, scope: Scope) -> Iterator[tuple[str, World]]:
    budget = world.budget
    if len(world.posted) < len(scope.messages):
        yield "a message is posted", _post(world, scope)
    if budget.crashes:
        spent = budget._replace(crashes=budget.crashes - 1)
        yield "the sender is killed, and starts again", _restart(world._replace(budget=spent), scope)
    if budget.absences:
        spent = budget._replace(absences=budget.absences - 1)
        yield "the paglet goes, or comes", world._replace(present=not world.present, budget=spent)
    if budget.busy:
        spent = budget._replace(busy=budget.busy - 1)
        yield "the paglet is busy, or free again", world._replace(busy=not world.busy, budget=spent)
    if budget.expiries and not world.now:
        spent = budget._replace(expiries=budget.expiries - 1)
        yield "time is over", world._replace(now=1.0, budget=spent)
    yield from letters.queue_steps(world, scope)
    yield from letters.letter_steps(world, scope)
    for label, after, lane, kept in letters.revivals(world, scope):
        yield label, _tell(after, scope, lane, kept)


def _post(world: World, scope: Scope) -> World:
    message, lane, expires = scope.messages[len(world.posted)]
    tables = Tables(world.sender, world.receiver, present=world.present)
    draft = OutboxEntry(lane, AGENT, message, "k", b"", "", 0.0, 1.0 if expires else FOREVER, T)
    entry = scope.rules.keep(tables, draft)
    world = world._replace(sender=tables.sender(), posted=(*world.posted, message))
    return _tell(world, scope, lane, machine.Kept(_waiting(entry)))


def _restart(world: World, scope: Scope) -> World:
    """The sender as it is when it has read its journal."""
    floors = Floors(world.sender.next_number)
    lanes: dict[str, tuple[Waiting, ...]] = {}
    for entry in world.sender.entries:
        if entry.number:
            floors.numbered(entry.position, entry.host_id, entry.number)
        lanes[entry.sender] = (*lanes.get(entry.sender, ()), _waiting(entry))
    running = Running().with_floors(floors)
    for name, waiting in lanes.items():
        running = running.with_lane(name, _doing(scope.rules.resume(waiting, world.now)))
    return world._replace(running=running)


def _waiting(entry: OutboxEntry) -> Waiting:
    return Waiting(entry.position, entry.lifetime, entry.number)


def _doing(step: Step) -> LaneState:
    return LaneState(step.lane, step.effect)


def _tell(world: World, scope: Scope, name: str, event: Event) -> World:
    state = world.running.lane(name)
    after = scope.rules.step(state.lane, event, world.now)
    doing = (
        after.effect if after.effect is not None or after.lane.stage is not state.lane.stage else state.doing
    )
    return world._replace(running=world.running.with_lane(name, LaneState(after.lane, doing)))


def _lane_steps(world: World, scope: Scope, name: str) -> Iterator[tuple[str, World]]:
    """What a lane does next by itself: one durable step, one message, or hearing that a step is durable."""
    state = world.running.lane(name)
    match state.doing:
        case machine.Reach(position, above):
            yield f"{name} numbers {position}", _number(world, scope, name, position, above)
        case machine.Send(position, number):
            yield f"{name} sends {number}", _send(world, scope, name, position, number)
        case machine.WriteSettled(position) | machine.WriteDead(position):
            yield f"{name} settles {position}", _write(world, scope, name)
        case machine.Pause():
            cleared = _with(world, name, None)
            yield f"{name} tries again", _tell(cleared, scope, name, machine.Due())
        case machine.Numbered() | machine.Settled() as event:
            yield f"{name} learns of {event}", _learn(world, scope, name, event)
        case _:
            pass


def _lane_mishaps(world: World, scope: Scope, name: str) -> Iterator[tuple[str, World]]:
    state, budget = world.running.lane(name), world.budget
    waits = state.doing is None and state.lane.stage is Stage.SENDING
    if budget.silences and (waits or isinstance(state.doing, machine.Reach)):
        spent = _with(world, name, None)._replace(budget=budget._replace(silences=budget.silences - 1))
        yield (
            f"{name} hears nothing",
            _tell(spent, scope, name, machine.Silent(state.lane.waiting[0].position)),
        )
    if budget.full_disks and isinstance(state.doing, machine.WriteSettled | machine.WriteDead):
        spent = _with(world, name, None)._replace(budget=budget._replace(full_disks=budget.full_disks - 1))
        yield f"{name} cannot write", _tell(spent, scope, name, machine.NotWritten(state.doing.position))


def _with(world: World, name: str, doing: machine.Effect | Event | None) -> World:
    state = world.running.lane(name)
    return world._replace(running=world.running.with_lane(name, state._replace(doing=doing)))


def _number(world: World, scope: Scope, name: str, position: int, above: int) -> World:
    floors = world.running.floors()
    floors.numbering(position, T)
    tables = Tables(world.sender, world.receiver, present=world.present)
    entry = scope.rules.number(tables, position, T, above)
    assert entry is not None
    world = world._replace(sender=tables.sender(), running=world.running.with_floors(floors))
    return _with(world, name, machine.Numbered(position, entry.number))


def _learn(world: World, scope: Scope, name: str, event: machine.Numbered | machine.Settled) -> World:
    floors = world.running.floors()
    if isinstance(event, machine.Numbered):
        floors.numbered(event.position, T, event.number)
    else:
        floors.settled(event.position)
    world = world._replace(running=world.running.with_floors(floors))
    return _tell(_with(world, name, None), scope, name, event)


def _send(world: World, scope: Scope, name: str, position: int, number: int) -> World:
    entry = next(each for each in world.sender.entries if each.position == position)
    delivery = Delivery(number, scope.rules.floor(world.running.floors()), entry.message_id)
    return _with(world, name, None)._replace(net=world.net.send(delivery))


def _write(world: World, scope: Scope, name: str) -> World:
    doing = world.running.lane(name).doing
    tables = Tables(world.sender, world.receiver, present=world.present)
    if isinstance(doing, machine.WriteSettled):
        scope.rules.settle(tables, doing.position)
    else:
        assert isinstance(doing, machine.WriteDead)
        scope.rules.bury(tables, doing.position, doing.reason, in_doubt=doing.in_doubt, at=0.0)
    return _with(world._replace(sender=tables.sender()), name, machine.Settled(doing.position))


def _deliver(world: World, scope: Scope, delivery: Delivery) -> tuple[str, World]:
    def judged(record: PagletRecord | None) -> tuple[Answer, str]:
        return (Answer.LATER, "busy") if world.busy else judge(record, AGENT, no_delay=False, wakes=True)

    received, journal = receive(world, scope.rules, delivery, judged)
    reply = Reply(delivery.number, received.answer, received.reason, received.above)
    after = world._replace(net=world.net.send(reply))
    if scope.rules.says_what_is_synced:
        after = after._replace(receiver=journal)
    return f"the receiver answers {delivery} with {received.answer}", after


def _hear(world: World, scope: Scope, name: str, reply: Reply) -> World:
    state = world.running.lane(name)
    if state.doing is not None:
        return world
    return _tell(world, scope, name, machine.Heard(reply.number, reply.answer, reply.reason, reply.above))
