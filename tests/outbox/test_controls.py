"""The exploration can fail: with a clause left out, it finds the history that breaks a promise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from msgspec.structs import replace

from paglets.persistence import outbox_rules
from paglets.persistence.outbox_records import SeenRecord
from paglets.persistence.outbox_rules import Answer, Received
from paglets.runtime.outbox import machine
from paglets.runtime.outbox.machine import Stage
from tests.outbox.exploring.explorer import Scope, explore
from tests.outbox.exploring.world import Budget, Rules, T

if TYPE_CHECKING:
    from collections.abc import Callable

    from paglets.core.incarnation import Incarnation
    from paglets.persistence.outbox_records import DeadLetter, OutboxEntry
    from paglets.persistence.outbox_rules import OutboxTransaction
    from paglets.persistence.records import PagletRecord, QueuedRecord
    from paglets.runtime.outbox.floors import Floors
    from paglets.runtime.outbox.machine import Event, Lane, Step

    Judge = Callable[[PagletRecord | None], tuple[Answer, str]]
    Followed = Callable[[QueuedRecord], Incarnation | None]


class NothingRemembered(Rules):
    """The receiver does not remember what it has accepted."""

    @staticmethod
    def receive(
        tx: OutboxTransaction,
        source: str,
        number: int,
        floor: int,
        agent_id: str,
        message: QueuedRecord,
        judge: Judge,
        followed: Followed,
    ) -> Received:
        answer, reason = judge(tx.paglet(agent_id))
        if answer is Answer.ACCEPTED:
            tx.append_queued(agent_id, message)
        return Received(answer, reason)


class FloorNotHeeded(Rules):
    """The receiver forgets below the floor, and accepts what comes from below it."""

    @staticmethod
    def receive(
        tx: OutboxTransaction,
        source: str,
        number: int,
        floor: int,
        agent_id: str,
        message: QueuedRecord,
        judge: Judge,
        followed: Followed,
    ) -> Received:
        if number >= max(floor, tx.outbox.source(source).floor):
            return outbox_rules.receive(tx, source, number, floor, agent_id, message, judge, followed)
        tx.outbox.raise_floor(source, floor)
        tx.append_queued(agent_id, message)
        return Received(Answer.ACCEPTED)


class FloorTooHigh(Rules):
    """The sender's floor leaves out what it has not settled."""

    @staticmethod
    def floor(floors: Floors) -> int:
        return max(number for host, number in floors.open.values() if host == T)


class RefusalNotStored(Rules):
    """A refusal is said without being remembered."""

    @staticmethod
    def receive(
        tx: OutboxTransaction,
        source: str,
        number: int,
        floor: int,
        agent_id: str,
        message: QueuedRecord,
        judge: Judge,
        followed: Followed,
    ) -> Received:
        answer, reason = judge(tx.paglet(agent_id))
        if answer is Answer.REFUSED and tx.outbox.seen(source, number) is None:
            return Received(answer, reason)
        return outbox_rules.receive(tx, source, number, floor, agent_id, message, judge, followed)


class AnswerBeforeCommit(Rules):
    """The receiver answers before its commit is synced, and is killed then."""

    says_what_is_synced = False


class ForgottenWhenSent(Rules):
    """The sender forgets a message when it has left, without waiting for the answer."""

    @staticmethod
    def step(lane: Lane, event: Event, now: float) -> Step:
        after = machine.step(lane, event, now)
        if isinstance(after.effect, machine.Send):
            settling = replace(after.lane, stage=Stage.SETTLING)
            return machine.Step(settling, machine.WriteSettled(after.effect.position))
        return after


class AnotherNumberEachTime(Rules):
    """A message gets a new number for each try."""

    @staticmethod
    def number(tx: OutboxTransaction, position: int, host_id: str, above: int = 0) -> OutboxEntry | None:
        entry = tx.outbox.entry(position)
        assert entry is not None
        return outbox_rules.number(tx, position, host_id, max(above, entry.number))


class ExpiredAsNeverSent(Rules):
    """What has left is given up as if it had never."""

    @staticmethod
    def bury(
        tx: OutboxTransaction, position: int, reason: str, *, in_doubt: bool, at: float
    ) -> DeadLetter | None:
        return outbox_rules.bury(tx, position, reason, in_doubt=False, at=at)


class AllAtOnce(Rules):
    """The next message of a lane is sent before the one before it is answered."""

    @staticmethod
    def step(lane: Lane, event: Event, now: float) -> Step:
        if isinstance(event, machine.Silent) and len(lane.waiting) > 1:
            turned = replace(lane, waiting=(*lane.waiting[1:], lane.waiting[0]), stage=Stage.PAUSING)
            return machine.step(turned, machine.Due(), now)
        return machine.step(lane, event, now)


class AnyMessageOfThatNumber(Rules):
    """The receiver goes by the number alone; the sender's numbers begin anew when it starts."""

    @staticmethod
    def number(tx: OutboxTransaction, position: int, host_id: str, above: int = 0) -> OutboxEntry | None:
        entry = tx.outbox.entry(position)
        assert entry is not None
        numbered = replace_number(entry, 1)
        tx.outbox.put_entry(numbered)
        return numbered

    @staticmethod
    def receive(
        tx: OutboxTransaction,
        source: str,
        number: int,
        floor: int,
        agent_id: str,
        message: QueuedRecord,
        judge: Judge,
        followed: Followed,
    ) -> Received:
        seen = tx.outbox.seen(source, number)
        if seen is not None:
            return Received(Answer.ACCEPTED)
        tx.outbox.put_seen(source, number, SeenRecord(message.message_id))
        tx.append_queued(agent_id, message)
        return Received(Answer.ACCEPTED)

    @staticmethod
    def floor(floors: Floors) -> int:
        return 0


class CrashesNotCounted(Rules):
    """A message that ends the process that handles it is just handled again."""

    @staticmethod
    def crashed(
        tx: OutboxTransaction, agent_id: str, message_id: str, dead: DeadLetter, limit: int = 0
    ) -> DeadLetter | None:
        return None


class TooMuchIsForgotten(Rules):
    """A message that ended processes too often is taken off the queue, and nowhere else."""

    @staticmethod
    def crashed(
        tx: OutboxTransaction, agent_id: str, message_id: str, dead: DeadLetter, limit: int = 0
    ) -> DeadLetter | None:
        tx.drop_queued(agent_id, message_id)
        return None


class LetterStaysOnTheList(Rules):
    """A dead letter that is sent again can be sent again once more."""

    @staticmethod
    def revive(tx: OutboxTransaction, number: int, *, at: float, lifetime: float) -> OutboxEntry | None:
        letter = tx.outbox.dead(number)
        entry = outbox_rules.revive(tx, number, at=at, lifetime=lifetime)
        if letter is not None:
            tx.outbox.add_dead(letter)
        return entry


class OffTheListOnly(Rules):
    """A letter that is queued again leaves the list by a commit, and would be queued by the next one."""

    @staticmethod
    def requeue(tx: OutboxTransaction, number: int, message: QueuedRecord, judge: Judge) -> Received:
        tx.outbox.drop_dead(number)
        return Received(Answer.ACCEPTED)


class AllAreDropped(Rules):
    """Who drops one letter drops them all."""

    @staticmethod
    def discard(tx: OutboxTransaction, number: int) -> bool:
        return [tx.outbox.drop_dead(each) for each in range(10)][number]


def replace_number(entry: OutboxEntry, number: int) -> OutboxEntry:
    """The entry under another number."""
    return msgspec.structs.replace(entry, host_id=T, number=number)


MORTAL = (("1a", "a", True), ("2a", "a", False))
ABSENT = Budget(crashes=1, silences=1, absences=2)
TWO_LANES = (("1a", "a", False), ("1b", "b", False))
CONTROLS = [
    (NothingRemembered, "O1", Scope(Budget(silences=1))),
    (FloorNotHeeded, "O1", Scope(Budget(silences=1))),
    (FloorTooHigh, "O1", Scope(Budget(silences=1), TWO_LANES)),
    (RefusalNotStored, "O4", Scope(ABSENT)),
    (AnswerBeforeCommit, "O3", Scope(Budget())),
    (ForgottenWhenSent, "O3", Scope(Budget())),
    (AnotherNumberEachTime, "O1", Scope(Budget(silences=1))),
    (ExpiredAsNeverSent, "O4", Scope(Budget(silences=1, expiries=1), MORTAL)),
    (AllAtOnce, "O2", Scope(Budget(silences=1))),
    (AnyMessageOfThatNumber, "O3", Scope(Budget())),
    (CrashesNotCounted, "O7", Scope(Budget(ends=3))),
    (TooMuchIsForgotten, "O3", Scope(Budget(ends=2))),
    (LetterStaysOnTheList, "O4", Scope(Budget(absences=2, replays=2))),
    (OffTheListOnly, "O3", Scope(Budget(ends=2, replays=1))),
    (AllAreDropped, "O3", Scope(Budget(absences=1, drops=1))),
]


@pytest.mark.parametrize(
    ("control", "promise", "scope"), CONTROLS, ids=[each[0].__name__ for each in CONTROLS]
)
def test_without_the_clause_a_promise_breaks(control: type[Rules], promise: str, scope: Scope) -> None:
    findings = explore(scope._replace(rules=control()))
    assert findings.violation.startswith(promise), str(findings)
