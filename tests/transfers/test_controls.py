"""The exploration can fail: with a clause left out, it finds the history that breaks a promise."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from paglets.persistence.journal import arrivals, lifecycle, moves, queues
from paglets.persistence.journal.arrivals import Crossing, Decided
from paglets.persistence.journal.starting import restart
from paglets.persistence.records import Forward, Outcome, Phase, VerdictRecord
from paglets.runtime.transfers import effects as do
from paglets.runtime.transfers import events as on
from paglets.runtime.transfers import source
from paglets.runtime.transfers.source_move import SourceMove, Stage, Step
from tests.transfers.exploring.explorer import explore
from tests.transfers.exploring.scope import Budget, Rules, Scope

if TYPE_CHECKING:
    from paglets.core.incarnation import Incarnation, TransferId
    from paglets.persistence.records import BlobRef, Outgoing, PagletRecord, QueuedRecord
    from paglets.persistence.transaction import JournalTransaction

changed = msgspec.structs.replace


class ReceiptWithoutComparison(Rules):
    """DEPARTED is written over whatever record there is."""

    @staticmethod
    def settle_arrived(
        tx: JournalTransaction, agent_id: str, transfer_id: TransferId, incarnation: Incarnation, *, at: float
    ) -> Any:
        record = tx.paglet(agent_id)
        assert record is not None
        forward = Forward("B" if transfer_id.source == "A" else "A", "", "", incarnation, at)
        left = changed(record, phase=Phase.DEPARTED, state=None, pending=None, outgoing=None, forward=forward)
        tx.put_paglet(left)


class TrailerBeforePrepared(Rules):
    """The trailer leaves while PREPARED is still being written."""

    @staticmethod
    def step(move: SourceMove, event: on.Event, now: float) -> Step:
        if isinstance(event, on.PayloadSent) and move.stage is Stage.STREAMING:
            after = source.step(replace(move, prepared=True), event, now)
            return Step(replace(after.move, prepared=move.prepared), after.effects)
        return source.step(move, event, now)


class AbortAfterTrailer(Rules):
    """The source takes a move back at its deadline, although the trailer has left."""

    @staticmethod
    def step(move: SourceMove, event: on.Event, now: float) -> Step:
        if isinstance(event, on.DeadlinePassed) and move.stage is Stage.SENT:
            return source.step(replace(move, stage=Stage.STREAMING), event, now)
        return source.step(move, event, now)


class AbortThatDoesNotWait(Rules):
    """A move is taken back while its PREPARED write is queued, without waiting how that ends."""

    @staticmethod
    def step(move: SourceMove, event: on.Event, now: float) -> Step:
        after = source.step(move, event, now)
        if after.move.stage is Stage.STOPPING:
            return Step(replace(after.move, stage=Stage.FAILED), (*after.effects, do.ReportFailed("stopped")))
        return after


class RestartTakesBack(Rules):
    """A host that restarts takes its PREPARED paglets back, without asking."""

    @staticmethod
    def resume(agent_id: str, outgoing: Outgoing) -> Step:
        move = source.resume(agent_id, outgoing).move
        return Step(replace(move, stage=Stage.ABORTING), (do.WriteAbort(process_alive=False),))


def unwritten(crossing: Crossing, reason: str, at: float) -> Decided:
    return Decided(VerdictRecord(*crossing, Outcome.FENCED, reason, at))


class RefusalNotStored(Rules):
    """A complete envelope is refused without a verdict in the journal."""

    @staticmethod
    def fence(tx: JournalTransaction, own_id: str, crossing: Crossing, reason: str, *, at: float) -> Any:
        standing = tx.verdict(crossing.transfer_id)
        return Decided(standing) if standing else unwritten(crossing, reason, at)


class UnknownNotStored(Rules):
    """'Never heard of it' is said without being made FENCED first."""

    @staticmethod
    def answer_query(tx: JournalTransaction, own_id: str, crossing: Crossing, *, at: float) -> Any:
        standing = tx.verdict(crossing.transfer_id)
        return Decided(standing) if standing else unwritten(crossing, "never heard of it", at)


class VerdictSaidTooEarly(Rules):
    """A verdict leaves before its commit is synced."""

    says_what_is_synced = False


class CounterNotDurable(Rules):
    """A transfer id is used before the journal knows that it is taken."""

    @staticmethod
    def reserve_counters(tx: JournalTransaction, count: int) -> range:
        return range(tx.counter(), tx.counter() + count)


class SameEpochAfterDeadline(Rules):
    """A paglet whose process was ended at the deadline starts again in the same epoch."""

    @staticmethod
    def settle_fenced(*args: Any, process_alive: bool, **kwargs: Any) -> Any:
        return moves.settle_fenced(*args, process_alive=True, **kwargs)


class CheckpointOfAnyLife(Rules):
    """A checkpoint is written whoever's it is."""

    @staticmethod
    def checkpoint(
        tx: JournalTransaction, agent_id: str, incarnation: Incarnation, state: BlobRef, *, at: float
    ) -> Any:
        record = tx.paglet(agent_id)
        if record is not None and record.phase is Phase.ACTIVE:
            tx.put_paglet(changed(record, state=state))


class VerdictNotFinal(Rules):
    """An envelope is decided on without a look at the verdict that stands."""

    @staticmethod
    def arrive(
        tx: JournalTransaction, own_id: str, transfer_id: TransferId, record: PagletRecord, *, at: float
    ) -> Any:
        return decide_afresh(tx, transfer_id, record, at)


class FloorNotHeeded(Rules):
    """A verdict that was forgotten, because the source's floor passed it, is given anew."""

    @staticmethod
    def arrive(
        tx: JournalTransaction, own_id: str, transfer_id: TransferId, record: PagletRecord, *, at: float
    ) -> Any:
        standing = tx.verdict(transfer_id)
        return Decided(standing) if standing else decide_afresh(tx, transfer_id, record, at)


def decide_afresh(
    tx: JournalTransaction, transfer_id: TransferId, record: PagletRecord, at: float
) -> Decided:
    standing = tx.paglet(record.agent_id)
    reason = arrivals.refusal(standing, record)
    outcome = Outcome.FENCED if reason else Outcome.ARRIVED
    verdict = VerdictRecord(transfer_id, record.agent_id, record.incarnation, outcome, reason, at)
    tx.put_verdict(verdict)
    if not reason:
        tx.put_paglet(record)
    return Decided(verdict, fresh=True, replaced=None if reason else standing)


class FloorOfJournalOnly(Rules):
    """A floor leaves out the transfers that exist in memory only."""

    floors_of_memory = False


class RetractOfAnyLife(Rules):
    """A retract is obeyed whatever life it names, so a late one counts again."""

    recalls_any_life = True


class HandOnWhereverItIs(Rules):
    """A message is handed on although the paglet is back, and has been given what waits in the queue."""

    @staticmethod
    def hand_on(
        tx: JournalTransaction, agent_id: str, forwarded_to: Incarnation, message: QueuedRecord
    ) -> bool:
        tx.drop_queued(agent_id, message.message_id)
        return True


class HandedOnUnkept(Rules):
    """A message that goes along a forward leaves the queue without being in the outbox by that commit."""

    @staticmethod
    def hand_on(*args: Any, **kwargs: Any) -> bool:
        queues.hand_on(*args, **kwargs)
        return False


class QueueLeftBehind(Rules):
    """A paglet that arrives where messages wait for it does not get them."""

    @staticmethod
    def arrive(
        tx: JournalTransaction, own_id: str, transfer_id: TransferId, record: PagletRecord, *, at: float
    ) -> Any:
        decided = arrivals.arrive(tx, own_id, transfer_id, record, at=at)
        if isinstance(decided, Decided) and decided.fresh:
            tx.drop_queued(record.agent_id)
        return decided


class GivenBackWhateverIsThere(Rules):
    """A paglet whose time in the outbox is over is put back to work, whatever became of it meanwhile."""

    @staticmethod
    def give_back(
        tx: JournalTransaction, agent_id: str, incarnation: Incarnation, key: str, *, event: Any, at: float
    ) -> Any:
        record = tx.paglet(agent_id)
        assert record is not None
        return restart(tx, changed(record, forward=None), event, at)


class MovedWithoutALook(Rules):
    """A paglet is moved for a wait that was ended meanwhile."""

    looks_before_it_moves = False

    @staticmethod
    def prepare(*args: Any, queue_key: str | None = None, **kwargs: Any) -> Any:
        return moves.prepare(*args, **kwargs)


class QueueNotTakenUp(Rules):
    """A host that starts does not see to those that wait."""

    takes_up_queue = False


class WaitsWhenWoken(Rules):
    """A paglet that is woken still counts as waiting."""

    @staticmethod
    def activate(tx: JournalTransaction, agent_id: str, *args: Any, **kwargs: Any) -> Any:
        before = tx.paglet(agent_id)
        started = lifecycle.activate(tx, agent_id, *args, **kwargs)
        assert before is not None
        tx.put_paglet(changed(started.record, queued=before.queued))
        return started


class WaitEndsWithATry(Rules):
    """A paglet whose move out of the outbox was fenced waits no more, and nobody puts it back to work."""

    @staticmethod
    def settle_fenced(tx: JournalTransaction, agent_id: str, *args: Any, **kwargs: Any) -> Any:
        started = moves.settle_fenced(tx, agent_id, *args, **kwargs)
        if started is not None:
            tx.put_paglet(changed(started.record, queued=None))
        return started


SMALL = Budget(moves=2, crashes=1, refusals=1)

CONTROLS: dict[type[Rules], tuple[str, Scope]] = {
    ReceiptWithoutComparison: ("I2", Scope(SMALL)),
    TrailerBeforePrepared: ("I1", Scope(Budget(moves=1))),
    AbortAfterTrailer: ("failed", Scope(Budget(moves=1, deadlines=1))),
    AbortThatDoesNotWait: ("I3", Scope(Budget(moves=1, losses=1))),
    RestartTakesBack: ("failed", Scope(SMALL)),
    RefusalNotStored: ("I5", Scope(SMALL)),
    UnknownNotStored: ("I5", Scope(SMALL)),
    VerdictSaidTooEarly: ("I5", Scope(Budget(moves=1))),
    CounterNotDurable: ("I3", Scope(Budget(moves=3))),
    SameEpochAfterDeadline: ("I1", Scope(Budget(moves=1, deadlines=1, refusals=1), checkpoints=True)),
    CheckpointOfAnyLife: ("STATE", Scope(Budget(moves=2, here=1), checkpoints=True)),
    VerdictNotFinal: ("I5", Scope(SMALL)),
    FloorNotHeeded: ("I5", Scope(Budget(moves=2, forgets=1), floors=True)),
    FloorOfJournalOnly: ("I3", Scope(Budget(moves=1), floors=True)),
    RetractOfAnyLife: ("retracted more often", Scope(Budget(moves=3, retracts=1))),
    HandOnWhereverItIs: ("handled twice", Scope(Budget(moves=2, parks=1, messages=1), settles=False)),
    HandedOnUnkept: ("is lost", Scope(Budget(moves=1, messages=1))),
    GivenBackWhateverIsThere: ("I1", Scope(Budget(queues=1, moves=1, expiries=1))),
    MovedWithoutALook: ("Q2", Scope(Budget(queues=2, parks=1))),
    QueueNotTakenUp: ("I3", Scope(Budget(queues=1, crashes=1))),
    WaitsWhenWoken: ("Q1", Scope(Budget(queues=1))),
    WaitEndsWithATry: ("I3", Scope(Budget(queues=1, refusals=1))),
    QueueLeftBehind: ("message", Scope(Budget(moves=2, messages=1))),
}


@pytest.mark.parametrize("rules", CONTROLS, ids=lambda rules: rules.__name__)
def test_without_the_clause_a_history_breaks_a_promise(rules: type[Rules]) -> None:
    expected, scope = CONTROLS[rules]
    findings = explore(replace(scope, rules=rules))
    assert expected in findings.violation, str(findings)
    assert findings.history, "the shortest history is told"
