"""A flipped bit anywhere in the file: found, said, and never taken for what was written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from paglets.persistence.damage import BLOB_CONTENT
from paglets.persistence.directory_lock import DirectoryLock
from paglets.persistence.errors import BlobDamagedError, StoreDamagedError
from paglets.persistence.store import Store
from tests.persistence.builders import putting

if TYPE_CHECKING:
    from paglets.persistence.damage import Damage

ALLOWED = {"as it was", "reported", "refused"}


def _rot(directory: Path, kind: str, count: int, seed: int) -> dict[str, int]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.persistence.rotting", str(directory), kind, str(seed), str(count)],
        capture_output=True,
        text=True,
        timeout=500,
        check=True,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
    )
    told = json.loads(done.stdout)
    assert set(told["outcomes"]) <= ALLOWED, (seed, told)
    return told["outcomes"]


@pytest.mark.parametrize("kind", ["head", "page-head", "anywhere"])
def test_a_flipped_bit_is_found_or_changes_nothing(tmp_path: Path, kind: str) -> None:
    outcomes = _rot(tmp_path, kind, 60, seed=3)
    assert len(outcomes) > 1, "some do damage, and some do not"


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", ["head", "page-head", "anywhere"])
@pytest.mark.parametrize("seed", [4, 5])
def test_thousands_of_flipped_bits_are_found_or_change_nothing(tmp_path: Path, kind: str, seed: int) -> None:
    _rot(tmp_path, kind, 1500, seed)


def test_a_head_that_was_set_back_does_not_hide_the_last_commit(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        for name in ("first", "second", "last"):
            store.commit_sync(putting(name))
    file = tmp_path / "store.lmdb"
    content = bytearray(file.read_bytes())
    numbers = [int.from_bytes(content[place : place + 8], sys.byteorder) for place in (144, 4096 + 144)]
    assert abs(numbers[0] - numbers[1]) == 1, "the two heads' transaction numbers"
    newest = numbers.index(max(numbers)) * 4096
    content[newest + 144 : newest + 152] = bytes(8)
    file.write_bytes(content)
    for _ in range(2):
        with pytest.raises(StoreDamagedError, match="do not follow one another"):
            Store(tmp_path)


def test_an_older_tree_under_a_new_head_is_not_taken_for_the_store(tmp_path: Path) -> None:
    """As a power cut leaves it on a disk that says "written" too early."""
    with Store(tmp_path) as store:
        for name in "abcdefgh":
            store.commit_sync(putting(name))
        before = (tmp_path / "store.lmdb").read_bytes()
        store.commit_sync(putting("last"))
    file = tmp_path / "store.lmdb"
    content = bytearray(file.read_bytes())
    content[2 * 4096 : len(before)] = before[2 * 4096 :]
    file.write_bytes(content)
    with pytest.raises(StoreDamagedError):
        Store(tmp_path)


def _break_blob(directory: Path, some_of_it: bytes) -> None:
    file = directory / "store.lmdb"
    content = bytearray(file.read_bytes())
    content[content.index(some_of_it) + 3] ^= 4
    file.write_bytes(content)


async def test_a_damaged_blob_is_reported_remembered_and_mended_by_the_same_content(tmp_path: Path) -> None:
    data = os.urandom(5000)
    with Store(tmp_path) as store:
        staged = await store.stage_bytes(data)
        ref = staged.ref
        await store.commit(putting("a", state=ref), blobs=[staged])
    _break_blob(tmp_path, data[1000:1100])
    told: list[Damage] = []
    with Store(tmp_path, on_damage=told.append) as store:
        assert store.damaged == []
        with pytest.raises(BlobDamagedError, match="restore a backup"):
            await store.read_small(ref)
        assert [(one.table, one.key) for one in told] == [(BLOB_CONTENT, ref.digest)]
    with Store(tmp_path) as store:
        assert [one.shown_key for one in store.damaged] == [ref.digest.hex()]
        # A paglet with that state can still be checkpointed: in the damaged bytes' place go sound ones.
        staged = await store.stage_bytes(data)
        await store.commit(putting("b", state=ref), blobs=[staged])
        assert store.damaged == []
        assert await store.read_small(ref) == data
        await store.commit(lambda txn: txn.delete_paglet("a"))
        assert await store.read_small(ref) == data
        await store.commit(lambda txn: txn.delete_paglet("b"))
        assert await store.read(lambda txn: txn.blob_count()) == 0
    with Store(tmp_path) as store:
        assert store.damaged == []


async def test_a_damaged_blob_that_nothing_needs_any_more_is_forgotten(tmp_path: Path) -> None:
    data = os.urandom(300_000)
    with Store(tmp_path) as store:
        staged = await store.stage_bytes(data)
        ref = staged.ref
        await store.commit(putting("a", state=ref), blobs=[staged])
    _break_blob(tmp_path, data[280_000:280_100])
    with Store(tmp_path) as store:
        with pytest.raises(BlobDamagedError):
            await store.read_small(ref)
        await store.commit(putting("a"))
        assert store.damaged == []


def test_a_lock_file_keeps_its_length_so_that_a_full_disk_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "store.lock"
    lengths: list[int] = []
    for clean in (True, False, True):
        lock = DirectoryLock(path)
        lengths.append(path.stat().st_size)
        lock.release(clean=clean)
        lengths.append(path.stat().st_size)
    assert set(lengths) == {21}
    assert not DirectoryLock(path).left_behind
