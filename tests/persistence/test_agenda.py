"""The agenda is made anew when it is not there or damaged, and a damaged record is not on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lmdb
import msgspec
import pytest

from paglets.persistence.agenda import Matter
from paglets.persistence.records import Forward, Phase
from paglets.persistence.store import Store
from paglets.persistence.table import seal
from tests.persistence.builders import edit, message, putting, record

if TYPE_CHECKING:
    from pathlib import Path

    from paglets.persistence.lmdb_transaction import LmdbTransaction


def fill(txn: LmdbTransaction) -> None:
    for phase in Phase:
        for number in range(3):
            txn.put_paglet(record(f"{phase.value}-{number}", phase))
    gone = record("departed-0", Phase.DEPARTED)
    forward = Forward("host", "https://h:1", "h", gone.incarnation, 5.0)
    txn.put_paglet(msgspec.structs.replace(gone, forward=forward))
    txn.append_queued("departed-0", message("m"))
    txn.put_paglet(msgspec.structs.replace(record("waiting", Phase.INACTIVE), policy={"activate_at": 9.0}))
    txn.put_paglet(msgspec.structs.replace(record("back", Phase.INACTIVE), resume=True))


EXPECTED = {
    Matter.RUNNING: ["active-0", "active-1", "active-2"],
    Matter.MOVING: ["prepared-0", "prepared-1", "prepared-2"],
    Matter.STARTUP: ["back"],
    Matter.ALARM: ["waiting"],
    Matter.ONWARD: ["departed-0"],
}


def agenda(store: Store) -> dict[Matter, list[str]]:
    return {matter: store.read_sync(lambda txn, one=matter: txn.agenda(one)) for matter in EXPECTED}


def test_it_names_who_has_to_be_looked_at(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.commit_sync(fill)
        assert agenda(store) == EXPECTED
        assert store.read_sync(lambda txn: txn.gone(5.0)) == [
            "departed-1", "departed-2", "tombstone-0", "tombstone-1", "tombstone-2",
        ]  # fmt: skip
        assert store.read_sync(lambda txn: txn.gone(1e9, limit=6))[-1] == "departed-0"
    with Store(tmp_path) as store:
        assert agenda(store) == EXPECTED


def test_a_store_without_one_gets_it_and_is_of_this_schema_then(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Store(tmp_path) as store:
        store.commit_sync(fill)
    environment = lmdb.open(str(tmp_path / "store.lmdb"), subdir=False, max_dbs=32)
    agenda_table, numbers = environment.open_db(b"agenda"), environment.open_db(b"numbers")
    with environment.begin(write=True) as txn:
        txn.drop(agenda_table)
        txn.delete(b"agenda", db=numbers)
        txn.delete(b"transaction", db=numbers)
        txn.put(b"schema", seal(b"schema", msgspec.msgpack.encode(1)), db=numbers)
    environment.close()
    for remade in (True, False):
        caplog.clear()
        with Store(tmp_path) as store:
            assert agenda(store) == EXPECTED
        assert ("made anew" in caplog.text) == remade


@pytest.mark.parametrize(
    ("table", "key"), [(b"agenda", b"aactive-1"), (b"agenda", b"oelsewhere"), (b"numbers", b"agenda")]
)
def test_a_damaged_one_is_made_anew(tmp_path: Path, table: bytes, key: bytes) -> None:
    with Store(tmp_path) as store:
        store.commit_sync(fill)
    edit(tmp_path, table, key, b"what is this")
    with Store(tmp_path) as store:
        assert agenda(store) == EXPECTED
        assert store.damaged == []


def test_a_damaged_record_leaves_it(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.commit_sync(fill)
    for key in (b"active-1", b"departed-0"):
        edit(tmp_path, b"paglets", key, None)
    with Store(tmp_path) as store:
        found = store.read_sync(
            lambda txn: txn.some_paglets(["active-0", "active-1", "departed-0", "nobody"])
        )
        assert [one.agent_id for one in found] == ["active-0"]
        store.commit_sync(putting("later"))  # behind the two that go into quarantine
        assert agenda(store)[Matter.RUNNING] == ["active-0", "active-2", "later"]
        assert agenda(store)[Matter.ONWARD] == []
        assert "departed-0" not in store.read_sync(lambda txn: txn.gone(1e9))


def test_a_rule_that_raises_leaves_it_as_it_was(tmp_path: Path) -> None:
    def refused(txn: LmdbTransaction) -> None:
        txn.put_paglet(record("active-0", Phase.TOMBSTONE))
        txn.drop_queued("departed-0")
        raise ValueError("no")

    with Store(tmp_path) as store:
        store.commit_sync(fill)
        with pytest.raises(ValueError, match="no"):
            store.commit_sync(refused)
        assert agenda(store) == EXPECTED
