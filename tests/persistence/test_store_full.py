"""A full map and a full disk: the write is refused whole, the store goes on."""

from __future__ import annotations

import asyncio
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from paglets.persistence.errors import StoreFullError, StoreMapFullError
from paglets.persistence.store import Store, StoreSettings
from tests.persistence.builders import putting

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MIB = 1024 * 1024


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "paglets-test", str(place)]
    mounted = subprocess.run(command, capture_output=True, check=False, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"a small file system cannot be mounted here: {mounted.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


async def _fill(store: Store) -> int:
    """Write blobs until the store is full: how many got in."""
    for number in range(1000):
        try:
            staged = await store.stage_bytes(os.urandom(60_000))
            await store.commit(putting(f"p{number:04}", state=staged.ref), blobs=[staged])
        except StoreFullError:
            return number
    raise AssertionError("never full")


async def _check_that_it_goes_on(store: Store, written: int) -> None:
    assert written > 5
    records = await store.read(lambda txn: txn.paglets())
    assert [one.agent_id for one in records] == [f"p{number:04}" for number in range(written)]
    assert await store.read(lambda txn: txn.blob_count()) == written
    for one in records:
        assert one.state is not None
        await store.read_small(one.state)
    for one in records[: written // 2]:
        await store.commit(lambda txn, one=one: txn.delete_paglet(one.agent_id))
    staged = await store.stage_bytes(os.urandom(60_000))
    await store.commit(putting("later", state=staged.ref), blobs=[staged])


async def test_a_full_map_refuses_whole_writes_and_takes_deletes(tmp_path: Path) -> None:
    with Store(tmp_path, settings=StoreSettings(map_size=4 * MIB)) as store:
        await _check_that_it_goes_on(store, await _fill(store))
    with Store(tmp_path, settings=StoreSettings(map_size=16 * MIB)) as store:
        assert await _fill(store) > 100, "a larger map is taken at the next start"


async def test_a_write_that_fills_the_map_spoils_no_other_of_its_batch(tmp_path: Path) -> None:
    with Store(tmp_path, settings=StoreSettings(map_size=4 * MIB)) as store:
        results = await asyncio.gather(
            store.commit(putting("first")),
            store.commit(putting("one")),
            store.commit(lambda txn: txn.meta_put("huge", bytes(8 * MIB))),
            store.commit(putting("two")),
            return_exceptions=True,
        )
        assert [type(result) for result in results] == [type(None), type(None), StoreMapFullError, type(None)]
        assert [one.agent_id for one in await store.read(lambda txn: txn.paglets())] == [
            "first",
            "one",
            "two",
        ]


async def test_arrivals_are_refused_before_the_map_is_full(tmp_path: Path) -> None:
    with Store(tmp_path, settings=StoreSettings(map_size=4 * MIB, disk_reserve=0)) as store:
        assert store.accepts_arrivals()
        assert not store.accepts_arrivals(4 * MIB)
        for number in range(1000):
            if not store.accepts_arrivals():
                break
            staged = await store.stage_bytes(os.urandom(60_000))
            await store.commit(putting(f"p{number:04}", state=staged.ref), blobs=[staged])
        assert not store.accepts_arrivals()
        await store.commit(putting("a departure can still be written"))


def test_arrivals_are_refused_while_the_disk_has_no_reserve(tmp_path: Path) -> None:
    with Store(tmp_path, settings=StoreSettings(disk_reserve=1 << 60)) as store:
        assert not store.accepts_arrivals()


async def test_a_full_disk_refuses_whole_writes_and_the_store_goes_on(small_disk: Path) -> None:
    with Store(small_disk / "store") as store:
        written = await _fill(store)
        with pytest.raises(StoreFullError, match=r"file system full.*Free some space"):
            await store.stage_bytes(os.urandom(3 * MIB))
        await _check_that_it_goes_on(store, written)
    with Store(small_disk / "store") as store:
        assert await store.read(lambda txn: txn.paglet("later")) is not None
