"""EIO and ENOSPC at each write and sync of a store: what was acknowledged stays, the rest is whole or absent."""

from __future__ import annotations

import asyncio
import errno
import os
from typing import TYPE_CHECKING, Any

import pytest

from paglets.persistence.errors import StoreError, StoreFailedError, StoreFullError
from paglets.persistence.store import Store
from tests.persistence.builders import message, record

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from tests.disks.disk import FaultyDisk

LARGE = 700_000


async def _small(store: Store) -> None:
    """A checkpoint: a state and its record."""
    staged = await store.stage_bytes(os.urandom(900))
    await store.commit(lambda txn: txn.put_paglet(record("it", state=staged.ref)), blobs=[staged])


async def _large(store: Store) -> None:
    """An arrival with a state of several chunks."""
    staged = await store.stage_bytes(os.urandom(LARGE))
    await store.commit(lambda txn: txn.put_paglet(record("it", state=staged.ref)), blobs=[staged])


async def _queue(store: Store) -> None:
    """A message that waits."""

    def rule(txn: Any) -> None:
        txn.put_paglet(record("it"))
        txn.append_queued("it", message("m"))

    await store.commit(rule)


OPERATIONS = {"checkpoint": _small, "arrival": _large, "message": _queue}


def _open_again(directory: Path) -> dict[str, Any]:
    """The records that are there, every state and queue of them whole."""
    with Store(directory) as store:
        found = {one.agent_id: one for one in store.read_sync(lambda txn: txn.paglets())}
        assert store.damaged == []
        for one in found.values():
            if one.state is not None:
                reader = store.blob_reader(one.state)
                while reader.next():
                    pass
        store.commit_sync(lambda txn: txn.put_counter(9))
        return found


async def _attempt(
    directory: Path, operation: Callable[[Store], Awaitable[None]], check: Callable[[], int]
) -> bool:
    """Do it with a fault at hand; whether it was acknowledged. The store goes on, or says that it does not."""
    store = Store(directory)
    try:
        await store.commit(lambda txn: txn.put_paglet(record("before")))
        check()
        try:
            await operation(store)
        except StoreError:
            done = False
        else:
            done = True
        check()
        try:
            await store.commit(lambda txn: txn.put_paglet(record("after")))
        except StoreFailedError:
            assert store.failed is not None
            assert "start the host again" in str(store.failed)
        else:
            assert store.failed is None
    finally:
        await store.aclose()
    return done


@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC], ids=["EIO", "ENOSPC"])
@pytest.mark.parametrize("torn", [False, True], ids=["whole", "torn"])
@pytest.mark.parametrize("name", OPERATIONS)
async def test_each_write_fails_once(disk: FaultyDisk, name: str, error: int, *, torn: bool) -> None:
    outcomes: set[bool] = set()
    number = 0
    while number < 100:
        number += 1
        directory = disk.root / f"{number}"
        armed = iter(
            [lambda number=number: disk.fail(number, error, name="store.lmdb", torn=torn), disk.heal]
        )
        seen: list[int] = []

        def check(armed: Any = armed, seen: list[int] = seen) -> int:
            seen.append(next(armed)() or 0)
            return seen[-1]

        done = await _attempt(directory, OPERATIONS[name], check)
        found = await asyncio.to_thread(_open_again, directory)
        assert "before" in found
        assert "it" in found or not done, f"acknowledged, and gone: write {number}"
        outcomes.add(done)
        if seen[-1] < number:
            break  # it has no more writes than that: this time nothing has failed
    assert number > 3
    assert outcomes == {True, False}


@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC, errno.EROFS], ids=["EIO", "ENOSPC", "EROFS"])
async def test_all_writes_fail_for_a_while(disk: FaultyDisk, error: int) -> None:
    directory = disk.root / "store"
    kinds: list[type[StoreError] | None] = []
    with Store(directory) as store:
        store.listen(lambda _damage: None, lambda trouble: kinds.append(type(trouble) if trouble else None))
        await _small(store)
        disk.fail(1, error, name="store.lmdb", lasting=True)
        for _ in range(5):
            with pytest.raises(StoreError) as failed:
                await _small(store)
            assert isinstance(failed.value, StoreFullError) == (error == errno.ENOSPC)
        assert store.trouble is not None
        assert store.failed is None, "the first write that fails is one of pages that nothing leads to"
        assert len(kinds) == 1, "told once"
        disk.heal()
        await _small(store)
    assert set(await asyncio.to_thread(_open_again, directory)) == {"it"}


async def test_a_head_that_cannot_be_written_ends_the_writing_until_the_next_start(disk: FaultyDisk) -> None:
    directory = disk.root / "store"
    with Store(directory) as store:
        await _small(store)
        disk.fail(1 << 30, name="store.lmdb")
        await _small(store)
        writes = disk.heal()
        failed = False
        for number in range(1, writes + 1):
            disk.fail(number, name="store.lmdb")
            with pytest.raises(StoreError):
                await _small(store)
            disk.heal()
            if store.failed is not None:
                failed = True
                break
        assert failed
        with pytest.raises(StoreFailedError, match="start the host again"):
            await _small(store)
        with pytest.raises(StoreFailedError):
            await store.read(lambda txn: txn.paglet("it"))  # LMDB does not even read any more
    assert set(await asyncio.to_thread(_open_again, directory)) == {"it"}
