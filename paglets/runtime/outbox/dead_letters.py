"""The dead letters of a host: how they come about here, and what can be done with them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec

from paglets.core.errors import HostError
from paglets.persistence import outbox_rules
from paglets.persistence.outbox_records import DeadLetter
from paglets.persistence.outbox_rules import MAX_CRASHES, Answer, Received
from paglets.remote.api import MessageParams
from paglets.runtime.outbox.judging import judge, queued_record
from paglets.runtime.outbox.outbox import tell_dead

if TYPE_CHECKING:
    from paglets.core.errors import PagletError
    from paglets.persistence.lmdb_transaction import LmdbTransaction
    from paglets.persistence.outbox_records import OutboxEntry
    from paglets.persistence.store import Store
    from paglets.runtime.delivery import Delivery
    from paglets.runtime.events import Events
    from paglets.runtime.outbox.outbox import Outbox


class DeadLetters:
    """What could not be delivered by this host, or was too much for a paglet of this host."""

    def __init__(self, *, store: Store, events: Events, outbox: Outbox, delivery: Delivery) -> None:
        self._store = store
        self._events = events
        self._outbox = outbox
        self._delivery = delivery

    async def crashed(self, params: MessageParams, error: PagletError) -> None:
        """A message of a durable queue has ended the process that handled it: once more, or once too often."""
        now = time.time()
        dead = DeadLetter(
            sender=params.sender or "",
            agent_id=params.agent_id,
            message_id=params.message_id,
            kind=params.kind,
            message=msgspec.json.encode(params),
            url="",
            host_id="",
            reason=f"it ended the process that handled it {MAX_CRASHES} times, at last so: {error}",
            in_doubt=False,
            kept_at=now,
            died_at=now,
        )
        letter = await self._store.commit(
            lambda tx: outbox_rules.crashed(tx, params.agent_id, params.message_id, dead)
        )
        if letter is not None:
            tell_dead(self._events, letter)

    async def page(self, after: int, limit: int) -> list[DeadLetter]:
        """The list, oldest first, from the number after ``after``."""
        return await self._store.read(lambda tx: tx.outbox.dead_letters(after, limit))

    async def replay(self, number: int) -> DeadLetter:
        """Send a letter again: it is on its way durably, and off the list. ``HostError``: it cannot be."""
        letter = await self._store.read(lambda tx: tx.outbox.dead(number))
        if letter is None:
            raise HostError(f"there is no dead letter {number} on this host")
        if letter.url or letter.host_id:
            await self._store.commit(
                lambda tx: outbox_rules.revive(tx, number, at=time.time(), lifetime=self._outbox.lifetime),
                then=self._revived,
            )
        else:
            await self._replay_here(letter)
        return letter

    def _revived(self, entry: OutboxEntry | None) -> None:
        if entry is not None:
            self._outbox.kept(entry)

    async def _replay_here(self, letter: DeadLetter) -> None:
        message = msgspec.json.decode(letter.message, type=MessageParams)

        def rule(tx: LmdbTransaction) -> Received:
            return outbox_rules.requeue(
                tx,
                letter.number,
                queued_record(message),
                lambda record: judge(
                    record, letter.agent_id, no_delay=False, wakes=message.activate_if_inactive
                ),
            )

        received = await self._delivery.take_durably(message, rule)
        if received.answer is not Answer.ACCEPTED:
            raise HostError(f"dead letter {letter.number} cannot be replayed: {received.reason}")

    async def drop(self, number: int) -> bool:
        """Take a letter off the list for good; whether it was there."""
        return await self._store.commit(lambda tx: outbox_rules.discard(tx, number))
