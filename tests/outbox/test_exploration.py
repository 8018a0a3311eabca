"""Every history of two hosts and an outbox keeps the promises of ``docs/outbox.md``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from paglets.persistence import outbox_rules
from tests.outbox.exploring.explorer import Scope, explore
from tests.outbox.exploring.world import Budget, Rules, Tables
from tests.transfers.exploring.coverage import missed, watched

if TYPE_CHECKING:
    from paglets.persistence.outbox_records import OutboxEntry
    from paglets.persistence.outbox_rules import OutboxTransaction

TWO_LANES = (("1a", "a", False), ("1b", "b", False))
THREE = (*TWO_LANES, ("2a", "a", False))
MORTAL = (("1a", "a", True), ("2a", "a", False))
ONE = (("1a", "a", False),)
ONE_MORTAL = (("1a", "a", True),)

WORLDS = {
    "one lane": Scope(Budget(crashes=1, silences=1)),
    "one lane, two crashes": Scope(Budget(crashes=2, silences=1)),
    "two lanes": Scope(Budget(crashes=1, silences=1), TWO_LANES),
    "full disks": Scope(Budget(crashes=1, silences=1, full_disks=1)),
    "a paglet that comes and goes": Scope(Budget(crashes=1, silences=1, absences=2)),
    "a paglet that is busy": Scope(Budget(crashes=1, silences=1, busy=2)),
    "time that is over": Scope(Budget(crashes=1, silences=1, expiries=1), MORTAL),
    "time that is over, absences": Scope(Budget(silences=2, expiries=1, absences=2), MORTAL),
    "refused, and sent again": Scope(Budget(silences=1, absences=2, replays=1)),
    "given up, and sent again": Scope(Budget(crashes=1, expiries=1, silences=1, replays=1), MORTAL),
    "given up, sent again, and refused": Scope(
        Budget(silences=1, absences=1, expiries=1, replays=1), ONE_MORTAL
    ),
    "dropped": Scope(Budget(silences=1, absences=2, expiries=1, drops=1), MORTAL),
    "processes that end": Scope(Budget(ends=3, silences=1, replays=1, drops=1)),
    "processes that end, and end again": Scope(Budget(ends=4, replays=2, absences=1), ONE),
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


def test_what_was_in_doubt_once_stays_in_doubt_when_it_is_sent_again_and_refused() -> None:
    class DoubtForgotten(Rules):
        @staticmethod
        def revive(tx: OutboxTransaction, number: int, **given: float) -> OutboxEntry | None:
            entry = outbox_rules.revive(tx, number, **given)
            if entry is not None:
                tx.outbox.put_entry(replace(entry, in_doubt=False))
            return entry

    findings = explore(WORLDS["given up, sent again, and refused"]._replace(rules=DoubtForgotten()))
    assert findings.violation.startswith("O4"), str(findings)


def test_every_durable_step_between_hosts_is_explored() -> None:
    with watched(outbox_rules, tables=Tables) as taken:
        assert not explore(Scope(Budget(expiries=1, absences=1, replays=1), ONE_MORTAL)).violation
        assert not explore(Scope(Budget(ends=2, replays=1, drops=1), ONE)).violation
    assert not missed(taken, outbox_rules), "a durable step that no exploration takes proves nothing"
