"""Messages that wait durably for a paglet, and the way to one that has moved on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from paglets.persistence.journal.conflict import JournalConflict
from paglets.persistence.records import MoveKind, Phase

if TYPE_CHECKING:
    from collections.abc import Callable

    from paglets.core.incarnation import Incarnation
    from paglets.persistence.records import Forward, PagletRecord, QueuedRecord
    from paglets.persistence.transaction import JournalTransaction


def enqueue(tx: JournalTransaction, agent_id: str, message: QueuedRecord) -> bool:
    """Accept a message for a paglet that is INACTIVE or PREPARED; False if one with its id waits already.

    `JournalConflict` when the paglet is neither any more: its ``record`` tells where to turn instead. A
    clone on its way takes none, as nobody has been told of it yet.
    """
    record = tx.paglet(agent_id)
    if record is None or record.phase not in {Phase.INACTIVE, Phase.PREPARED}:
        raise JournalConflict(agent_id, "cannot queue a message for it", record)
    if record.outgoing is not None and record.outgoing.kind is MoveKind.CLONE:
        raise JournalConflict(agent_id, "cannot queue a message for a clone that may never exist", record)
    return tx.append_queued(agent_id, message)


def append(
    tx: JournalTransaction,
    agent_id: str,
    message: QueuedRecord,
    followed: Callable[[QueuedRecord], Incarnation | None],
) -> bool:
    """Queue a message that another host sent on; once, by its id. Whether it is new: none of its id has waited.

    ``followed`` is the life that the last forward named by which a message came, None when it came by none. In a
    restored store a message may wait as it did before it was sent on from there: when it comes back, having followed
    further forwards, it takes the place of that. The earlier one would only be led to where it has been.
    """
    if tx.append_queued(agent_id, message):
        return True
    waiting, came_by = tx.queued_message(agent_id, message.message_id), followed(message)
    if waiting is None or came_by is None:
        return False
    earlier = followed(waiting)
    if earlier is None or earlier < came_by:
        tx.drop_queued(agent_id, waiting.message_id)
        tx.append_queued(agent_id, replace(message, crashes=waiting.crashes))
    return False


def take_message(tx: JournalTransaction, agent_id: str, message_id: str) -> None:
    """Take a message off the queue: the paglet has handled it, here."""
    tx.drop_queued(agent_id, message_id)


def hand_on(tx: JournalTransaction, agent_id: str, forwarded_to: Incarnation, message: QueuedRecord) -> bool:
    """Take a message off the queue, to go along the forward to ``forwarded_to``; whether that very one was there.

    Only while that forward stands (`JournalConflict`): a paglet that has come back meanwhile has been given what
    waits in the queue, and would handle it once more when it came back along the forwards. In the same commit it
    is put into the outbox, so that it is always in one of the two.
    """
    record = tx.paglet(agent_id)
    if record is None or record.forward is None or record.forward.incarnation != forwarded_to:
        raise JournalConflict(agent_id, f"it is no longer away as life {forwarded_to}", record)
    waiting = tx.queued_message(agent_id, message.message_id)
    if waiting is None or waiting.message != message.message:
        return False
    return tx.drop_queued(agent_id, message.message_id)


def follow(record: PagletRecord | None, followed: Incarnation | None) -> Forward | None:
    """Where to send on what is meant for a departed paglet; None when ``record`` leads nowhere.

    ``followed`` is the life that the last forward named, None at the first: a forward is followed only to a
    strictly greater one, so no message goes in circles.
    """
    if record is None or record.forward is None:
        return None
    if followed is not None and record.forward.incarnation <= followed:
        return None
    return record.forward
