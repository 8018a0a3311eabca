"""Messages wait in order, once each, and not without bound."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from paglets.persistence.errors import QueueFullError
from paglets.persistence.store import Store, StoreSettings
from tests.persistence.builders import message

if TYPE_CHECKING:
    from pathlib import Path


def _waiting(store: Store, agent_id: str) -> list[str]:
    return [one.message_id for one in store.read_sync(lambda txn: txn.queued(agent_id))]


def test_messages_come_in_the_order_they_were_accepted(store: Store) -> None:
    for name in ("m2", "m9", "m1"):
        assert store.commit_sync(lambda txn, name=name: txn.append_queued("a", message(name)))
    store.commit_sync(lambda txn: txn.append_queued("ab", message("other")))
    assert _waiting(store, "a") == ["m2", "m9", "m1"]
    assert _waiting(store, "nobody") == []


def test_a_message_that_waits_already_is_not_queued_again(store: Store) -> None:
    store.commit_sync(lambda txn: txn.append_queued("a", message("m", b"first")))
    number = store.commit_number
    assert not store.commit_sync(lambda txn: txn.append_queued("a", message("m", b"second")))
    assert store.commit_number == number, "nothing was written"
    assert store.commit_sync(lambda txn: txn.append_queued("b", message("m")))
    assert [one.message for one in store.read_sync(lambda txn: txn.queued("a"))] == [b"first"]


def test_messages_are_taken_off_one_by_one_or_all_at_once(store: Store) -> None:
    for name in ("one", "two", "three"):
        store.commit_sync(lambda txn, name=name: txn.append_queued("a", message(name)))
    store.commit_sync(lambda txn: txn.drop_queued("a", "two"))
    store.commit_sync(lambda txn: txn.drop_queued("a", "unknown"))
    assert _waiting(store, "a") == ["one", "three"]
    assert store.commit_sync(lambda txn: txn.append_queued("a", message("two")))
    assert _waiting(store, "a") == ["one", "three", "two"]
    store.commit_sync(lambda txn: txn.drop_queued("a"))
    assert _waiting(store, "a") == []
    assert store.read_sync(lambda txn: txn.queue_state("a").messages) == 0


def test_message_ids_may_be_of_any_length(store: Store) -> None:
    long = "m" * 5000
    assert store.commit_sync(lambda txn: txn.append_queued("a", message(long)))
    assert not store.commit_sync(lambda txn: txn.append_queued("a", message(long)))


@pytest.mark.parametrize(
    "settings",
    [StoreSettings(max_queued_messages=2), StoreSettings(max_queued_bytes=10)],
    ids=["number", "size"],
)
def test_a_full_queue_refuses_and_keeps_what_it_has(tmp_path: Path, settings: StoreSettings) -> None:
    with Store(tmp_path, settings=settings) as store:
        for name in ("one", "two"):
            store.commit_sync(lambda txn, name=name: txn.append_queued("a", message(name, b"12345")))
        with pytest.raises(QueueFullError, match="2 messages"):
            store.commit_sync(lambda txn: txn.append_queued("a", message("three", b"1")))
        assert _waiting(store, "a") == ["one", "two"]
        store.commit_sync(lambda txn: txn.drop_queued("a", "one"))
        assert store.commit_sync(lambda txn: txn.append_queued("a", message("three", b"1")))
