"""The durable steps of the outbox: each one small function over a transaction, as in ``paglets.persistence.journal``.

=============  ==========================================================================
the sender     keep, number, settle, bury
the receiver   receive
dead letters   crashed, revive, requeue, discard
=============  ==========================================================================

The protocol is drawn in ``docs/outbox.md``.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol

from msgspec.structs import replace

from paglets.persistence.journal import queues
from paglets.persistence.outbox_records import DeadLetter, OutboxEntry, SeenRecord, SourceRecord
from paglets.persistence.records import Phase
from paglets.persistence.transaction import JournalTransaction

if TYPE_CHECKING:
    from collections.abc import Callable

    from paglets.core.incarnation import Incarnation
    from paglets.persistence.records import PagletRecord, QueuedRecord

MAX_CRASHES = 3
"""So often a message may end the process that handles it, before it is a dead letter."""


class OutboxTables(Protocol):
    """What the rules need of the tables; the same over LMDB and over plain dictionaries."""

    def allocate(self, above: int = 0) -> int:
        """A number that was never handed out, greater than ``above``."""
        ...

    def entry(self, position: int) -> OutboxEntry | None:
        """What waits at a position."""
        ...

    def put_entry(self, entry: OutboxEntry) -> None:
        """Write an entry; ``QueueFullError`` for a new one over the bounds."""
        ...

    def drop_entry(self, position: int) -> None:
        """Forget an entry."""
        ...

    def source(self, source: str) -> SourceRecord:
        """What is kept of that host's outbox, in sum."""
        ...

    def raise_floor(self, source: str, floor: int) -> None:
        """Forget the answers below a floor; a lower one than before changes nothing."""
        ...

    def seen(self, source: str, number: int) -> SeenRecord | None:
        """What was answered."""
        ...

    def last_seen(self, source: str) -> int:
        """The highest number that was answered and is not forgotten, or the floor before it."""
        ...

    def put_seen(self, source: str, number: int, record: SeenRecord) -> None:
        """Remember an answer; ``QueueFullError`` when too many are remembered."""
        ...

    def add_dead(self, letter: DeadLetter) -> DeadLetter:
        """Add a letter to the list under a number of its own; the oldest go when there are too many."""
        ...

    def dead(self, number: int) -> DeadLetter | None:
        """The letter of that number."""
        ...

    def drop_dead(self, number: int) -> bool:
        """Take a letter off the list; whether it was there."""
        ...


class OutboxTransaction(JournalTransaction, Protocol):
    """A step on a host's journal and its outbox."""

    @property
    def outbox(self) -> OutboxTables:
        """The outbox, within this transaction."""
        ...

    def replace_queued(self, agent_id: str, message: QueuedRecord) -> bool:
        """Put a message in the place of the one with its id in a paglet's queue; whether there was one."""
        ...


class Answer(StrEnum):
    """What the receiving host says to a message of an outbox."""

    ACCEPTED = "accepted"
    """It is in the queue of its paglet, durably. Final."""
    REFUSED = "refused"
    """It never will be. Final, and durable before it is said."""
    LATER = "later"
    """Not now; nothing was remembered."""
    CLOSED = "closed"
    """Its number was used up in a life that the sender does not remember: it needs another one."""


class Received(NamedTuple):
    """The answer to one message, and what the host has to do about it."""

    answer: Answer
    reason: str = ""
    above: int = 0
    """With CLOSED: the numbers up to here are used up."""
    record: PagletRecord | None = None
    """With a message that was accepted just now, and that its paglet has to be brought: its record at that moment."""


# --- the sender --------------------------------------------------------------------------------------------


def keep(tx: OutboxTransaction, entry: OutboxEntry) -> OutboxEntry:
    """Accept a message for later; the entry with its position. ``QueueFullError`` over the bounds."""
    entry = replace(entry, position=tx.outbox.allocate())
    tx.outbox.put_entry(entry)
    return entry


def number(tx: OutboxTransaction, position: int, host_id: str, above: int = 0) -> OutboxEntry | None:
    """Give an entry the number by which that host will know it; None when it is gone.

    Durable before the message leaves for the first time: a restart sends it under the same number. ``above``
    are the numbers that the receiver calls used up; only then a number is replaced by another.
    """
    entry = tx.outbox.entry(position)
    if entry is None or (entry.number > above and entry.host_id == host_id):
        return entry
    entry = replace(entry, host_id=host_id, number=tx.outbox.allocate(above))
    tx.outbox.put_entry(entry)
    return entry


def settle(tx: OutboxTransaction, position: int) -> None:
    """The receiving host has it durably: forget it here."""
    tx.outbox.drop_entry(position)


def bury(
    tx: OutboxTransaction, position: int, reason: str, *, in_doubt: bool, at: float
) -> DeadLetter | None:
    """Make a dead letter of an entry; None when it is gone. A doubt that it came with stays with it."""
    entry = tx.outbox.entry(position)
    if entry is None:
        return None
    tx.outbox.drop_entry(position)
    return tx.outbox.add_dead(
        DeadLetter(
            sender=entry.sender,
            agent_id=entry.agent_id,
            message_id=entry.message_id,
            kind=entry.kind,
            message=entry.message,
            url=entry.url,
            host_id=entry.host_id,
            reason=reason,
            in_doubt=in_doubt or entry.in_doubt,
            kept_at=entry.kept_at,
            died_at=at,
        )
    )


# --- the receiver ------------------------------------------------------------------------------------------


def receive(
    tx: OutboxTransaction,
    source: str,
    number: int,
    floor: int,
    agent_id: str,
    message: QueuedRecord,
    judge: Callable[[PagletRecord | None], tuple[Answer, str]],
    followed: Callable[[QueuedRecord], Incarnation | None],
) -> Received:
    """Answer a message of another host's outbox, once and for all; accepted, it is in the paglet's queue.

    ``followed``: of a message, see ``queues.append``.

    Below the source's floor nothing is accepted: such a message is a late copy of one that was settled, or
    the source was restored from a copy. The same goes for a number that was used for another message.
    """
    tx.outbox.raise_floor(source, floor)
    if number < tx.outbox.source(source).floor:
        return Received(Answer.CLOSED, above=tx.outbox.last_seen(source))
    seen = tx.outbox.seen(source, number)
    if seen is not None:
        if seen.message_id != message.message_id:
            return Received(Answer.CLOSED, above=tx.outbox.last_seen(source))
        return Received(Answer.REFUSED if seen.refused else Answer.ACCEPTED, seen.refused)
    record = tx.paglet(agent_id)
    answer, reason = judge(record)
    if answer is Answer.LATER:
        return Received(answer, reason)
    tx.outbox.put_seen(source, number, SeenRecord(message.message_id, reason))
    if answer is not Answer.ACCEPTED:
        return Received(answer, reason)
    new = queues.append(tx, agent_id, message, followed)
    return Received(answer, record=_to_be_brought(record, new=new))


def _to_be_brought(record: PagletRecord | None, *, new: bool) -> PagletRecord | None:
    """One at work has been given what waits already: it would handle a second one of that id, too."""
    at_work = record is not None and record.phase is Phase.ACTIVE
    return record if new or not at_work else None


# --- dead letters ------------------------------------------------------------------------------------------


def crashed(
    tx: OutboxTransaction, agent_id: str, message_id: str, dead: DeadLetter, limit: int = MAX_CRASHES
) -> DeadLetter | None:
    """A queued message has ended the process that handled it; ``dead``, if that was once too often.

    It is off the queue then, so that the paglet's next life does not meet it again.
    """
    message = tx.queued_message(agent_id, message_id)
    if message is None:
        return None
    if message.crashes + 1 < limit:
        tx.replace_queued(agent_id, replace(message, crashes=message.crashes + 1))
        return None
    tx.drop_queued(agent_id, message_id)
    return tx.outbox.add_dead(dead)


def revive(tx: OutboxTransaction, number: int, *, at: float, lifetime: float) -> OutboxEntry | None:
    """Take a letter off the list and put it into the outbox again; None when there is none of that number."""
    letter = tx.outbox.dead(number)
    if letter is None:
        return None
    tx.outbox.drop_dead(number)
    return keep(
        tx,
        OutboxEntry(
            sender=letter.sender,
            agent_id=letter.agent_id,
            message_id=letter.message_id,
            kind=letter.kind,
            message=letter.message,
            url=letter.url,
            kept_at=at,
            lifetime=lifetime,
            host_id=letter.host_id,
            in_doubt=letter.in_doubt,
        ),
    )


def requeue(
    tx: OutboxTransaction,
    number: int,
    message: QueuedRecord,
    judge: Callable[[PagletRecord | None], tuple[Answer, str]],
) -> Received:
    """Take a letter off the list and put it back into the queue of its paglet, which is on this host.

    It stays a letter when it is not accepted; one that is off the list already was sent again by somebody else.
    """
    letter = tx.outbox.dead(number)
    if letter is None:
        return Received(Answer.ACCEPTED)
    record = tx.paglet(letter.agent_id)
    answer, reason = judge(record)
    if answer is not Answer.ACCEPTED:
        return Received(answer, reason)
    tx.outbox.drop_dead(number)
    new = tx.append_queued(letter.agent_id, message)
    return Received(answer, record=_to_be_brought(record, new=new))


def discard(tx: OutboxTransaction, number: int) -> bool:
    """Take a letter off the list for good; whether it was there."""
    return tx.outbox.drop_dead(number)
