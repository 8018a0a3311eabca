"""With a clause of adoption left out, the exploration finds copies that never meet, or a promise that breaks."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from paglets.core.incarnation import Incarnation, Lineage
from paglets.persistence.journal import adoption, arrivals, meeting
from paglets.persistence.journal.arrivals import Decided
from paglets.persistence.journal.meeting import last_known
from paglets.persistence.records import Outcome
from tests.transfers.exploring.explorer import explore
from tests.transfers.exploring.scope import Budget, Rules, Scope

if TYPE_CHECKING:
    from collections.abc import Callable

    from paglets.core.incarnation import TransferId
    from paglets.persistence.records import PagletRecord
    from paglets.persistence.transaction import JournalTransaction

changed = msgspec.structs.replace


class Without:
    """A transaction on which some writes do nothing."""

    def __init__(self, tx: JournalTransaction, *writes: str) -> None:
        self._tx = tx
        self._writes = writes

    def __getattr__(self, name: str) -> Any:
        return _ignored if name in self._writes else getattr(self._tx, name)


def _ignored(*_: object) -> None:
    """Not written."""


def leaving_out(rule: Callable[..., Any], *writes: str) -> Callable[..., Any]:
    def partly(tx: JournalTransaction, *args: Any, **kwargs: Any) -> Any:
        return rule(Without(tx, *writes), *args, **kwargs)

    return staticmethod(partly)


class TransferForgotten(Rules):
    """An adoption forgets the transfer that it goes past."""

    adopt = leaving_out(adoption.adopt, "put_abandoned")


class ArrivedForgotten(Rules):
    """That an abandoned transfer arrived is noted, and nobody is told."""

    settle_abandoned = leaving_out(meeting.settle_abandoned, "put_notice")


class NoticeSaidOnce(Rules):
    """A notice is taken off the list when it was sent, as if that were an acknowledgement."""

    notices_wait = False


class CopyNotKept(Rules):
    """The lower copy is overwritten by news of the higher one."""

    take_notice = leaving_out(meeting.take_notice, "put_copy")


class CopyNotKeptAtArrival(Rules):
    """The lower copy is overwritten by the higher one that arrives."""

    arrive = leaving_out(arrivals.arrive, "put_copy")


class DutyNotHandedOn(Rules):
    """A host whose PREPARED gives way forgets the transfer."""

    take_notice = leaving_out(meeting.take_notice, "put_abandoned")
    arrive = leaving_out(arrivals.arrive, "put_abandoned")


class NextHostNotTold(Rules):
    """A host from which the lower copy has gone on tells nobody there."""

    take_notice = leaving_out(meeting.take_notice, "put_notice")
    arrive = leaving_out(arrivals.arrive, "put_notice")


class HigherLineageNotAnswered(Rules):
    """A host that knows of a higher lineage acknowledges a notice and says nothing of what it knows."""

    take_notice = leaving_out(meeting.take_notice, "put_notice")


class LostTrackUnsaid(Rules):
    """A host that does not know where the lower copy went acknowledges the notice like one that knows."""

    @staticmethod
    def take_notice(*args: Any, **kwargs: Any) -> meeting.Noticed:
        return meeting.take_notice(*args, **kwargs)._replace(lost_track=False)


class SameLineageIsEnough(Rules):
    """A host that has the paglet in the lineage of a notice is taken for one that has told the next one."""

    @staticmethod
    def take_notice(tx: JournalTransaction, own_id: str, agent_id: str, *args: Any, **kwargs: Any) -> Any:
        noticed = meeting.take_notice(tx, own_id, agent_id, *args, **kwargs)
        return noticed._replace(lost_track=noticed.lost_track and tx.paglet(agent_id) is None)


class NobodyElseTold(Rules):
    """When a host has lost track, that is the end of it."""

    tell_everyone = leaving_out(meeting.tell_everyone, "put_notice")


class LowerLineageLetIn(Rules):
    """Lives are compared by their epochs, whatever their lineage."""

    @staticmethod
    def arrive(
        tx: JournalTransaction, own_id: str, transfer_id: TransferId, record: PagletRecord, *, at: float
    ) -> Any:
        standing = tx.paglet(record.agent_id)
        if standing is not None and record.incarnation.epoch > last_known(standing).epoch:
            tx.delete_paglet(record.agent_id)
        decided = arrivals.arrive(tx, own_id, transfer_id, record, at=at)
        if isinstance(decided, Decided) and decided.fresh and decided.verdict.outcome is Outcome.ARRIVED:
            return decided._replace(replaced=standing)
        if standing is not None and tx.paglet(record.agent_id) is None:
            tx.put_paglet(standing)
        return decided


class SameLineage(Rules):
    """An adopted copy goes on in the lineage that it was in."""

    @staticmethod
    def adopt(tx: JournalTransaction, *args: Any, **kwargs: Any) -> Any:
        adopted = adoption.adopt(tx, *args, **kwargs)
        record = adopted.started.record
        record = changed(record, incarnation=Incarnation(Lineage(), record.incarnation.epoch))
        tx.put_paglet(record)
        return adopted._replace(started=adopted.started._replace(record=record))


class LineageWithoutAdopter(Rules):
    """Two hosts that adopt the same paglet make the same lineage."""

    @staticmethod
    def _plain(rule: Callable[..., Any], tx: JournalTransaction, args: Any, kwargs: Any) -> Any:
        adopted = rule(tx, *args, **kwargs)
        record = adopted.started.record
        lineage = Lineage(record.incarnation.lineage.number, "operator")
        record = changed(record, incarnation=Incarnation(lineage, record.incarnation.epoch))
        tx.put_paglet(record)
        return adopted._replace(started=adopted.started._replace(record=record))

    @staticmethod
    def adopt(tx: JournalTransaction, *args: Any, **kwargs: Any) -> Any:
        return LineageWithoutAdopter._plain(adoption.adopt, tx, args, kwargs)


class CopyLeftInQuarantine(Rules):
    """A copy that is adopted out of quarantine tells nobody that it counts again."""

    adopt_copy = leaving_out(adoption.adopt_copy, "put_notice")


ONE = Scope(Budget(moves=1, crashes=1, adoptions=1))
RING = Scope(Budget(moves=2, deadlines=1, adoptions=1), hosts="A B C", route=frozenset({"AB", "BC", "CA"}))

FORGOTTEN = replace(
    RING, budget=Budget(moves=2, deadlines=1, adoptions=1, forgets=1), route=frozenset({"AB", "BC"})
)

CONTROLS: dict[type[Rules], tuple[str, Scope]] = {
    TransferForgotten: ("I3", ONE),
    ArrivedForgotten: ("I3", ONE),
    NoticeSaidOnce: ("I3", ONE),
    CopyNotKept: ("I7", ONE),
    CopyNotKeptAtArrival: ("I7", Scope(Budget(moves=3, deadlines=1, adoptions=1))),
    DutyNotHandedOn: ("I3", replace(RING, budget=Budget(moves=2, deadlines=2, adoptions=1))),
    NextHostNotTold: ("I3", RING),
    HigherLineageNotAnswered: ("I3", replace(RING, budget=Budget(moves=2, deadlines=2, adoptions=2))),
    LostTrackUnsaid: ("I3", FORGOTTEN),
    SameLineageIsEnough: ("I3", replace(FORGOTTEN, budget=Budget(3, deadlines=1, adoptions=1, forgets=1))),
    NobodyElseTold: ("I3", FORGOTTEN),
    LowerLineageLetIn: ("I", Scope(Budget(moves=3, deadlines=1, adoptions=1))),
    SameLineage: ("I1", ONE),
    LineageWithoutAdopter: ("I1", replace(RING, budget=Budget(moves=2, deadlines=2, adoptions=2))),
    CopyLeftInQuarantine: ("I3", Scope(Budget(moves=1, deadlines=1, adoptions=2))),
}


@pytest.mark.parametrize("rules", CONTROLS, ids=lambda rules: rules.__name__)
def test_without_the_clause_copies_do_not_meet_or_a_promise_breaks(rules: type[Rules]) -> None:
    expected, scope = CONTROLS[rules]
    findings = explore(replace(scope, rules=rules))
    assert expected in findings.violation, str(findings)
    assert findings.history, "the shortest history is told"
