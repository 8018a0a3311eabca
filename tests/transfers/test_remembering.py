"""What is left out to be quicker leads nowhere else: steps that are remembered, and worlds that others cover."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.transfers.exploring.explorer import explore, start
from tests.transfers.exploring.numbered import FACTS, Atlas
from tests.transfers.exploring.remembering import Memory
from tests.transfers.exploring.scope import Budget, Scope
from tests.transfers.exploring.world import BrokenPromiseError

if TYPE_CHECKING:
    from tests.transfers.exploring.numbered import Change, Numbered
    from tests.transfers.exploring.remembering import Deed

SCOPES = {
    "moves": Scope(Budget(moves=2, refusals=1, messages=1)),
    "an adoption": Scope(Budget(moves=1, deadlines=1, adoptions=1)),
    "a restored store": Scope(Budget(moves=1, backups=1, restores=1), floors=True, settles=False),
}


class Oblivious(Memory):
    """Works out each step in each world."""

    def take(self, deed: Deed, world: Numbered) -> Change | None:
        outcome = self.work_out(deed, world)
        if isinstance(outcome, str):
            raise BrokenPromiseError(outcome)
        return outcome


@pytest.mark.parametrize("name", SCOPES)
def test_it_makes_no_difference_to_remember(name: str) -> None:
    remembered, oblivious = explore(SCOPES[name]), explore(SCOPES[name], Oblivious)
    assert remembered.states > 20
    assert remembered == oblivious


@pytest.mark.parametrize("name", SCOPES)
def test_what_is_covered_leads_to_no_other_hosts_or_facts(name: str) -> None:
    assert explore(SCOPES[name]).places == len(without_covering(SCOPES[name]))


def without_covering(scope: Scope) -> set[Numbered]:
    """The hosts and facts of every world that there is, each step taken at any time."""
    atlas = Atlas()
    memory = Memory(scope, atlas)
    first = atlas.numbered(start(scope))
    found, waiting = {first}, [first]
    while waiting:
        world = waiting.pop()
        for deed in memory.steps(world):
            change = memory.take(deed, world)
            if change is not None:
                after = atlas.after(world, change, deed.choice.spend)
                if after not in found:
                    found.add(after)
                    waiting.append(after)
    return {world[FACTS:] for world in found}
