"""What a paglet does with its queue, and operators with dead letters; the product's own rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paglets.persistence.outbox_records import DeadLetter
from paglets.persistence.outbox_rules import Answer
from paglets.persistence.records import QueuedRecord
from paglets.runtime.outbox import machine
from paglets.runtime.outbox.judging import judge
from tests.outbox.exploring.world import AGENT, Tables, World

if TYPE_CHECKING:
    from collections.abc import Iterator

    from paglets.persistence.records import PagletRecord
    from tests.outbox.exploring.explorer import Scope


def queue_steps(world: World, scope: Scope) -> Iterator[tuple[str, World]]:
    """The paglet handles the first of its messages, or its process ends over it."""
    if not scope.budget.ends or not world.present or not world.receiver.queue:
        return
    first = world.receiver.queue[0]
    yield f"{first.message_id} is handled", _handled(world, first)
    if world.budget.ends:
        yield f"a process ends over {first.message_id}", _ended(world, scope, first)


def _receiver(world: World) -> Tables:
    return Tables(world.sender, world.receiver, present=world.present, at_receiver=True)


def _handled(world: World, first: QueuedRecord) -> World:
    tables = _receiver(world)
    tables.drop_queued(AGENT, first.message_id)
    return world._replace(receiver=tables.receiver(), handled=world.handled | {first.message_id})


def _ended(world: World, scope: Scope, first: QueuedRecord) -> World:
    tables, message_id = _receiver(world), first.message_id
    dead = DeadLetter("a", AGENT, message_id, "k", b"", "", "", "it ends processes", False, 0.0, 0.0)
    scope.rules.crashed(tables, AGENT, message_id, dead, scope.crashes_allowed)
    budget = world.budget._replace(ends=world.budget.ends - 1)
    ended = tuple(sorted((*world.ended, message_id)))
    return world._replace(receiver=tables.receiver(), budget=budget, ended=ended)


def letter_steps(world: World, scope: Scope) -> Iterator[tuple[str, World]]:
    """An operator drops a letter, or sends one of the receiver's own again."""
    budget = world.budget
    if budget.drops:
        spent = world._replace(budget=budget._replace(drops=budget.drops - 1))
        for letter in (*world.sender.dead, *world.receiver.dead):
            dropped = world.dropped | {letter.message_id}
            yield f"{letter.message_id} is dropped", _dropped(spent, scope, letter)._replace(dropped=dropped)
    if budget.replays:
        spent = world._replace(budget=budget._replace(replays=budget.replays - 1))
        for letter in world.receiver.dead:
            yield f"{letter.message_id} is queued again", _queued_again(spent, scope, letter)


def _dropped(world: World, scope: Scope, letter: DeadLetter) -> World:
    if letter in world.receiver.dead:
        tables = _receiver(world)
        scope.rules.discard(tables, letter.number)
        return world._replace(receiver=tables.receiver())
    tables = Tables(world.sender, world.receiver, present=world.present)
    scope.rules.discard(tables, letter.number)
    return world._replace(sender=tables.sender())


def _queued_again(world: World, scope: Scope, letter: DeadLetter) -> World:
    def judged(record: PagletRecord | None) -> tuple[Answer, str]:
        return judge(record, AGENT, no_delay=False, wakes=True)

    tables = _receiver(world)
    queued = QueuedRecord(letter.message_id, b"", oneway=True, queued_at=0.0)
    received = scope.rules.requeue(tables, letter.number, queued, judged)
    if received.answer is not Answer.ACCEPTED:
        return world
    ended = tuple(each for each in world.ended if each != letter.message_id)
    # It was accepted before, and is so still.
    receiver = tables.receiver()._replace(accepted=world.receiver.accepted)
    return world._replace(receiver=receiver, ended=ended)


def revivals(world: World, scope: Scope) -> Iterator[tuple[str, World, str, machine.Kept]]:
    """A letter of the sender's host is put into the outbox again: the world, and what its lane is told."""
    if not world.budget.replays:
        return
    spent = world._replace(budget=world.budget._replace(replays=world.budget.replays - 1))
    for letter in world.sender.dead:
        tables = Tables(world.sender, world.receiver, present=world.present)
        entry = scope.rules.revive(tables, letter.number, at=0.0, lifetime=scope.forever)
        if entry is None:
            continue
        after = spent._replace(sender=tables.sender(), again=world.again | {letter.message_id})
        if letter.in_doubt:
            after = after._replace(doubtful=world.doubtful | {letter.message_id})
        kept = machine.Kept(machine.Waiting(entry.position, entry.lifetime, entry.number))
        yield f"{letter.message_id} is sent again", after, entry.sender, kept


def broken(world: World, scope: Scope) -> str:
    """Which promise about what was accepted a state breaks; empty: none."""
    for message in world.ended:
        if world.ended.count(message) > scope.crashes_allowed:
            return f"O7 {message} has ended processes {world.ended.count(message)} times"
    waiting = {each.message_id for each in world.receiver.queue}
    dead = {each.message_id for each in world.receiver.dead}
    lost = set(world.receiver.accepted) - waiting - world.handled - dead - world.dropped
    return f"O3 what was accepted is lost: {lost}" if lost else ""
