"""The worlds that were found, and how each was first reached; those that another one covers are left out."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from tests.transfers.exploring.numbered import BUDGET, FACTS, NET

if TYPE_CHECKING:
    from tests.transfers.exploring.numbered import Atlas, Numbered

ROOT = -1


class Graph:
    """Worlds in the order in which they were found.

    A world *covers* another one with the same hosts and facts when at least as much is under way in it and may
    still happen: no step depends on what is not there, so whatever can follow from the other can follow from this
    one. What is covered need not be visited.
    """

    def __init__(self, atlas: Atlas) -> None:
        self.worlds: list[Numbered] = []
        self._atlas = atlas
        self._at: dict[Numbered, list[int]] = {}
        """By hosts and facts: the worlds that no other one covers."""
        self._covered = bytearray()
        self._parents = array("q")
        self._labels: list[str] = []

    def add(self, world: Numbered, parent: int, label: str) -> None:
        """Keep a world, unless a known one covers it."""
        known = self._at.setdefault(world[FACTS:], [])
        if any(self._covers(self.worlds[place], world) for place in known):
            return
        for place in known[:]:
            if self._covers(world, self.worlds[place]):
                self._covered[place] = 1
                known.remove(place)
        known.append(len(self.worlds))
        self.worlds.append(world)
        self._covered.append(0)
        self._parents.append(parent)
        self._labels.append(label)

    def begin_here(self) -> int:
        """Where the last world is; those before it, which nobody visits, cover nothing."""
        last = len(self.worlds) - 1
        self._at = {self.worlds[last][FACTS:]: [last]}
        return last

    def is_covered(self, place: int) -> bool:
        """Whether all that can follow from a world can follow from another one."""
        return bool(self._covered[place])

    def way(self, place: int) -> list[tuple[Numbered, str]]:
        """The worlds before one, each with the step that was taken there."""
        steps: list[tuple[Numbered, str]] = []
        while (parent := self._parents[place]) != ROOT:
            steps.append((self.worlds[parent], self._labels[place]))
            place = parent
        return steps[::-1]

    def _covers(self, world: Numbered, other: Numbered) -> bool:
        net, its_net = world[NET], other[NET]
        nets = self._atlas.nets.values
        if net != its_net and not nets[its_net] <= nets[net]:
            return False
        budget, its_budget = world[BUDGET], other[BUDGET]
        budgets = self._atlas.budgets.values
        return budget == its_budget or all(map(int.__ge__, budgets[budget], budgets[its_budget]))
