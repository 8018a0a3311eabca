"""Visits every state that a scope can reach, and keeps the shortest history of each."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING

from paglets.persistence.memory import MemoryJournal, Snapshot
from paglets.testing.network.traffic import Traffic
from tests.transfers.exploring.actions import first_record, own_steps
from tests.transfers.exploring.deliveries import deliveries
from tests.transfers.exploring.invariants import at_rest, check
from tests.transfers.exploring.world import BrokenPromiseError, HostState, Life, World, closed

if TYPE_CHECKING:
    from tests.transfers.exploring.scope import Scope

ROOT = -1


@dataclass
class Findings:
    """What an exploration saw."""

    states: int
    violation: str = ""
    history: tuple[str, ...] = ()

    def __str__(self) -> str:
        if not self.violation:
            return f"all hold in {self.states} states"
        steps = "\n".join(f"  {i:2}. {label}" for i, label in enumerate(self.history, 1))
        return f"{self.violation}, after\n{steps}"


class _Graph:
    """States by number, and how each was first reached."""

    def __init__(self) -> None:
        self.worlds: list[World] = []
        self.numbers: dict[World, int] = {}
        self.parents = array("q")
        self.labels: list[str] = []
        self.onward: list[array[int]] = []
        """By state: where the protocol goes by itself."""

    def add(self, world: World, parent: int, label: str) -> int:
        number = self.numbers.get(world)
        if number is None:
            number = len(self.worlds)
            self.numbers[world] = number
            self.worlds.append(world)
            self.parents.append(parent)
            self.labels.append(label)
        return number

    def history(self, number: int) -> tuple[str, ...]:
        steps: list[str] = []
        while number > 0:
            steps.append(self.labels[number])
            number = self.parents[number]
        return tuple(reversed(steps))


def explore(scope: Scope) -> Findings:
    """The first violation in breadth-first order, with its shortest history, or none."""
    graph = _Graph()
    graph.add(start(scope), ROOT, "")
    resting = bytearray()
    for_visit = 0
    while for_visit < len(graph.worlds):
        if for_visit > scope.limit:
            raise AssertionError(f"more than {scope.limit} states: the scope is too large")
        world = graph.worlds[for_visit]
        try:
            check(world, scope)
        except BrokenPromiseError as broken:
            return Findings(len(graph.worlds), str(broken), graph.history(for_visit))
        resting.append(at_rest(world, scope))
        onward = array("q")
        graph.onward.append(onward)
        broken = expand(scope, graph, for_visit, onward)
        if broken is not None:
            return broken
        for_visit += 1
    if scope.settles:
        stuck = first_stuck(graph, resting)
        if stuck is not None:
            return Findings(len(graph.worlds), "I3 it never settles", graph.history(stuck))
    return Findings(len(graph.worlds))


def expand(scope: Scope, graph: _Graph, number: int, onward: array[int]) -> Findings | None:
    """Add what follows from a state; a broken promise on the way is returned."""
    world = graph.worlds[number]
    try:
        for source in (own_steps(world, scope), deliveries(world, scope)):
            for choice in source:
                after = choice.draft.done()
                if after != world:
                    following = graph.add(after, number, choice.label)
                    if choice.progress:
                        onward.append(following)
    except BrokenPromiseError as broken:
        return Findings(len(graph.worlds), str(broken), graph.history(number))
    if scope.settles and (world.net or any(world.budget)):
        lost = world._replace(net=world.net.lose_all(), budget=(0,) * len(world.budget))
        graph.add(lost, number, "(all that is under way is lost, and nothing new is begun)")
    return None


def first_stuck(graph: _Graph, resting: bytearray) -> int | None:
    """The first state from which the protocol, left to itself, never comes to rest."""
    back: list[array[int] | None] = [None] * len(graph.worlds)
    for number, onward in enumerate(graph.onward):
        for following in onward:
            sources = back[following]
            if sources is None:
                sources = back[following] = array("q")
            sources.append(number)
    good = bytearray(resting)
    waiting = [number for number, rests in enumerate(good) if rests]
    while waiting:
        for source in back[waiting.pop()] or ():
            if not good[source]:
                good[source] = 1
                waiting.append(source)
    return next((number for number, fine in enumerate(good) if not fine), None)


def start(scope: Scope) -> World:
    """Every paglet created and running where it was born."""
    hosts: list[HostState] = []
    for name in scope.host_ids:
        journal = MemoryJournal(Snapshot())
        children: set[Life] = set()
        for agent_id, birth in scope.agents.items():
            if birth == name:
                record = first_record(agent_id, birth)
                journal.commit(lambda tx, record=record: scope.rules.create(tx, record))
                scope.exercised.add("create")
                journal.commit(
                    lambda tx, record=record: scope.rules.complete_hook(
                        tx, record.agent_id, record.incarnation, state=None, at=0.0
                    )
                )
                children.add(Life(agent_id, record.incarnation))
        hosts.append(HostState(closed(journal.snapshot()), children=frozenset(children)))
    return World(tuple(hosts), Traffic(), tuple(scope.budget), frozenset())
