"""Visits every state that a scope can reach, and keeps the shortest history of each."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

from paglets.persistence.memory import MemoryTransaction
from paglets.testing.network.traffic import Traffic
from tests.transfers.exploring.following import following
from tests.transfers.exploring.graph import ROOT, Graph
from tests.transfers.exploring.invariants import at_rest, check, doubtful, living
from tests.transfers.exploring.numbered import FACTS, Atlas, Numbered
from tests.transfers.exploring.remembering import Memory
from tests.transfers.exploring.settling import Settling
from tests.transfers.exploring.wanting import first_record
from tests.transfers.exploring.world import BrokenPromiseError, HostState, Life, World

if TYPE_CHECKING:
    from tests.transfers.exploring.scope import Scope

LEFT_ALONE = "(all that is under way is lost, and nothing new is begun)"


@dataclass
class Findings:
    """What an exploration saw."""

    states: int
    violation: str = ""
    history: tuple[str, ...] = ()
    places: int = 0
    """So many of them differ in their hosts or in what has happened."""

    def __str__(self) -> str:
        if not self.violation:
            return f"all hold in {self.states} states"
        steps = "\n".join(f"  {i:2}. {label}" for i, label in enumerate(self.history, 1))
        return f"{self.violation}, after\n{steps}"


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
            alive = living(looked_at.facts, self._scope)
            rests = at_rest(looked_at.hosts, alive, self._scope, doubtful(looked_at.facts))
            self._rest[seen] = rests
        return rests


def explore(scope: Scope, remembering: type[Memory] = Memory) -> Findings:
    """The first violation in breadth-first order, with its shortest history, or none."""
    atlas = Atlas()
    graph, memory, judge = Graph(atlas), remembering(scope, atlas), _Judge(scope, atlas)
    graph.add(atlas.numbered(start(scope)), ROOT, "")
    lead(scope, graph, memory, atlas)
    visited: list[int] = []

    def history(place: int) -> tuple[str, ...]:
        steps: list[str] = []
        for number, (world, label) in enumerate(graph.way(place)):
            if number >= len(scope.begins):
                steps += following(world, memory, atlas).said
            steps.append(label)
        return tuple(steps)

    for place in count(graph.begin_here()):
        if place == len(graph.worlds):
            break
        if len(visited) > scope.limit:
            raise AssertionError(f"more than {scope.limit} states: the scope is too large")
        if graph.is_covered(place):
            continue
        visited.append(place)
        try:
            judge.rests(graph.worlds[place])
            expand(graph, memory, atlas, place)
        except BrokenPromiseError as broken:
            return Findings(len(visited), str(broken), history(place))
    if scope.settles:
        settling = Settling(memory, atlas, judge.rests)
        stuck = settling.first_stuck(graph.worlds[place] for place in visited)
        if stuck is not None:
            place = next(each for each in visited if graph.worlds[each][FACTS:] == stuck[FACTS:])
            return Findings(len(visited), "I3 it never settles", (*history(place), LEFT_ALONE))
    return Findings(len(visited), places=len({graph.worlds[place][FACTS:] for place in visited}))


def lead(scope: Scope, graph: Graph, memory: Memory, atlas: Atlas) -> None:
    """Take the steps that all histories of the scope begin with."""
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


def expand(graph: Graph, memory: Memory, atlas: Atlas, place: int) -> None:
    """Add what follows from a world."""
    found = following(graph.worlds[place], memory, atlas)
    for deed, change in found.steps:
        after = atlas.after(found.world, change, deed.choice.spend)
        if after != found.world:
            graph.add(after, place, change.label)


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
