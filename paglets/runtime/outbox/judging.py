"""What becomes of a message that comes durably: whether its paglet can have it, now or ever."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec

from paglets.core.deactivation import DeactivationPolicy
from paglets.core.messages import ONEWAY
from paglets.persistence.outbox_rules import Answer
from paglets.persistence.records import Phase, QueuedRecord
from paglets.remote.api import MessageParams

if TYPE_CHECKING:
    from paglets.core.incarnation import Incarnation
    from paglets.persistence.read_transaction import ReadTransaction
    from paglets.persistence.records import PagletRecord


def judge(record: PagletRecord | None, agent_id: str, *, no_delay: bool, wakes: bool) -> tuple[Answer, str]:
    """What becomes of a message for the paglet of that record, and why it is refused."""
    if record is None or record.phase is Phase.TOMBSTONE:
        return Answer.REFUSED, f"there is no paglet {agent_id} on this host"
    if record.phase is Phase.PREPARED:
        return Answer.LATER, f"paglet {agent_id} is on its way"
    if record.phase is Phase.INACTIVE:
        if no_delay:
            return Answer.REFUSED, f"paglet {agent_id} is parked, and the message asked for no delay"
        policy = DeactivationPolicy.from_wire(record.policy)
        if not (policy.activate_on_message and wakes) and not policy.queue_messages_when_inactive:
            return Answer.REFUSED, f"paglet {agent_id} is parked and takes no messages until activated"
    return Answer.ACCEPTED, ""


def wakes_parked(record: PagletRecord, message: MessageParams) -> bool:
    """Whether a message that was put into the queue of a parked paglet wakes it."""
    if record.queued is not None:
        return False  # it is in the outbox: its messages go with it
    policy = DeactivationPolicy.from_wire(record.policy)
    return policy.activate_on_message and message.activate_if_inactive


def mail_wakes(tx: ReadTransaction, record: PagletRecord | None) -> bool:
    """Whether a message in the queue of that paglet wakes it; only of one that is parked."""
    if record is None or record.phase is not Phase.INACTIVE or record.queued is not None:
        return False
    if not DeactivationPolicy.from_wire(record.policy).activate_on_message:
        return False
    waiting = (
        msgspec.json.decode(queued.message, type=MessageParams) for queued in tx.queued(record.agent_id)
    )
    return any(message.activate_if_inactive for message in waiting)


def queued_record(message: MessageParams) -> QueuedRecord:
    """A one-way message as it waits durably for its paglet."""
    return QueuedRecord(message.message_id, msgspec.json.encode(message), oneway=True, queued_at=time.time())


def followed(queued: QueuedRecord) -> Incarnation | None:
    """The life that the last forward named by which a message came that waits."""
    return msgspec.json.decode(queued.message, type=MessageParams).followed


def plain(message: MessageParams) -> MessageParams:
    """The message as one that nobody waits for."""
    return msgspec.structs.replace(message, waiting=[], message_type=ONEWAY, timeout=None)
