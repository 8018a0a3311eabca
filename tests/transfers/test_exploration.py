"""Every history of small worlds, through the product's own rules and machine: no paglet lost, none doubled.

What is looked for is listed in `tests.transfers.exploring.invariants`. A failure prints the shortest history.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.transfers.exploring.coverage import missed, rooms, watched
from tests.transfers.exploring.explorer import explore
from tests.transfers.exploring.scope import Budget, Scope
from tests.transfers.restored_worlds import (
    SENT_ON,
    adopted_when_closed,
    known_in_a_later_life,
    sent_on_by_the_lost_life,
    told_the_lost_life,
)

RING = Scope(Budget(), hosts="A B C", route=frozenset({"AB", "BC", "CA"}))
ONWARD = replace(RING, route=frozenset({"AB", "BC"}))

FAST = {
    "two moves": Scope(Budget(moves=2, crashes=1, refusals=1)),
    "three moves": Scope(Budget(moves=3, crashes=1)),
    "streams lost, deadlines, full disks": Scope(Budget(moves=2, losses=1, deadlines=1, full=1)),
    "old processes": Scope(Budget(moves=1, crashes=1, deadlines=1, refusals=1), checkpoints=True),
    "children that die": Scope(Budget(moves=1, deaths=1, crashes=1, deadlines=1, losses=1)),
    "a clone": Scope(Budget(moves=1, clones=1, crashes=1)),
    "a retract": Scope(Budget(moves=2, retracts=1, crashes=1)),
    "a move to the host it is on": Scope(Budget(moves=1, here=1, crashes=1), checkpoints=True),
    "a parked paglet": Scope(Budget(moves=2, parks=1, refusals=1)),
    "messages that wait": Scope(Budget(moves=2, messages=1, crashes=1)),
    "messages for a parked paglet": Scope(Budget(moves=2, parks=1, messages=1)),
    "disposal": Scope(Budget(moves=2, disposals=1, crashes=1)),
    "hooks cut short": Scope(Budget(moves=1, crashes=1, failures=1), hooks=True, receipts=True),
    "classes without hooks": Scope(Budget(moves=2, crashes=1), hooks=True, receipts=True, bare=True),
    "classes without hooks, parked": Scope(
        Budget(moves=1, here=1, parks=1, crashes=1), hooks=True, checkpoints=True, bare=True
    ),
    "a clone of a class without hooks": Scope(Budget(clones=1, moves=1, crashes=1), hooks=True, bare=True),
    "forgetting": Scope(Budget(moves=2, crashes=1, forgets=1), floors=True),
    "waiting for a host": Scope(Budget(queues=1, absences=1, crashes=1, expiries=1, refusals=1)),
    "waiting, and moved": Scope(Budget(queues=1, moves=1, crashes=1)),
    "waiting, losses, deadlines, full disks": Scope(
        Budget(queues=1, losses=1, deadlines=1, full=1, expiries=1)
    ),
    "waiting, taken out": Scope(Budget(queues=1, parks=1, disposals=1, expiries=1)),
    "waiting, refused twice": Scope(Budget(queues=1, refusals=1, crashes=1), patience=2),
    "messages for one that waits": Scope(Budget(queues=1, messages=1, crashes=1, expiries=1)),
    "a ring of three hosts": replace(RING, budget=Budget(moves=3)),
    "an adoption": Scope(Budget(moves=2, crashes=1, adoptions=1)),
    "an adoption, refused": Scope(Budget(moves=1, crashes=1, deadlines=1, adoptions=1, refusals=1)),
    "an adoption beside old processes": Scope(
        Budget(moves=1, deadlines=1, crashes=1, adoptions=1), checkpoints=True
    ),
    "an adoption of what was parked": Scope(Budget(moves=1, parks=1, crashes=1, adoptions=1)),
    "an adoption of one that waited": Scope(Budget(queues=1, crashes=1, adoptions=1)),
    "an adoption, forgetting": Scope(Budget(moves=1, crashes=1, adoptions=1), floors=True),
    "two adoptions": Scope(Budget(moves=2, crashes=1, adoptions=2)),
    "copies adopted and dropped": Scope(Budget(moves=1, deadlines=1, adoptions=2, discards=1)),
    "an adoption in a ring": replace(RING, budget=Budget(moves=2, deadlines=2, adoptions=1)),
    "an adoption, and the way onward forgotten": replace(
        ONWARD, budget=Budget(moves=2, deadlines=1, adoptions=1, forgets=1)
    ),
    "an adoption, forgotten, and moved": replace(
        ONWARD, budget=Budget(moves=3, deadlines=1, adoptions=1, forgets=1)
    ),
    "two adoptions in a ring": replace(RING, budget=Budget(moves=2, crashes=1, adoptions=2)),
}

SLOW = {
    "there and back again, a crash and a refusal": Scope(Budget(moves=4, crashes=1, refusals=1)),
    "there and back again, a clone": Scope(Budget(moves=3, clones=1)),
    "there and back again, a retract": Scope(Budget(moves=3, retracts=1, crashes=1)),
    "a clone and a retract": Scope(Budget(moves=2, clones=1, retracts=1)),
    "onward, a clone": replace(
        RING, route=frozenset({"AB", "BC"}), budget=Budget(moves=2, clones=1, crashes=1)
    ),
    "round a ring and on": replace(RING, budget=Budget(moves=4, crashes=1)),
    "round a ring, a retract": replace(RING, budget=Budget(moves=3, retracts=1, crashes=1)),
    "three moves, two crashes": Scope(Budget(moves=3, crashes=2, refusals=1)),
    "deadlines and crashes": Scope(Budget(moves=2, crashes=1, deadlines=1, refusals=1), checkpoints=True),
    "a clone and moves": Scope(Budget(moves=2, clones=1, crashes=1)),
    "a clone, refused": Scope(Budget(moves=1, clones=1, crashes=1, refusals=1)),
    "a retract, refused": Scope(Budget(moves=2, retracts=1, crashes=1, refusals=1)),
    "same host and away": Scope(Budget(moves=2, here=1, crashes=1), checkpoints=True),
    "a parked paglet, crashes": Scope(Budget(moves=2, parks=1, crashes=1, refusals=1)),
    "messages, parked, crash": Scope(Budget(moves=2, parks=1, messages=1, crashes=1)),
    "messages and three moves": Scope(Budget(moves=3, messages=1)),
    "two children die": Scope(Budget(moves=2, deaths=1, crashes=1, deadlines=1)),
    "disposal, refused": Scope(Budget(moves=2, disposals=1, crashes=1, refusals=1)),
    "forgetting and three moves": Scope(Budget(moves=3, crashes=1), floors=True),
    "forgetting, refused": Scope(Budget(moves=2, crashes=1, refusals=1, forgets=1), floors=True),
    "two paglets, forgetting": Scope(
        Budget(moves=2, crashes=1, losses=1),
        agents={"p": "A", "r": "A"},
        route=frozenset({"AB"}),
        floors=True,
    ),
    "waiting, two crashes": Scope(Budget(queues=1, crashes=2, expiries=1, refusals=1, absences=1)),
    "waiting, and moves": Scope(Budget(queues=1, moves=2, crashes=1, expiries=1)),
    "waiting twice, a crash": Scope(Budget(queues=2, crashes=1, expiries=1)),
    "waiting among three hosts": Scope(Budget(queues=2, expiries=1), hosts="A B C"),
    "waiting, parked, messages": Scope(Budget(queues=1, parks=1, messages=1, crashes=1, expiries=1)),
    "waiting, refused twice, moves": Scope(Budget(queues=1, moves=1, refusals=1, crashes=1), patience=2),
    "waiting twice, taken out": Scope(Budget(queues=2, parks=1, disposals=1, expiries=1)),
    "waiting, retracted": Scope(Budget(queues=1, moves=1, retracts=1, crashes=1)),
    "waiting, floors": Scope(Budget(queues=1, moves=1, crashes=1, forgets=1), floors=True),
    "a ring, one crash": replace(RING, budget=Budget(moves=3, crashes=1)),
    "an adoption and three moves": Scope(Budget(moves=3, deadlines=1, adoptions=1)),
    "an adoption and messages": Scope(Budget(moves=2, crashes=1, adoptions=1, messages=1, refusals=1)),
    "an adoption, parked, crash": Scope(Budget(moves=2, parks=1, crashes=1, adoptions=1)),
    "an adoption, forgetting, two moves": Scope(Budget(moves=2, deadlines=1, adoptions=1), floors=True),
    "an adoption and three moves in a ring": replace(RING, budget=Budget(moves=3, deadlines=1, adoptions=1)),
    "two adoptions, a deadline and a crash": Scope(
        Budget(moves=2, deadlines=1, crashes=1, adoptions=2, discards=1)
    ),
    "an adoption and a retract": Scope(Budget(moves=2, retracts=1, crashes=1, adoptions=1)),
    "an adoption and a clone": Scope(Budget(moves=1, clones=1, crashes=1, adoptions=1)),
    "an adoption and full disks": Scope(Budget(moves=2, deadlines=1, full=1, losses=1, adoptions=1)),
    "an adoption and children that die": Scope(
        Budget(moves=1, deadlines=1, deaths=1, crashes=1, adoptions=1)
    ),
    "a ring, forgetting": replace(RING, budget=Budget(moves=2, forgets=1), floors=True),
}


@pytest.mark.parametrize("name", FAST)
def test_no_history_breaks_a_promise(name: str) -> None:
    findings = explore(FAST[name])
    assert not findings.violation, str(findings)
    assert findings.states > 20


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", SLOW)
def test_no_longer_history_breaks_a_promise(name: str) -> None:
    findings = explore(SLOW[name])
    assert not findings.violation, str(findings)


def test_a_restored_host_blocks_rather_than_doubles() -> None:
    findings = explore(Scope(Budget(moves=2, discoveries=1, crashes=1), settles=False))
    assert not findings.violation, str(findings)


# One small world for each group of rules; together they take every durable step there is.
SMALL = [
    Scope(Budget(moves=1, parks=1, refusals=1, messages=1), floors=True, settles=False),
    Scope(Budget(moves=1, losses=1, deadlines=1), settles=False),
    Scope(Budget(clones=1, disposals=1, forgets=1), settles=False),
    Scope(Budget(here=1, failures=1, discoveries=1, crashes=1), hooks=True, checkpoints=True, settles=False),
    Scope(Budget(moves=1, messages=1), receipts=True, settles=False),
    Scope(Budget(moves=1, deadlines=1, adoptions=2, discards=1), settles=False),
    Scope(Budget(queues=1, parks=1, expiries=1), settles=False),
    Scope(Budget(moves=1, backups=1, restores=1, forces=1), floors=True, settles=False),
    replace(
        sent_on_by_the_lost_life(), begins=(*SENT_ON, "B loses its disk, and is put back from its backup")
    ),
    known_in_a_later_life(),
    adopted_when_closed(),
    FAST["an adoption, and the way onward forgotten"],
    told_the_lost_life(),
]


def test_every_durable_step_is_explored() -> None:
    with watched(*rooms()) as taken:
        for scope in SMALL:
            assert not explore(scope).violation
    assert not missed(taken, *rooms()), "a durable step that no exploration takes proves nothing"


def test_a_durable_step_that_is_not_explored_is_found() -> None:
    with watched(*rooms()) as taken:
        assert not explore(replace(SMALL[0], budget=Budget(moves=1))).violation
    assert {"settle_lost", "note_restored", "note_counter", "adopt", "make_way"} <= missed(taken, *rooms())
