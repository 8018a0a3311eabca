"""What a transaction writes, later ones read: paglets, verdicts, floors, counters, peers, settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from paglets.core.incarnation import TransferId
from paglets.persistence.records import Outcome, PeerRecord, Phase
from paglets.persistence.store import Store
from tests.persistence.builders import putting, record, verdict

if TYPE_CHECKING:
    from pathlib import Path

    from paglets.persistence.lmdb_transaction import LmdbTransaction
    from paglets.persistence.transaction import JournalTransaction


def test_a_record_is_there_after_the_store_is_opened_again(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.commit_sync(putting("a"))
        store_id, number = store.store_id, store.commit_number
    with Store(tmp_path) as store:
        assert store.read_sync(lambda txn: txn.paglet("a")) == record("a")
        assert store.read_sync(lambda txn: txn.paglet("b")) is None
        assert (store.store_id, store.commit_number) == (store_id, number)


def test_stores_have_different_ids(tmp_path: Path) -> None:
    with Store(tmp_path / "one") as one, Store(tmp_path / "two") as two:
        assert one.store_id
        assert one.store_id != two.store_id


def test_records_are_listed_in_pages_in_the_order_of_their_ids(store: Store) -> None:
    def fill(txn: LmdbTransaction) -> None:
        for name in ("d", "b", "a", "ab", "c"):
            txn.put_paglet(record(name))

    store.commit_sync(fill)
    first = store.read_sync(lambda txn: txn.paglets(limit=2))
    rest = store.read_sync(lambda txn: txn.paglets(after="ab", limit=10))
    assert [one.agent_id for one in first] == ["a", "ab"]
    assert [one.agent_id for one in rest] == ["b", "c", "d"]


def test_phases_are_counted_as_records_come_change_and_go(store: Store) -> None:
    store.commit_sync(putting("a"))
    store.commit_sync(putting("b"))
    store.commit_sync(lambda txn: txn.put_paglet(record("b", Phase.INACTIVE)))
    counts = store.read_sync(lambda txn: txn.phase_counts())
    assert (counts[Phase.ACTIVE], counts[Phase.INACTIVE], counts[Phase.TOMBSTONE]) == (1, 1, 0)
    store.commit_sync(lambda txn: txn.delete_paglet("b"))
    store.commit_sync(lambda txn: txn.delete_paglet("unknown"))
    counts = store.read_sync(lambda txn: txn.phase_counts())
    assert (counts[Phase.ACTIVE], counts[Phase.INACTIVE]) == (1, 0)


def test_verdicts_below_the_floor_of_their_source_are_forgotten_and_no_others(store: Store) -> None:
    def fill(txn: LmdbTransaction) -> None:
        for source in ("a", "ab", "b"):
            for counter in (1, 2, 300):
                txn.put_verdict(verdict(source, counter))
        txn.put_floor("ab", 300)
        txn.drop_verdicts_below("ab", 300)

    store.commit_sync(fill)
    left = store.read_sync(lambda txn: [str(one.transfer_id) for one in txn.verdicts()])
    assert left == ["a/1", "a/2", "a/300", "ab/300", "b/1", "b/2", "b/300"]
    found = store.read_sync(lambda txn: txn.verdict(TransferId("ab", 300)))
    assert found is not None
    assert found.outcome is Outcome.ARRIVED
    assert store.read_sync(lambda txn: (txn.floor("ab"), txn.floor("a"))) == (300, 0)


def test_the_transfer_counter_starts_at_one_and_stays_where_it_was_put(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        assert store.read_sync(lambda txn: txn.counter()) == 1
        store.commit_sync(lambda txn: txn.put_counter(17))
    with Store(tmp_path) as store:
        assert store.read_sync(lambda txn: txn.counter()) == 17


def test_peers_settings_and_revocations_are_kept(store: Store) -> None:
    peer = PeerRecord("host", "store", 12)

    def fill(txn: LmdbTransaction) -> list[bool]:
        txn.put_peer(peer)
        txn.meta_put("name", b"alpha")
        return [txn.add_revocation(entry) for entry in (b"one", b"two", b"one")]

    assert store.commit_sync(fill) == [True, True, False]
    assert store.read_sync(lambda txn: (txn.peer("host"), txn.peer("other"))) == (peer, None)
    assert store.read_sync(lambda txn: (txn.meta_get("name"), txn.meta_get("other"))) == (b"alpha", None)
    assert sorted(store.read_sync(lambda txn: txn.revocations())) == [b"one", b"two"]
    store.commit_sync(lambda txn: txn.meta_delete("name"))
    assert store.read_sync(lambda txn: txn.meta_get("name")) is None


@pytest.mark.parametrize("agent_id", ["", "x" * 257, "a\0b"])
def test_an_id_that_no_key_can_hold_is_refused(store: Store, agent_id: str) -> None:
    with pytest.raises(ValueError, match="an id has 1 to 256 bytes"):
        store.commit_sync(putting(agent_id))


def test_the_transaction_is_the_journals(store: Store) -> None:
    def rule(txn: JournalTransaction) -> None:
        txn.put_counter(5)

    store.commit_sync(rule)
    assert store.read_sync(lambda txn: txn.counter()) == 5
