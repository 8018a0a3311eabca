"""Visits every state that a scope can reach, and keeps the shortest history of each."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING

from paglets.persistence.memory import MemoryTransaction
from paglets.testing.network.traffic import Traffic
from tests.transfers.exploring.choices import take
from tests.transfers.exploring.invariants import at_rest, check, living
from tests.transfers.exploring.steps import all_steps
from tests.transfers.exploring.wanting import first_record
from tests.transfers.exploring.world import BrokenPromiseError, HostState, Life, World

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
        resting.append(at_rest(world.hosts, living(world.facts, scope), scope))
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
        for choice in all_steps(world, scope):
            taken = take(choice, world, scope)
            if taken is None:
                continue
            after = taken.draft.done(world, choice.spend)
            if after != world:
                following = graph.add(after, number, taken.label)
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
    return World(tuple(first_hosts(scope)), Traffic(), tuple(scope.budget), frozenset())


def first_hosts(scope: Scope) -> list[HostState]:
    """The hosts, with the paglets that were born there."""
    hosts: list[HostState] = []
    for name in scope.host_ids:
        tx = MemoryTransaction()
        children: set[Life] = set()
        for agent_id, birth in scope.agents.items():
            if birth == name:
                record = scope.rules.create(tx, first_record(agent_id, birth, scope.class_hooks))
                scope.exercised.add("create")
                if record.pending is not None:
                    scope.rules.complete_hook(tx, agent_id, record.incarnation, state=None, at=0.0)
                children.add(Life(agent_id, record.incarnation))
        hosts.append(HostState(scope.pack(tx), children=frozenset(children)))
    return hosts
