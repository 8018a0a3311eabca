"""The receiving side of outboxes: each message of another host is answered once and for all, and durably."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paglets.core.errors import ForbiddenError, HostError
from paglets.persistence import outbox_rules
from paglets.persistence.outbox_records import SeenRecord
from paglets.persistence.outbox_rules import Answer, Received
from paglets.remote.outbox_api import OutboxAnswer, OutboxDeliverParams
from paglets.remote.wire.peer import PeerKind
from paglets.runtime.outbox.judging import followed, judge, plain, queued_record

if TYPE_CHECKING:
    from paglets.persistence.lmdb_transaction import LmdbTransaction
    from paglets.runtime.caller import Caller
    from paglets.runtime.delivery import Delivery


class OutboxReceiver:
    """Answers the messages of other hosts' outboxes."""

    def __init__(self, delivery: Delivery) -> None:
        self._delivery = delivery

    async def deliver(self, caller: Caller, params: OutboxDeliverParams) -> OutboxAnswer:
        """Answer one message; what is accepted is in its paglet's queue before the answer leaves."""
        if caller.peer is None or caller.peer.kind is not PeerKind.MEMBER:
            raise ForbiddenError("only a host of the mesh has an outbox")
        source, message = caller.peer.host_id, plain(params.message)
        taken = self._delivery.lately_taken.knows(message)

        def rule(tx: LmdbTransaction) -> Received:
            if taken and tx.outbox.seen(source, params.number) is None:
                return _acknowledge(tx, source, params)
            return outbox_rules.receive(
                tx,
                source,
                params.number,
                params.floor,
                message.agent_id,
                queued_record(message),
                lambda record: judge(
                    record, message.agent_id, no_delay=message.no_delay, wakes=message.activate_if_inactive
                ),
                followed,
            )

        try:
            received = await self._delivery.take_durably(message, rule)
        except HostError as error:  # no room for it, or a store that cannot be written to
            received = Received(Answer.LATER, str(error))
        return OutboxAnswer(received.answer.value, received.reason, max(0, received.above))


def _acknowledge(tx: LmdbTransaction, source: str, params: OutboxDeliverParams) -> Received:
    """It is here already, though not by way of the outbox."""
    tx.outbox.raise_floor(source, params.floor)
    if params.number >= tx.outbox.source(source).floor:
        tx.outbox.put_seen(source, params.number, SeenRecord(params.message.message_id))
    return Received(Answer.ACCEPTED)
