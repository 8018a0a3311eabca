"""The outbox and the dead letters in the store: order, bounds, and what a restart finds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from paglets.core.incarnation import Incarnation
from paglets.persistence import outbox_rules, outbox_table
from paglets.persistence.errors import QueueFullError
from paglets.persistence.outbox_records import DeadLetter, OutboxEntry, SeenRecord
from paglets.persistence.records import PagletRecord, Phase, QueuedRecord
from paglets.persistence.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from paglets.persistence.lmdb_transaction import LmdbTransaction


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path) as store:
        yield store


def entry(message_id: str, size: int = 2) -> OutboxEntry:
    return OutboxEntry("", "agent", message_id, "k", b"x" * size, "https://h:1", 1.0, 60.0, "HOST")


def dead(message_id: str, size: int = 2) -> DeadLetter:
    return DeadLetter(
        "", "agent", message_id, "k", b"x" * size, "", "", "why", in_doubt=False, kept_at=1.0, died_at=2.0
    )


async def test_entries_keep_their_order_over_a_restart(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        for name in "abc":
            await store.commit(lambda tx, name=name: outbox_rules.keep(tx, entry(name)))
        await store.commit(lambda tx: outbox_rules.settle(tx, 2))
    with Store(tmp_path) as store:
        found = await store.read(lambda tx: tx.outbox.entries())
        assert [(each.position, each.message_id) for each in found] == [(1, "a"), (3, "c")]
        assert [each.position for each in await store.read(lambda tx: tx.outbox.entries(1, 1))] == [3]
        assert (await store.commit(lambda tx: outbox_rules.keep(tx, entry("d")))).position == 4


async def test_a_full_outbox_takes_nothing_more(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_table, "MAX_ENTRIES", 2)
    monkeypatch.setattr(outbox_table, "MAX_BYTES", 100)
    await store.commit(lambda tx: outbox_rules.keep(tx, entry("a", 60)))
    with pytest.raises(QueueFullError, match="outbox is full"):
        await store.commit(lambda tx: outbox_rules.keep(tx, entry("b", 60)))
    await store.commit(lambda tx: outbox_rules.keep(tx, entry("b", 30)))
    with pytest.raises(QueueFullError):
        await store.commit(lambda tx: outbox_rules.keep(tx, entry("c", 1)))
    await store.commit(lambda tx: outbox_rules.settle(tx, 1))
    await store.commit(lambda tx: outbox_rules.keep(tx, entry("c", 60)))


async def test_the_oldest_dead_letters_go(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_table, "MAX_DEAD_LETTERS", 3)
    monkeypatch.setattr(outbox_table, "MAX_DEAD_BYTES", 100)
    for name in "abcd":
        await store.commit(lambda tx, name=name: tx.outbox.add_dead(dead(name)))
    assert [each.message_id for each in await store.read(lambda tx: tx.outbox.dead_letters())] == [
        "b",
        "c",
        "d",
    ]
    await store.commit(lambda tx: tx.outbox.add_dead(dead("large", 97)))
    assert [each.message_id for each in await store.read(lambda tx: tx.outbox.dead_letters())] == [
        "d",
        "large",
    ]
    await store.commit(lambda tx: tx.outbox.add_dead(dead("too large", 500)))
    assert [each.message_id for each in await store.read(lambda tx: tx.outbox.dead_letters())] == [
        "too large"
    ]


async def test_answers_are_forgotten_below_the_floor(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(tx: LmdbTransaction) -> None:
        for source in ("S", "S2"):
            for number in (3, 5, 300):
                tx.outbox.put_seen(source, number, SeenRecord(f"m{number}"))

    await store.commit(answer)
    await store.commit(lambda tx: tx.outbox.raise_floor("S", 5))
    await store.commit(lambda tx: tx.outbox.raise_floor("S", 2))
    seen = await store.read(lambda tx: [tx.outbox.seen("S", number) for number in (3, 5, 300)])
    assert seen == [None, SeenRecord("m5"), SeenRecord("m300")]
    assert await store.read(lambda tx: (tx.outbox.source("S").floor, tx.outbox.source("S").seen)) == (5, 2)
    assert await store.read(lambda tx: (tx.outbox.last_seen("S"), tx.outbox.source("S2").seen)) == (300, 3)
    monkeypatch.setattr(outbox_table, "MAX_SEEN", 2)
    with pytest.raises(QueueFullError):
        await store.commit(lambda tx: tx.outbox.put_seen("S", 301, SeenRecord("m")))


async def test_a_message_that_ends_three_processes_is_off_the_queue(store: Store) -> None:
    def queue(tx: LmdbTransaction) -> None:
        tx.put_paglet(PagletRecord("agent", "S", Phase.ACTIVE, Incarnation(), "m:C", "m:S"))
        for name in ("bad", "good"):
            tx.append_queued("agent", QueuedRecord(name, b"{}", oneway=True, queued_at=0.0))

    await store.commit(queue)
    letters = [
        await store.commit(lambda tx: outbox_rules.crashed(tx, "agent", "bad", dead("bad"))) for _ in range(4)
    ]
    assert [letter is not None for letter in letters] == [False, False, True, False]
    assert [each.message_id for each in await store.read(lambda tx: tx.queued("agent"))] == ["good"]
    assert [each.message_id for each in await store.read(lambda tx: tx.outbox.dead_letters())] == ["bad"]
