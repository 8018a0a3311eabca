"""The outbox of a host - messages and paglets - and its dead letters put together, and as operations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from paglets.remote import outbox_api as api
from paglets.runtime.operations import MEMBERS, Entry
from paglets.runtime.outbox.dead_letters import DeadLetters
from paglets.runtime.outbox.dispatches import QueuedDispatches
from paglets.runtime.outbox.outbox import Outbox
from paglets.runtime.outbox.receiving import OutboxReceiver

if TYPE_CHECKING:
    from paglets.persistence.outbox_records import DeadLetter, OutboxEntry
    from paglets.runtime.caller import Caller
    from paglets.runtime.ground import Ground
    from paglets.runtime.neighbours import Neighbours
    from paglets.runtime.population import Population

_PAGE = 1000


class OutboxRoom:
    """Everything that is meant for hosts that are away."""

    def __init__(self, ground: Ground, neighbours: Neighbours, population: Population) -> None:
        self._store = store = ground.store
        events, lifetime, delivery = ground.events, ground.limits.outbox_lifetime, population.delivery
        self.outbox = Outbox(store=store, peers=neighbours.peers, events=events, lifetime=lifetime)
        self.dead_letters = DeadLetters(store=store, events=events, outbox=self.outbox, delivery=delivery)
        self.dispatches = QueuedDispatches(
            store=store,
            presence=population.presence,
            lifecycle=population.lifecycle,
            residents=ground.residents,
            carrier=population.departures,
            gate=ground.gate,
            events=events,
            parked=population.wakeups.look,
            lifetime=lifetime,
        )
        self._receiver = OutboxReceiver(delivery)
        population.queueing.room = self.dispatches
        self._wakeups = population.wakeups
        population.mover.on_parked_settled = self._move_of_a_parked_one_ended
        population.mover.onward.carrier = self.outbox
        delivery.postponer = self.outbox
        population.mailboxes.on_fatal = self.dead_letters.crashed

    def _move_of_a_parked_one_ended(self, agent_id: str) -> None:
        self.dispatches.settled(agent_id)
        self._wakeups.look(agent_id)

    async def take_up(self) -> None:
        """Go on with what the host's earlier life has left."""
        await self.outbox.take_up()
        await self.dispatches.take_up()

    def peer_seen(self) -> None:
        """A host was heard from: what waits for it may be tried again at once."""
        self.outbox.peer_seen()
        self.dispatches.peer_seen()

    async def aclose(self) -> None:
        """Stop; what waits stays in the journal."""
        await self.dispatches.aclose()
        await self.outbox.aclose()

    def entries(self) -> dict[str, Entry]:
        """The operations by name."""
        return {
            api.OUTBOX_DELIVER: Entry(
                api.OutboxDeliverParams, self._receiver.deliver, MEMBERS, paglets=False
            ),
            api.OUTBOX_LIST: Entry(api.NumberedListParams, self.list_outbox, paglets=False),
            api.OUTBOX_PAGLETS: Entry(api.PagletsWaitingParams, self.list_paglets, paglets=False),
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

    async def list_paglets(self, _caller: Caller, params: api.PagletsWaitingParams) -> Any:
        """A page of the paglets that wait."""
        limit = min(params.limit, _PAGE)
        found = await self.dispatches.waiting(params.cursor, limit)
        return {"paglets": found, "cursor": found[-1]["agent_id"] if len(found) == limit else None}

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
