"""A store that is put back from a backup, both at every point: no copy counts twice once it is accepted."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from paglets.persistence import restoring
from paglets.persistence.records import Phase
from paglets.runtime.surveying import gives_way
from tests.transfers.exploring.explorer import explore
from tests.transfers.exploring.scope import Budget, Rules, told
from tests.transfers.restored_worlds import (
    ON_ITS_WAY,
    ONE,
    ONWARD,
    THERE_AND_BACK,
    adopted_when_closed,
    forced,
    known_in_a_later_life,
    sent_on_by_the_lost_life,
    taken_in_and_sent_on,
    told_the_lost_life,
    with_an_old_forward,
)
from tests.transfers.test_adoption_controls import leaving_out

if TYPE_CHECKING:
    from paglets.persistence.records import PagletRecord

WORLDS = {
    "a move": ONE,
    "a clone": replace(ONE, budget=Budget(clones=1, backups=1, restores=1)),
    "a parked paglet": replace(ONE, budget=Budget(moves=1, parks=1, backups=1, restores=1), copied="A"),
    "a move to the host it is on": replace(ONE, budget=Budget(here=1, backups=1, restores=1)),
    "an adoption": replace(ONE, budget=Budget(moves=1, deadlines=1, adoptions=1, backups=1, restores=1)),
    "disposal": replace(ONE, budget=Budget(moves=1, disposals=1, backups=1, restores=1)),
    "one that waits": replace(ONE, budget=Budget(queues=1, expiries=1, absences=1, backups=1, restores=1)),
}
MOVES_AND_ADOPTION = Budget(moves=2, deadlines=1, adoptions=1, backups=1, restores=1)
ADOPTED_AND_SENT = replace(ONE, budget=MOVES_AND_ADOPTION, copied="A")
LARGER = {
    "a move and a crash": replace(ONE, budget=Budget(moves=1, backups=1, restores=1, crashes=1)),
    "there and back": THERE_AND_BACK,
    "onward": ONWARD,
    # What waits for one that blocks waits on.
    "messages": replace(
        ONE, settles=False, budget=Budget(moves=1, messages=1, parks=1, backups=1, restores=1)
    ),
    "two adoptions": replace(ONE, budget=Budget(moves=1, deadlines=1, adoptions=2, backups=1, restores=1)),
    "an adoption and a crash": replace(
        ONE, budget=Budget(moves=1, crashes=1, adoptions=1, backups=1, restores=1)
    ),
    "an adoption, and sent again": ADOPTED_AND_SENT,
    "an adoption of what was taken in": replace(ADOPTED_AND_SENT, copied="B"),
    "an adoption, and onward": replace(ONWARD, budget=MOVES_AND_ADOPTION, copied="B"),
    "an adoption, and to another host": replace(
        ONWARD, budget=MOVES_AND_ADOPTION, copied="A", route=frozenset({"AB", "AC"})
    ),
    "one that waits, and a move": replace(ONE, budget=Budget(queues=1, moves=1, backups=1, restores=1)),
    "one that waits, refused": replace(
        ONE, budget=Budget(queues=1, refusals=1, crashes=1, backups=1, restores=1)
    ),
    "one that waits, adopted": replace(
        ONE, budget=Budget(queues=1, deadlines=1, adoptions=1, backups=1, restores=1)
    ),
    "one that waits twice, three hosts": replace(
        ONE, hosts="A B C", budget=Budget(queues=2, backups=1, restores=1), copied="A"
    ),
    "taken in, and sent on": taken_in_and_sent_on(),
    "on its way, and forced": replace(forced(taken_in_and_sent_on()), begins=ON_ITS_WAY),
}


@pytest.mark.parametrize("name", WORLDS)
def test_no_history_with_a_restored_store_doubles_a_paglet(name: str) -> None:
    findings = explore(WORLDS[name])
    assert not findings.violation, str(findings)
    assert findings.states > 20


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", LARGER)
def test_no_longer_history_with_a_restored_store_doubles_a_paglet(name: str) -> None:
    findings = explore(LARGER[name])
    assert not findings.violation, str(findings)


@pytest.mark.parametrize("acceptance", ["complete", "forced"])
def test_what_the_lost_life_took_in_and_sent_on_is_arrived(acceptance: str) -> None:
    scope = sent_on_by_the_lost_life()
    scope = forced(scope) if acceptance == "forced" else scope
    findings = explore(scope)
    assert not findings.violation, str(findings)
    assert "settle_lost" in scope.exercised


def test_a_forced_acceptance_bounds_what_it_is_unsure_of_by_the_counter_that_a_source_tells_first() -> None:
    scope = forced(ONE)
    findings = explore(scope)
    assert not findings.violation, str(findings)
    steps = {"mark_restored", "park", "give_way", "accept", "accept_forced", "note_counter"}
    assert steps <= scope.exercised


class NothingParked(Rules):
    """What the store says is running is not parked."""

    parks_copies = False


class NobodyAsked(Rules):
    """A copy is accepted without asking the others."""

    asks_everybody = False


class NothingGivenUp(Rules):
    """What lives on elsewhere is set going all the same."""

    @staticmethod
    def gives_way(record: PagletRecord, place: Any) -> bool:
        return False


class OldForwardsKept(Rules):
    """Where a paglet went once is not compared with where it is."""

    @staticmethod
    def gives_way(record: PagletRecord, place: Any) -> bool:
        return record.forward is None and gives_way(record, place)


class LivesLivedAgain(Rules):
    """What goes on does so in the life that the store knows, although others know of later ones here."""

    @staticmethod
    def outlive(tx: Any, agent_id: str, known: Any, *, at: float) -> None:
        pass


class DisposalNotTold(Rules):
    """A host does not say what it has disposed of."""

    @staticmethod
    def told(record: PagletRecord, host_id: str) -> Any:
        return None if record.phase is Phase.TOMBSTONE else told(record, host_id)


class ClosedLeftOpen(Rules):
    """An adoption that went past a transfer which its target calls closed is told to nobody."""

    @staticmethod
    def close_abandoned(tx: Any, agent_id: str, transfer_id: Any) -> None:
        pass


class OpenTransfersNotTold(Rules):
    """Hosts do not say which transfers to the restored host they hold open."""

    asks_what_is_open = False


class ForcedLikeComplete(Rules):
    """What was not found counts as nowhere, although not everybody was asked."""

    @staticmethod
    def accept_forced(tx: Any, own_id: str, asked: Any, *, complete: bool) -> None:
        restoring.accept(tx, own_id, asked, complete=not complete)


class FloorsNotTold(Rules):
    """Others say what they have before they know that what is still on its way to them does not count."""

    floors_before_looks = False


class CopyOverwritten(Rules):
    """A restored copy is overwritten by what is told of a higher lineage."""

    give_way = leaving_out(restoring.give_way, "put_copy")


class AbandonedHeldOpen(Rules):
    """The floor of a restored host counts the transfers that an adoption went past."""

    closes_abandoned = False


class AdoptionsLeftToOthers(Rules):
    """Who has put its store back does not see to it that a lower copy, which it was told of, hears of an adoption."""

    @staticmethod
    def tell_lower(tx: Any, own_id: str, agent_id: str, birth: str, places: Any) -> None:
        pass


class WhatHasLeftNotTold(Rules):
    """A host says only what it has, not what has moved on from it."""

    @staticmethod
    def told(record: PagletRecord, host_id: str) -> Any:
        return None if record.forward else told(record, host_id)


@pytest.mark.parametrize(
    "rules", [NothingParked, NobodyAsked, NothingGivenUp, FloorsNotTold], ids=lambda rules: rules.__name__
)
def test_without_the_clause_a_paglet_is_doubled(rules: type[Rules]) -> None:
    findings = explore(replace(ONE, rules=rules))
    assert findings.violation.startswith("I1"), str(findings)
    assert findings.history


def test_where_a_paglet_went_once_leads_to_where_it_is() -> None:
    """A walk found messages that waited for ever: they had come by a later forward than the store knew."""
    findings = explore(with_an_old_forward())
    assert not findings.violation, str(findings)
    findings = explore(replace(with_an_old_forward(), rules=OldForwardsKept))
    assert findings.violation.startswith("I3"), str(findings)


def test_what_goes_on_is_later_than_all_that_is_known_of_its_lost_lives() -> None:
    scope = known_in_a_later_life()
    findings = explore(scope)
    assert not findings.violation, str(findings)
    assert "outlive" in scope.exercised
    findings = explore(replace(known_in_a_later_life(), rules=LivesLivedAgain))
    assert findings.violation.startswith("I3"), str(findings)


def test_what_was_disposed_of_elsewhere_is_not_brought_back() -> None:
    findings = explore(replace(WORLDS["disposal"], rules=DisposalNotTold))
    assert findings.violation.startswith("D1"), str(findings)


def test_a_target_that_calls_an_abandoned_transfer_closed_is_told_of_the_adoption() -> None:
    """A walk found one that was asked about for ever."""
    findings = explore(adopted_when_closed())
    assert not findings.violation, str(findings)
    findings = explore(replace(adopted_when_closed(), rules=ClosedLeftOpen))
    assert findings.violation.startswith("I3"), str(findings)


def test_who_was_still_to_be_told_of_an_adoption_by_the_lost_life_is_told() -> None:
    scope = told_the_lost_life()
    findings = explore(scope)
    assert not findings.violation, str(findings)
    assert "tell_lower" in scope.exercised
    findings = explore(replace(told_the_lost_life(), rules=AdoptionsLeftToOthers))
    assert findings.violation.startswith("I3"), str(findings)


def test_a_restored_copy_that_was_adopted_elsewhere_is_not_dropped() -> None:
    findings = explore(replace(WORLDS["an adoption"], rules=CopyOverwritten))
    assert findings.violation.startswith("I7"), str(findings)


def test_what_the_lost_life_sent_after_an_adoption_does_not_arrive_beside_the_copy() -> None:
    findings = explore(replace(ADOPTED_AND_SENT, rules=AbandonedHeldOpen))
    assert findings.violation.startswith("I1"), str(findings)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_without_what_has_left_a_paglet_is_doubled_that_moves_while_hosts_are_asked() -> None:
    findings = explore(replace(ONWARD, rules=WhatHasLeftNotTold))
    assert findings.violation.startswith("I1"), str(findings)


def test_without_what_is_open_a_paglet_is_doubled_that_the_lost_life_sent_on() -> None:
    findings = explore(replace(sent_on_by_the_lost_life(), rules=OpenTransfersNotTold))
    assert findings.violation.startswith("I1"), str(findings)
    assert any("answers A/1: fenced" in step for step in findings.history)


def test_a_forced_acceptance_without_doubt_doubles_what_the_lost_life_sent_on() -> None:
    findings = explore(replace(forced(sent_on_by_the_lost_life()), rules=ForcedLikeComplete))
    assert findings.violation.startswith("I1"), str(findings)
