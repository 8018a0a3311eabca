"""Opening a store: what else may be in the way, and what is said about it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import lmdb
import msgspec
import pytest

from paglets.persistence.errors import (
    RecordDamagedError,
    StoreDamagedError,
    StoreError,
    StoreInUseError,
    StoreSchemaError,
)
from paglets.persistence.records import Phase
from paglets.persistence.store import Store
from paglets.persistence.table import seal
from tests.persistence.builders import edit, message, putting, record

if TYPE_CHECKING:
    from paglets.persistence.damage import Damage
    from paglets.persistence.lmdb_transaction import LmdbTransaction

HOLDER = """
import sys, time
from pathlib import Path
from paglets.persistence.store import Store
store = Store(Path(sys.argv[1]))
print("open", flush=True)
time.sleep(60)
"""

LITTLE_ADDRESS_SPACE = """
import resource, sys
from pathlib import Path
resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
from paglets.persistence.store import Store
with Store(Path(sys.argv[1])) as store:
    store.commit_sync(lambda txn: txn.put_counter(3))
    print(store.read_sync(lambda txn: txn.counter()))
"""

AS_NOBODY = """
import os, sys
from pathlib import Path
from paglets.persistence.errors import StoreReadOnlyError
from paglets.persistence.store import Store
os.setgid(65534)
os.setuid(65534)
try:
    Store(Path(sys.argv[1]))
except StoreReadOnlyError as error:
    print(error)
"""


def run(script: str, directory: Path, *, timeout: float = 30) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script, str(directory)],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=True,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
    )
    return done.stdout.strip()


def test_a_second_store_on_the_directory_is_refused(store: Store) -> None:
    with pytest.raises(StoreInUseError, match=f"process {os.getpid()}.*data directory of its own"):
        Store(store.directory)
    store.commit_sync(putting("a"))


def test_a_store_that_another_process_has_is_refused_until_it_is_killed(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
    )
    assert holder.stdout is not None
    with holder, holder.stdout:
        assert holder.stdout.readline() == b"open\n"
        with pytest.raises(StoreInUseError, match=f"process {holder.pid}"):
            Store(tmp_path)
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    with Store(tmp_path) as store:
        store.commit_sync(putting("a"))


def test_a_store_of_a_newer_release_is_left_alone(tmp_path: Path) -> None:
    Store(tmp_path).close()
    edit(tmp_path, b"numbers", b"schema", seal(b"schema", msgspec.msgpack.encode(99)))
    for _ in range(2):
        with pytest.raises(StoreSchemaError, match=r"has schema 99.*newer"):
            Store(tmp_path)


def test_a_store_that_was_not_finished_is_made_anew(tmp_path: Path) -> None:
    """As a power cut in the middle of a host's very first start leaves it."""
    for name in ("store.lmdb.new", "store.lmdb.new-lock"):
        (tmp_path / name).write_bytes(bytes(5000))
    with Store(tmp_path) as store:
        store.commit_sync(putting("a"))
    assert {each.name for each in tmp_path.iterdir()} == {"store.lmdb", "store.lmdb-lock", "store.lock"}


def test_a_file_of_another_program_is_left_alone(tmp_path: Path) -> None:
    environment = lmdb.open(str(tmp_path / "store.lmdb"), subdir=False, max_dbs=2)
    environment.open_db(b"theirs")
    environment.close()
    with pytest.raises(StoreSchemaError, match="not written by paglets"):
        Store(tmp_path)


def test_a_file_that_is_no_store_is_called_damaged(tmp_path: Path) -> None:
    (tmp_path / "store.lmdb").write_bytes(os.urandom(50_000))
    with pytest.raises(StoreDamagedError, match="move it aside"):
        Store(tmp_path)


def test_a_store_that_was_emptied_is_not_taken_for_a_new_one(tmp_path: Path) -> None:
    with Store(tmp_path):
        pass
    file = tmp_path / "store.lmdb"
    os.truncate(file, 0)
    with pytest.raises(StoreDamagedError, match="its file is empty"):
        Store(tmp_path)
    assert file.stat().st_size == 0


def test_a_truncated_store_is_called_damaged(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        for number in range(200):
            store.commit_sync(putting(f"p{number}"))
    file = tmp_path / "store.lmdb"
    os.truncate(file, file.stat().st_size // 2)
    with pytest.raises(StoreDamagedError, match="restore a backup"):
        Store(tmp_path)


def test_a_structure_that_was_overwritten_is_found_after_a_stop_that_was_not_clean(tmp_path: Path) -> None:
    with Store(tmp_path) as store:

        def fill(txn: LmdbTransaction) -> None:
            for number in range(2000):
                txn.put_paglet(record(f"p{number:05}"))

        store.commit_sync(fill)
    (tmp_path / "store.lock").write_text("4711\n")
    file = tmp_path / "store.lmdb"
    content = bytearray(file.read_bytes())
    page = content.rindex(b"p01000") // 4096 * 4096
    content[page + 16 : page + 60] = bytes(range(44))
    file.write_bytes(content)
    for _ in range(2):
        with pytest.raises(StoreDamagedError, match="is damaged"):
            Store(tmp_path)


def test_a_flipped_bit_costs_one_record_and_is_reported(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        for name in ("a", "b", "c"):
            store.commit_sync(putting(name))
    edit(tmp_path, b"paglets", b"b", None)
    told: list[Damage] = []
    with Store(tmp_path, on_damage=told.append) as store:
        assert [one.agent_id for one in store.read_sync(lambda txn: txn.paglets())] == ["a", "c"]
        assert [(one.table, one.key) for one in store.damaged] == [("paglets", b"b")]
        assert told == store.damaged
        # An id whose record is lost is not an unknown one: nothing may be decided about it.
        with pytest.raises(RecordDamagedError, match=r"'b' is damaged.*backup"):
            store.commit_sync(lambda txn: txn.paglet("b"))
        with pytest.raises(RecordDamagedError):
            store.commit_sync(putting("b"))
        store.commit_sync(putting("d"))
    with Store(tmp_path) as store:
        assert [(one.table, one.key) for one in store.damaged] == [("paglets", b"b")]
        assert store.damaged[0].reason == told[0].reason
        with pytest.raises(RecordDamagedError):
            store.read_sync(lambda txn: txn.paglet("b"))


async def test_an_operator_may_give_a_damaged_record_up(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        await store.commit(putting("a"))
    edit(tmp_path, b"paglets", b"a", b"garbage")
    with Store(tmp_path) as store:
        with pytest.raises(RecordDamagedError):
            await store.read(lambda txn: txn.paglet("a"))
        await store.forget_damaged(store.damaged[0])
        assert store.damaged == []
        assert await store.read(lambda txn: txn.paglet("a")) is None
        await store.commit(putting("a"))
    with Store(tmp_path) as store:
        assert store.damaged == []
        assert await store.read(lambda txn: txn.paglet("a")) == record("a")


def test_a_damaged_message_does_not_hold_up_the_others(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        for name in ("one", "two", "three"):
            store.commit_sync(lambda txn, name=name: txn.append_queued("a", message(name)))
    edit(tmp_path, b"queue", b"a\0" + (1).to_bytes(8, "big"), None)
    with Store(tmp_path) as store:
        assert [one.message_id for one in store.read_sync(lambda txn: txn.queued("a"))] == ["one", "three"]
        assert [one.table for one in store.damaged] == ["queue"]


def test_damaged_phase_counts_are_counted_anew(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        for name in ("a", "b", "c"):
            store.commit_sync(putting(name))
    edit(tmp_path, b"numbers", b"phase.active", None)
    with Store(tmp_path) as store:
        assert store.read_sync(lambda txn: txn.phase_counts())[Phase.ACTIVE] == 3
        store.commit_sync(putting("d"))
        assert store.read_sync(lambda txn: txn.phase_counts())[Phase.ACTIVE] == 4
        assert store.damaged == []


@pytest.mark.parametrize("key", [b"schema", b"commit"])
def test_a_store_whose_own_numbers_are_damaged_is_not_opened(tmp_path: Path, key: bytes) -> None:
    Store(tmp_path).close()
    edit(tmp_path, b"numbers", key, None)
    with pytest.raises(StoreDamagedError):
        Store(tmp_path)


def test_a_process_with_little_address_space_gets_a_smaller_map(tmp_path: Path) -> None:
    assert run(LITTLE_ADDRESS_SPACE, tmp_path) == "3"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_store_that_cannot_be_written_is_said_as_such() -> None:
    with tempfile.TemporaryDirectory() as name:  # one that others can reach, unlike pytest's own
        directory = Path(name, "store")
        Path(name).chmod(0o755)
        Store(directory).close()
        directory.chmod(0o755)
        for file in directory.iterdir():
            file.chmod(0o444)
        said = run(AS_NOBODY, directory)
    assert "cannot be written" in said
    assert "check the owner and mode" in said


def test_a_file_in_the_place_of_the_directory_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"the store in .* failed: .*exists"):
        Store(tmp_path / "file")
