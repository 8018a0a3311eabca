"""Whether the protocol, left to itself, comes to rest from every world in which all that was under way is lost.

From one in which more is under way it comes to rest, too: the same steps can be taken there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.transfers.exploring.following import following
from tests.transfers.exploring.numbered import FACTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.transfers.exploring.following import Following
    from tests.transfers.exploring.numbered import Atlas, Numbered
    from tests.transfers.exploring.remembering import Memory


class Settling:
    """Remembers from where it comes to rest."""

    def __init__(self, memory: Memory, atlas: Atlas, rests: Callable[[Numbered], bool]) -> None:
        self._memory = memory
        self._atlas = atlas
        self._rests = rests
        self._good: set[Numbered] = set()

    def first_stuck(self, worlds: Iterable[Numbered]) -> Numbered | None:
        """The first of those from which it does not; None when there is none."""
        distinct = list({world[FACTS:]: self._atlas.left_alone(world) for world in worlds}.values())
        stuck: Numbered | None = None
        for world in reversed(distinct):  # the later ones are nearer to rest, and are remembered
            if not self._comes_to_rest(world):
                stuck = world
        return stuck

    def _comes_to_rest(self, start: Numbered) -> bool:
        before: dict[Numbered, Numbered | None] = {start: None}
        waiting = [start]
        while waiting:
            world = waiting.pop()
            if world in self._good or self._rests(world):
                at: Numbered | None = world
                while at is not None:
                    self._good.add(at)
                    at = before[at]
                return True
            found = self._duties(world)
            for deed, change in found.steps:
                after = self._atlas.after(found.world, change, deed.choice.spend)
                if after not in before:
                    before[after] = world
                    waiting.append(after)
        return False

    def _duties(self, world: Numbered) -> Following:
        return following(world, self._memory, self._atlas, duties_only=True)
