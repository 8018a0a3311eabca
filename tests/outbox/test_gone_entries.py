"""A lane goes on behind a message that is not in the outbox any more, and past one that cannot be read.

Kept in the very moment in which the host takes up what waits (`restore --accept`), a message could stand in its lane
twice: the second time it is gone.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, cast

import msgspec

from paglets.core.incarnation import Incarnation
from paglets.persistence import outbox_rules
from paglets.persistence.errors import RecordDamagedError
from paglets.persistence.outbox_records import DeadLetter, OutboxEntry
from paglets.persistence.records import PagletRecord, Phase, QueuedRecord
from paglets.persistence.store import Store
from paglets.remote.api import MessageParams
from paglets.runtime.outbox.outbox import Outbox
from tests.children.support import until

if TYPE_CHECKING:
    from pathlib import Path

MESSAGE = MessageParams(agent_id="agent", kind="k", message_id="m", message_type=2)


async def gone(store: Store) -> OutboxEntry:
    """An entry that was kept, and is settled."""
    text = msgspec.json.encode(MESSAGE)
    entry = OutboxEntry("", "agent", "m", "k", text, "https://h:1", time.time(), 600.0, "HOST")
    kept = await store.commit(lambda tx: outbox_rules.keep(tx, entry))
    await store.commit(lambda tx: outbox_rules.settle(tx, kept.position))
    return kept


def outbox_on(store: Store) -> Outbox:
    nobody = cast("Any", None)  # nothing is left to be sent, and nothing to be told
    return Outbox(store=store, peers=nobody, events=nobody, lifetime=600.0)


async def test_what_is_gone_does_not_stand_in_the_way(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        kept, outbox = await gone(store), outbox_on(store)
        for _ in range(2):
            outbox.kept(kept)
        assert outbox.is_waiting(MESSAGE)
        await until(lambda: not outbox.is_waiting(MESSAGE))
        await outbox.aclose()


class Unreadable(Store):
    """The first record that is asked for is damaged."""

    asked = 0

    async def read(self, function: Any) -> Any:
        self.asked += 1
        if self.asked == 1:
            raise RecordDamagedError("the record is damaged")
        return await super().read(function)


async def test_what_could_not_be_read_is_tried_again(tmp_path: Path) -> None:
    """The lane stood until the next start, with all that came behind."""
    with Unreadable(tmp_path) as store:
        kept, outbox = await gone(store), outbox_on(store)
        outbox.kept(kept)
        await until(lambda: not outbox.is_waiting(MESSAGE))
        assert store.asked > 1
        await outbox.aclose()


async def test_a_letter_that_waits_already_is_not_brought_a_second_time(tmp_path: Path) -> None:
    """Sent again to a paglet at work, which has been given what waits."""
    letter = DeadLetter("", "agent", "m", "k", b"{}", "", "", "it crashed", False, 0.0, 0.0)
    waiting = QueuedRecord("m", b"{}", oneway=True, queued_at=0.0)
    at_work = PagletRecord("agent", "h", Phase.ACTIVE, Incarnation(), "m:C", "m:S")
    with Store(tmp_path) as store:
        await store.commit(lambda tx: tx.put_paglet(at_work))
        for record in (at_work, None):  # the second time, the first one waits
            added = await store.commit(lambda tx: tx.outbox.add_dead(letter))
            received = await store.commit(
                lambda tx, number=added.number: outbox_rules.requeue(
                    tx, number, waiting, lambda _: (outbox_rules.Answer.ACCEPTED, "")
                )
            )
            assert received.answer is outbox_rules.Answer.ACCEPTED
            assert received.record == record
