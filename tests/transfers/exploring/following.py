"""What can follow from a world: all that is only said is said at once, and every other step is tried."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tests.transfers.exploring.numbered import FACTS, NET

if TYPE_CHECKING:
    from tests.transfers.exploring.numbered import Atlas, Change, Numbered
    from tests.transfers.exploring.remembering import Deed, Memory


class Following(NamedTuple):
    """A world in which all is said that can be, and the steps there that change more than that."""

    world: Numbered
    said: list[str]
    """What was only said, to come there."""
    steps: list[tuple[Deed, Change]]


def following(world: Numbered, memory: Memory, atlas: Atlas, *, duties_only: bool = False) -> Following:
    """Take what the protocol does by itself and what does nothing but send, and look for all other steps.

    With a message more under way everything can happen that could without it, so to try when it is sent, and
    whether, leads to nothing else: that it never comes is tried anyway.
    """
    said: list[str] = []
    while True:
        grown = world
        steps: list[tuple[Deed, Change]] = []
        for deed in memory.steps(world):
            if duties_only and not deed.choice.progress:
                continue
            change = memory.take(deed, world)
            if change is None:
                continue
            if deed.choice.progress and not change.hosts and not change.severed:
                after = atlas.after(grown, change, deed.choice.spend)
                if after[FACTS:] == world[FACTS:]:
                    if after[NET] != grown[NET]:
                        grown = after
                        said.append(change.label)
                    continue
            steps.append((deed, change))
        if grown == world:
            return Following(world, said, steps)
        world = grown
