"""Waiting writes share a commit, and none of them can spoil another."""

from __future__ import annotations

import asyncio
import errno
import threading
from typing import TYPE_CHECKING

import pytest

from paglets.persistence.errors import (
    StoreBusyError,
    StoreClosedError,
    StoreError,
    StoreFullError,
    StoreTimeoutError,
)
from paglets.persistence.records import Phase
from paglets.persistence.store import CommitStep, Store, StoreSettings
from tests.persistence.builders import putting, record

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from paglets.persistence.lmdb_transaction import LmdbTransaction


class Gate:
    """Holds commits back until it is opened, or makes them fail."""

    def __init__(self) -> None:
        self.waiting = threading.Semaphore(0)
        self.open = threading.Event()
        self.error: OSError | None = None
        self.commits = 0

    def __call__(self, step: CommitStep) -> None:
        if step is CommitStep.BEFORE:
            self.waiting.release()
            assert self.open.wait(20)
            if self.error is not None:
                raise self.error
            self.commits += 1

    async def somebody_waits(self) -> None:
        assert await asyncio.to_thread(self.waiting.acquire, timeout=20)


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def gated(tmp_path: Path, gate: Gate) -> Iterator[Store]:
    with Store(tmp_path, fault=gate, settings=StoreSettings(max_waiting=64)) as store:
        yield store
        gate.open.set()


def ids(store: Store) -> list[str]:
    return [one.agent_id for one in store.read_sync(lambda txn: txn.paglets())]


async def test_writes_that_wait_together_share_one_commit(gated: Store, gate: Gate) -> None:
    first = asyncio.create_task(gated.commit(putting("first")))
    await gate.somebody_waits()
    others = [asyncio.create_task(gated.commit(putting(f"p{number}"))) for number in range(20)]
    await asyncio.sleep(0)
    number = gated.commit_number
    assert not first.done()
    gate.open.set()
    await asyncio.gather(first, *others)
    assert gate.commits == 2
    assert gated.commit_number == number + 2
    assert len(ids(gated)) == 21


async def test_a_rule_that_raises_drops_itself_and_nothing_else(gated: Store, gate: Gate) -> None:
    def raising(txn: LmdbTransaction) -> None:
        txn.put_paglet(record("wrong"))
        assert txn.paglet("before") is not None, "sees the earlier writes of the batch"
        raise KeyError("no")

    def reading(txn: LmdbTransaction) -> bool:
        return txn.paglet("wrong") is None and txn.paglet("before") is not None

    blocker = asyncio.create_task(gated.commit(putting("blocker")))
    await gate.somebody_waits()
    batch = [
        gated.commit(putting("before")),
        gated.commit(raising),
        gated.commit(reading),
        gated.commit(putting("z")),
    ]
    results = asyncio.gather(*batch, return_exceptions=True)
    await asyncio.sleep(0)
    gate.open.set()
    before, wrong, seen, after = await results
    assert (before, seen, after) == (None, True, None)
    assert isinstance(wrong, KeyError)
    await blocker
    assert ids(gated) == ["before", "blocker", "z"]
    assert gated.read_sync(lambda txn: txn.phase_counts())[Phase.ACTIVE] == 3


async def test_a_failed_commit_fails_all_of_its_batch_and_the_store_goes_on(gated: Store, gate: Gate) -> None:
    gate.error = OSError(errno.EIO, "Input/output error")
    first = asyncio.create_task(gated.commit(putting("first")))
    await gate.somebody_waits()
    second = asyncio.create_task(gated.commit(putting("second")))
    third = asyncio.create_task(gated.commit(putting("third")))
    await asyncio.sleep(0)
    gate.open.set()
    failures = await asyncio.gather(first, second, third, return_exceptions=True)
    assert [type(failure) for failure in failures] == [StoreError] * 3
    assert failures[1] is not failures[2]
    assert "check the disk" in str(failures[0])
    assert ids(gated) == []
    gate.error = None
    number = gated.commit_number
    await gated.commit(putting("later"))
    assert ids(gated) == ["later"]
    assert gated.commit_number == number + 1


async def test_a_full_disk_is_said_as_such(gated: Store, gate: Gate) -> None:
    gate.error = OSError(errno.ENOSPC, "No space left on device")
    gate.open.set()
    with pytest.raises(StoreFullError, match="Free some space"):
        await gated.commit(putting("a"))


async def test_a_cancelled_write_that_began_happens_whole(gated: Store, gate: Gate) -> None:
    def two(txn: LmdbTransaction) -> None:
        txn.put_paglet(record("one"))
        txn.put_paglet(record("two"))

    task = asyncio.create_task(gated.commit(two))
    await gate.somebody_waits()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    gate.open.set()
    await gated.commit(putting("later"))
    assert ids(gated) == ["later", "one", "two"]


async def test_what_follows_from_a_write_follows_though_its_caller_was_cancelled(
    gated: Store, gate: Gate
) -> None:
    followed: list[str] = []

    def fails(_: None) -> None:
        raise AssertionError("others wait to be told")

    waiting = [
        asyncio.create_task(gated.commit(putting("one"), then=lambda _: followed.append("one"))),
        asyncio.create_task(gated.commit(putting("two"), then=fails)),
        asyncio.create_task(gated.commit(putting("three"), then=lambda _: followed.append("three"))),
    ]
    await gate.somebody_waits()
    waiting[0].cancel()
    gate.open.set()
    done = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(done[0], asyncio.CancelledError)
    assert done[1:] == [None, None]
    assert followed == ["one", "three"]
    assert ids(gated) == ["one", "three", "two"]


async def test_a_cancelled_write_that_did_not_begin_does_not_happen(gated: Store, gate: Gate) -> None:
    blocker = asyncio.create_task(gated.commit(putting("blocker")))
    await gate.somebody_waits()
    task = asyncio.create_task(gated.commit(putting("cancelled")))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    gate.open.set()
    await blocker
    await gated.commit(putting("later"))
    assert ids(gated) == ["blocker", "later"]


async def test_only_so_many_writes_may_wait(gated: Store, gate: Gate) -> None:
    blocker = asyncio.create_task(gated.commit(putting("blocker")))
    await gate.somebody_waits()
    waiting = [asyncio.create_task(gated.commit(putting(f"p{number}"))) for number in range(64)]
    await asyncio.sleep(0)
    with pytest.raises(StoreBusyError, match="64 writes wait"):
        await gated.commit(putting("too much"))
    gate.open.set()
    await asyncio.gather(blocker, *waiting)
    assert len(ids(gated)) == 65


async def test_small_writes_go_before_the_bytes_of_blobs(gated: Store, gate: Gate) -> None:
    blocker = asyncio.create_task(gated.commit(putting("blocker")))
    await gate.somebody_waits()
    bulk = asyncio.create_task(gated.stage_bytes(bytes(300_000)))
    # The bulk write is in the queue once its bytes are hashed on a reader thread, behind this read.
    await gated.read(lambda txn: txn.counter())
    small = asyncio.create_task(gated.commit(lambda txn: txn.orphans()))
    await asyncio.sleep(0)
    gate.open.set()
    assert await small == [], "no byte of the blob was there yet"
    await blocker
    await (await bulk).discard()


def test_a_thread_that_waits_too_long_is_told_whether_it_may_still_happen(gated: Store, gate: Gate) -> None:
    with pytest.raises(StoreTimeoutError, match="may still get there"):
        gated.commit_sync(putting("begun"), timeout=0.05)
    with pytest.raises(StoreTimeoutError, match="nothing was written"):
        gated.commit_sync(putting("waiting"), timeout=0.05)
    gate.open.set()
    gated.commit_sync(putting("later"), timeout=20)
    assert ids(gated) == ["begun", "later"]


async def test_a_synchronous_write_on_a_loop_is_refused(store: Store) -> None:
    with pytest.raises(StoreError, match="would stop the loop"):
        store.commit_sync(putting("a"))


def test_a_rule_that_waits_for_another_write_is_refused(store: Store) -> None:
    with pytest.raises(StoreError, match="a rule cannot wait"):
        store.commit_sync(lambda txn: store.commit_sync(putting("a")))


def test_nothing_is_written_for_a_rule_that_only_reads(tmp_path: Path, gate: Gate) -> None:
    gate.open.set()
    with Store(tmp_path, fault=gate) as store:
        number = store.commit_number
        assert store.commit_sync(lambda txn: txn.counter()) == 1
        assert store.commit_number == number
        assert gate.commits == 0


def test_an_idle_store_writes_nothing(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.commit_sync(putting("a"))
        before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
        store.read_sync(lambda txn: txn.paglets())
        assert store.accepts_arrivals()
        assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


def test_closing_writes_what_waits_and_refuses_the_rest(tmp_path: Path, gate: Gate) -> None:
    store = Store(tmp_path, fault=gate)
    errors: list[BaseException] = []

    def write(name: str) -> None:
        try:
            store.commit_sync(putting(name))
        except StoreError as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    assert gate.waiting.acquire(timeout=20)
    gate.open.set()
    for thread in threads:
        thread.join()
    store.close()
    store.close()
    assert errors == []
    with pytest.raises(StoreClosedError):
        store.commit_sync(putting("late"))
    with pytest.raises(StoreClosedError):
        store.read_sync(lambda txn: txn.counter())
    with Store(tmp_path) as again:
        assert ids(again) == ["one", "two"]


def test_closing_is_bounded_when_the_disk_does_not_answer(tmp_path: Path, gate: Gate) -> None:
    store = Store(tmp_path, fault=gate)
    thread = threading.Thread(target=lambda: store.commit_sync(putting("slow")))
    thread.start()
    assert gate.waiting.acquire(timeout=20)
    store.close(timeout=0.05)
    gate.open.set()
    thread.join()


async def test_a_store_serves_tasks_of_several_loops(store: Store) -> None:
    def on_another_loop() -> None:
        asyncio.run(store.commit(putting("other")))

    await asyncio.gather(asyncio.to_thread(on_another_loop), store.commit(putting("here")))
    assert ids(store) == ["here", "other"]
