"""Visits every state that a scope can reach, and keeps the shortest history of each."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING

from paglets.persistence.memory import MemoryTransaction
from paglets.testing.network.traffic import Traffic
from tests.transfers.exploring.invariants import at_rest, check, living
from tests.transfers.exploring.numbered import FACTS, Atlas, Numbered
from tests.transfers.exploring.remembering import Memory
from tests.transfers.exploring.wanting import first_record
from tests.transfers.exploring.world import BrokenPromiseError, HostState, Life, World

if TYPE_CHECKING:
    from tests.transfers.exploring.scope import Scope

ROOT = -1
LEFT_ALONE = "(all that is under way is lost, and nothing new is begun)"


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
    """Worlds in the order in which they were found, and how each was first reached."""

    def __init__(self) -> None:
        self.worlds: list[Numbered] = []
        self.places: dict[Numbered, int] = {}
        self.parents = array("q")
        self.labels: list[str] = []
        self.onward: list[array[int]] = []
        """By world: where the protocol goes by itself."""

    def add(self, world: Numbered, parent: int, label: str) -> int:
        place = self.places.get(world)
        if place is None:
            place = len(self.worlds)
            self.places[world] = place
            self.worlds.append(world)
            self.parents.append(parent)
            self.labels.append(label)
        return place

    def history(self, place: int) -> tuple[str, ...]:
        steps: list[str] = []
        while place > 0:
            steps.append(self.labels[place])
            place = self.parents[place]
        return tuple(reversed(steps))


class _Judge:
    """What has to hold; it goes by the hosts and the facts alone."""

    def __init__(self, scope: Scope, atlas: Atlas) -> None:
        self._scope = scope
        self._atlas = atlas
        self._rest: dict[Numbered, bool] = {}

    def rests(self, world: Numbered) -> bool:
        """Whether nothing is open there; `BrokenPromiseError` when a promise is broken."""
        seen = world[FACTS:]
        rests = self._rest.get(seen)
        if rests is None:
            looked_at = self._atlas.world(world)
            check(looked_at, self._scope)
            rests = at_rest(looked_at.hosts, living(looked_at.facts, self._scope), self._scope)
            self._rest[seen] = rests
        return rests


def explore(scope: Scope, remembering: type[Memory] = Memory) -> Findings:
    """The first violation in breadth-first order, with its shortest history, or none."""
    atlas, graph, resting = Atlas(), _Graph(), bytearray()
    memory, judge = remembering(scope, atlas), _Judge(scope, atlas)
    graph.add(atlas.numbered(start(scope)), ROOT, "")
    first = lead(scope, graph, memory, atlas)
    for place, world in enumerate(graph.worlds):  # which grows
        if place < first:
            resting.append(judge.rests(world))
            graph.onward.append(array("q", [place + 1]))
            continue
        if place > scope.limit:
            raise AssertionError(f"more than {scope.limit} states: the scope is too large")
        try:
            resting.append(judge.rests(world))
            graph.onward.append(expand(scope, graph, memory, atlas, place))
        except BrokenPromiseError as broken:
            return Findings(len(graph.worlds), str(broken), graph.history(place))
    if scope.settles:
        stuck = first_stuck(graph, resting)
        if stuck is not None:
            return Findings(len(graph.worlds), "I3 it never settles", graph.history(stuck))
    return Findings(len(graph.worlds))


def lead(scope: Scope, graph: _Graph, memory: Memory, atlas: Atlas) -> int:
    """Take the steps that all histories of the scope begin with; where the last one leads."""
    for label in scope.begins:
        place = len(graph.worlds) - 1
        world = graph.worlds[place]
        for deed in memory.steps(world):
            change = memory.take(deed, world)
            if change is not None and change.label == label:
                graph.add(atlas.after(world, change, deed.choice.spend), place, label)
                break
        else:
            labels = sorted(
                change.label for deed in memory.steps(world) if (change := memory.take(deed, world))
            )
            raise AssertionError(f"no step is called {label!r} there; there are {labels}")
    return len(graph.worlds) - 1


def expand(scope: Scope, graph: _Graph, memory: Memory, atlas: Atlas, place: int) -> array[int]:
    """Add what follows from a world, and say where the protocol goes from there by itself."""
    world, onward = graph.worlds[place], array("q")
    for deed in memory.steps(world):
        change = memory.take(deed, world)
        if change is None:
            continue
        after = atlas.after(world, change, deed.choice.spend)
        if after != world:
            following = graph.add(after, place, change.label)
            if deed.choice.progress:
                onward.append(following)
    if scope.settles:
        graph.add(atlas.left_alone(world), place, LEFT_ALONE)
    return onward


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
