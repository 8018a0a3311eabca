"""Every history of two hosts and an outbox keeps the promises of ``docs/outbox.md``."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

import pytest

from paglets.persistence import outbox_rules
from tests.outbox.exploring.explorer import Scope, explore
from tests.outbox.exploring.world import Budget, Rules

if TYPE_CHECKING:
    from collections.abc import Callable

TWO_LANES = (("1a", "a", False), ("1b", "b", False))
THREE = (*TWO_LANES, ("2a", "a", False))
MORTAL = (("1a", "a", True), ("2a", "a", False))

WORLDS = {
    "one lane": Scope(Budget(crashes=1, silences=1)),
    "one lane, two crashes": Scope(Budget(crashes=2, silences=1)),
    "two lanes": Scope(Budget(crashes=1, silences=1), TWO_LANES),
    "full disks": Scope(Budget(crashes=1, silences=1, full_disks=1)),
    "a paglet that comes and goes": Scope(Budget(crashes=1, silences=1, absences=2)),
    "a paglet that is busy": Scope(Budget(crashes=1, silences=1, busy=2)),
    "time that is over": Scope(Budget(crashes=1, silences=1, expiries=1), MORTAL),
    "time that is over, absences": Scope(Budget(silences=2, expiries=1, absences=2), MORTAL),
}


@pytest.mark.parametrize("name", WORLDS)
def test_no_history_breaks_a_promise(name: str) -> None:
    findings = explore(WORLDS[name])
    assert not findings.violation, str(findings)
    assert findings.states > 100


@pytest.mark.slow
def test_no_longer_history_breaks_a_promise() -> None:
    findings = explore(Scope(Budget(crashes=1), THREE))
    assert not findings.violation, str(findings)


def test_every_durable_step_between_hosts_is_explored() -> None:
    steps = {
        name
        for name, function in inspect.getmembers(outbox_rules, inspect.isfunction)
        if function.__module__ == outbox_rules.__name__
        if next(iter(inspect.signature(function).parameters), "") == "tx"
    }
    of_dead_letters = {"crashed", "revive", "discard"}
    exercised: set[str] = set()

    def watched(name: str) -> Callable[..., object]:
        def rule(*args: object, **kwargs: object) -> object:
            exercised.add(name)
            return getattr(outbox_rules, name)(*args, **kwargs)

        return rule

    rules = Rules()
    for name in steps - of_dead_letters:
        setattr(rules, name, watched(name))
    explore(Scope(Budget(expiries=1), MORTAL, rules))
    assert exercised == steps - of_dead_letters
