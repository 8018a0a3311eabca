"""Long random walks through a larger world than can be explored; each can be walked again by its seed."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from tests.transfers.exploring.steps import names
from tests.transfers.soaking.simulation import simulate, walk
from tests.transfers.soaking.walk import FAULTS, SCOPE
from tests.transfers.test_controls import (
    CounterNotDurable,
    ReceiptWithoutComparison,
    RefusalNotStored,
    RestartTakesBack,
    Rules,
    TrailerBeforePrepared,
    UnknownNotStored,
    VerdictNotFinal,
)


def test_no_walk_breaks_a_promise() -> None:
    seed = random.randrange(10**9)
    tally = simulate(5000, seed)
    assert not tally.broken, str(tally.broken[0])
    assert tally.moves >= 5000
    assert all(tally.faults[kind] for kind in FAULTS), tally.faults


NOT_WALKED = {
    "deliveries.say_and_lose": "only controls do",
    "queueing.cannot_give_back": "too rare to wait for; small worlds take it",
    "living.discover": "a raw copy of the files: nothing is promised",
    "restoring.force": "a paglet may be doubled then",
    "restoring.park": "what is put back is parked before its host starts; only what comes out later is parked so",
}


def test_every_step_is_walked() -> None:
    """One that is added and never taken makes this fail; a few are rare, so some more seeds may have to be walked."""
    missing = names() - NOT_WALKED.keys()
    for seed in range(8):
        tally = walk(seed, 600)
        assert not tally.broken, str(tally.broken[0])
        missing -= tally.steps.keys()
        if not missing:
            break
    assert not missing, "steps that no walk takes prove nothing"
    assert names() > NOT_WALKED.keys()


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_hundred_thousand_moves_break_no_promise() -> None:
    """A million of them are in the full run of the fault laboratory."""
    seed = random.randrange(10**9)
    tally = simulate(100_000, seed, processes=2)
    assert not tally.broken, str(tally.broken[0])
    assert tally.moves >= 100_000


def test_a_seed_walks_the_same_way_again() -> None:
    first: list[str] = []
    again: list[str] = []
    walk(7, 200, told=first.append)
    walk(7, 200, told=again.append)
    assert len(first) > 1000
    assert first == again


@pytest.mark.parametrize(
    "rules",
    [
        CounterNotDurable,
        ReceiptWithoutComparison,
        RefusalNotStored,
        RestartTakesBack,
        TrailerBeforePrepared,
        UnknownNotStored,
        VerdictNotFinal,
    ],
    ids=lambda rules: rules.__name__,
)
def test_without_the_clause_a_walk_breaks_a_promise(rules: type[Rules]) -> None:
    broken = [walk(seed, 500, replace(SCOPE, rules=rules)).broken for seed in range(3)]
    assert any(broken), "not even one of three walks"
