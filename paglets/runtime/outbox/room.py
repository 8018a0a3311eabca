"""The outbox of a host and its dead letters put together, and as operations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from paglets.remote import outbox_api as api
from paglets.runtime.operations import MEMBERS, Entry
from paglets.runtime.outbox.dead_letters import DeadLetters
from paglets.runtime.outbox.outbox import Outbox
from paglets.runtime.outbox.receiving import OutboxReceiver

if TYPE_CHECKING:
    from paglets.persistence.outbox_records import DeadLetter, OutboxEntry
    from paglets.persistence.store import Store
    from paglets.runtime.caller import Caller
    from paglets.runtime.delivery import Delivery
    from paglets.runtime.events import Events
    from paglets.runtime.peers import Peers

_PAGE = 1000


class OutboxRoom:
    """Everything about messages for hosts that are away."""

    def __init__(
        self, *, store: Store, peers: Peers, events: Events, delivery: Delivery, lifetime: float
    ) -> None:
        self._store = store
        self.outbox = Outbox(store=store, peers=peers, events=events, lifetime=lifetime)
        self.dead_letters = DeadLetters(store=store, events=events, outbox=self.outbox, delivery=delivery)
        self._receiver = OutboxReceiver(delivery)

    def entries(self) -> dict[str, Entry]:
        """The operations by name."""
        return {
            api.OUTBOX_DELIVER: Entry(
                api.OutboxDeliverParams, self._receiver.deliver, MEMBERS, paglets=False
            ),
            api.OUTBOX_LIST: Entry(api.NumberedListParams, self.list_outbox, paglets=False),
            api.DEAD_LETTERS_LIST: Entry(api.NumberedListParams, self.list_dead, paglets=False),
            api.DEAD_LETTERS_REPLAY: Entry(api.DeadLetterParams, self.replay, paglets=False),
            api.DEAD_LETTERS_DROP: Entry(api.DeadLetterParams, self.drop, paglets=False),
        }

    async def list_outbox(self, _caller: Caller, params: api.NumberedListParams) -> Any:
        """A page of what waits."""
        limit = min(params.limit, _PAGE)
        found = await self._store.read(lambda tx: tx.outbox.entries(params.cursor, limit))
        return {
            "messages": [_waiting(entry) for entry in found],
            "cursor": found[-1].position if len(found) == limit else None,
        }

    async def list_dead(self, _caller: Caller, params: api.NumberedListParams) -> Any:
        """A page of the dead letters."""
        limit = min(params.limit, _PAGE)
        found = await self.dead_letters.page(params.cursor, limit)
        return {
            "dead_letters": [_dead(letter) for letter in found],
            "cursor": found[-1].number if len(found) == limit else None,
        }

    async def replay(self, _caller: Caller, params: api.DeadLetterParams) -> Any:
        """Send a dead letter again."""
        letter = await self.dead_letters.replay(params.number)
        return {"message_id": letter.message_id}

    async def drop(self, _caller: Caller, params: api.DeadLetterParams) -> Any:
        """Forget a dead letter."""
        return {"dropped": await self.dead_letters.drop(params.number)}


def _waiting(entry: OutboxEntry) -> dict[str, Any]:
    return {
        "number": entry.position,
        "message_id": entry.message_id,
        "kind": entry.kind,
        "sender": entry.sender or None,
        "agent_id": entry.agent_id,
        "host_url": entry.url,
        "host_id": entry.host_id,
        "size": len(entry.message),
        "kept_at": entry.kept_at,
        "expires_at": entry.kept_at + entry.lifetime,
        "sent": entry.number > 0,
    }


def _dead(letter: DeadLetter) -> dict[str, Any]:
    return {
        "number": letter.number,
        "message_id": letter.message_id,
        "kind": letter.kind,
        "sender": letter.sender or None,
        "agent_id": letter.agent_id,
        "host_url": letter.url,
        "host_id": letter.host_id,
        "size": len(letter.message),
        "reason": letter.reason,
        "in_doubt": letter.in_doubt,
        "kept_at": letter.kept_at,
        "died_at": letter.died_at,
    }
