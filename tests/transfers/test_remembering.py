"""Steps that are remembered lead where they lead when they are worked out in each world anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.transfers.exploring.explorer import explore
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
    assert remembered.states > 100
    assert remembered == oblivious
