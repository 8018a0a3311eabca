"""Blobs go in and out in pieces, are kept once each, as long as a record names them."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import tempfile
from typing import TYPE_CHECKING

import pytest

from paglets.persistence.blob_table import CHUNK_BYTES
from paglets.persistence.errors import (
    BlobDamagedError,
    BlobMissingError,
    StoreBusyError,
    StoreError,
    StoreFullError,
)
from paglets.persistence.records import BlobRef
from paglets.persistence.store import CommitStep, Store, StoreSettings
from tests.persistence.builders import putting, record

if TYPE_CHECKING:
    from pathlib import Path

    from paglets.persistence.lmdb_transaction import LmdbTransaction

SIZES = [0, 1, 65_536, 65_537, CHUNK_BYTES, CHUNK_BYTES + 1, 5_000_001]
BIG = 20 * CHUNK_BYTES + 5


async def until(store: Store, *, blobs: int) -> None:
    """Wait until so many blobs, and no chunks of others, are left: sweeping goes on behind small writes."""
    async with asyncio.timeout(20):
        while await store.read(lambda txn: (txn.blob_count(), txn.orphans())) != (blobs, []):
            await store.commit(lambda txn: txn.counter())


async def collect(store: Store, ref: BlobRef, parts: list[bytes]) -> None:
    async for part in store.read_blob(ref):
        parts += [part]


async def keep(store: Store, agent_id: str, data: bytes) -> BlobRef:
    staged = await store.stage_bytes(data)
    await store.commit(putting(agent_id, state=staged.ref), blobs=[staged])
    return staged.ref


@pytest.mark.parametrize("size", SIZES)
async def test_what_went_in_comes_out(store: Store, size: int) -> None:
    data = os.urandom(size)
    ref = await keep(store, "a", data)
    assert ref == BlobRef(hashlib.sha256(data).digest(), size)
    assert b"".join([part async for part in store.read_blob(ref)]) == data
    assert await store.read_small(ref) == data
    file = io.BytesIO()
    await store.read_blob_into(ref, file)
    assert file.getvalue() == data


@pytest.mark.parametrize("piece", [1000, 70_001, CHUNK_BYTES, 3_000_000])
async def test_pieces_may_be_of_any_size_and_their_buffer_reused(store: Store, piece: int) -> None:
    data = os.urandom(2_500_000)
    writer = await store.stage(len(data))
    for start in range(0, len(data), piece):
        buffer = bytearray(data[start : start + piece])
        await writer.write(memoryview(buffer))
        buffer[:] = bytes(len(buffer))
    staged = await writer.finish()
    await store.commit(putting("a", state=staged.ref), blobs=[staged])
    assert await store.read_small(staged.ref) == data


@pytest.mark.parametrize("size", [10, BIG])
async def test_a_blob_can_come_from_an_open_file(store: Store, size: int) -> None:
    data = os.urandom(size)
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        staged = await store.stage_file(file.fileno(), size)
        with pytest.raises(StoreError, match="ended after"):
            await store.stage_file(file.fileno(), size + 1)
    await store.commit(putting("a", state=staged.ref), blobs=[staged])
    assert await store.read_small(staged.ref) == data


@pytest.mark.parametrize("size", [100, BIG])
async def test_a_blob_goes_with_the_last_record_that_names_it(store: Store, size: int) -> None:
    data = os.urandom(size)
    ref = await keep(store, "a", data)
    assert await keep(store, "b", data) == ref
    await until(store, blobs=1)
    await store.commit(lambda txn: txn.delete_paglet("a"))
    assert await store.read_small(ref) == data
    await store.commit(lambda txn: txn.put_paglet(record("b")))
    await until(store, blobs=0)
    with pytest.raises(BlobMissingError):
        await store.read_small(ref)


async def test_a_record_may_take_another_state_and_the_first_one_back(store: Store) -> None:
    one = await keep(store, "a", b"one")
    two = await keep(store, "a", b"two")
    assert not await store.read(lambda txn: txn.has_blob(one))
    assert await store.read(lambda txn: txn.has_blob(two))
    assert await keep(store, "a", b"one") == one
    await store.commit(putting("a", state=one))
    assert await store.read_small(one) == b"one"


@pytest.mark.parametrize("size", [100, BIG])
async def test_a_blob_that_is_let_go_and_named_again_in_one_rule_stays(store: Store, size: int) -> None:
    data = os.urandom(size)
    ref = await keep(store, "a", data)

    def rename(txn: LmdbTransaction) -> None:
        txn.delete_paglet("a")
        txn.put_paglet(record("b", state=ref))

    await store.commit(rename)
    assert await store.read_small(ref) == data
    await until(store, blobs=1)


@pytest.mark.parametrize("size", [100, BIG])
async def test_a_staged_blob_that_its_rule_does_not_use_is_dropped(store: Store, size: int) -> None:
    staged = await store.stage_bytes(os.urandom(size))
    await store.commit(putting("a"), blobs=[staged])
    await until(store, blobs=0)


@pytest.mark.parametrize("size", [100, BIG])
async def test_staged_blobs_of_a_rule_that_raises_are_dropped(store: Store, size: int) -> None:
    staged = await store.stage_bytes(os.urandom(size))

    def rule(txn: LmdbTransaction) -> None:
        txn.put_paglet(record("a", state=staged.ref))
        raise KeyError("no")

    with pytest.raises(KeyError):
        await store.commit(rule, blobs=[staged])
    await until(store, blobs=0)
    with pytest.raises(StoreError, match="stage it again"):
        await store.commit(putting("a", state=staged.ref), blobs=[staged])
    assert await store.read(lambda txn: txn.paglet("a")) is None


async def test_a_record_cannot_name_a_blob_that_is_not_here(store: Store) -> None:
    with pytest.raises(BlobMissingError, match="stage it"):
        await store.commit(putting("a", state=BlobRef(bytes(32), 5)))
    assert await store.read(lambda txn: txn.paglet("a")) is None


async def test_discarded_blobs_leave_nothing(store: Store) -> None:
    writer = await store.stage()
    await writer.write(os.urandom(BIG))
    await writer.discard()
    await writer.discard()
    with pytest.raises(StoreError, match="stage a new one"):
        await writer.write(b"more")
    staged = await store.stage_bytes(os.urandom(BIG))
    await staged.discard()
    await staged.discard()
    await until(store, blobs=0)


async def test_what_a_stopped_host_had_staged_is_swept_at_the_next_start(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        kept = await keep(store, "a", os.urandom(BIG))
        await store.stage_bytes(os.urandom(BIG))
        assert len(await store.read(lambda txn: txn.orphans())) == 1
    with Store(tmp_path) as store:
        await until(store, blobs=1)
        assert len(await store.read_small(kept)) == BIG
        later = await keep(store, "b", os.urandom(BIG))
        assert len(await store.read_small(later)) == BIG


async def test_only_so_many_blobs_may_be_written_at_once(tmp_path: Path) -> None:
    with Store(tmp_path, settings=StoreSettings(max_uploads=2)) as store:
        writers = [await store.stage() for _ in range(2)]
        with pytest.raises(StoreBusyError, match="2 blobs"):
            await store.stage()
        await writers[0].finish()
        await writers[1].discard()
        await (await store.stage()).discard()


async def test_a_blob_that_cannot_fit_is_refused_before_its_first_byte(tmp_path: Path) -> None:
    with Store(tmp_path, settings=StoreSettings(map_size=8 * 1024 * 1024)) as store:
        with pytest.raises(StoreFullError, match="map size"):
            await store.stage(9 * 1024 * 1024)
        await keep(store, "a", os.urandom(1_000_000))


async def test_a_blob_whose_writes_fail_raises_and_leaves_nothing(tmp_path: Path) -> None:
    failing = False

    def fault(step: CommitStep) -> None:
        if failing and step is CommitStep.BEFORE:
            raise OSError(5, "Input/output error")

    with Store(tmp_path, fault=fault) as store:
        failing = True
        with pytest.raises(StoreError, match="check the disk"):
            await store.stage_bytes(os.urandom(30 * CHUNK_BYTES))
        failing = False
        await keep(store, "a", b"fine")
        await until(store, blobs=1)


async def test_a_damaged_blob_is_found_when_it_is_read(tmp_path: Path) -> None:
    data = os.urandom(BIG)
    with Store(tmp_path) as store:
        ref = await keep(store, "a", data)
    file = tmp_path / "store.lmdb"
    content = bytearray(file.read_bytes())
    place = content.index(data[3 * CHUNK_BYTES + 70 : 3 * CHUNK_BYTES + 170])
    content[place] ^= 1
    file.write_bytes(content)
    with Store(tmp_path) as store:
        with pytest.raises(BlobDamagedError, match="digest"):
            await store.read_small(ref)
        received: list[bytes] = []
        with pytest.raises(BlobDamagedError):
            await collect(store, ref, received)
        assert len(b"".join(received)) < BIG, "the end of a damaged blob is never given out"


async def test_a_reader_that_stops_early_and_one_that_is_overtaken_end_cleanly(store: Store) -> None:
    ref = await keep(store, "a", os.urandom(BIG))
    slices = store.read_blob(ref)
    async for _ in slices:
        break
    await slices.aclose()
    overtaken = store.read_blob(ref)
    await anext(overtaken)
    await store.commit(lambda txn: txn.delete_paglet("a"))
    with pytest.raises(BlobMissingError):
        async for _ in overtaken:
            pass
    await until(store, blobs=0)


async def test_many_blobs_are_written_at_the_same_time(store: Store) -> None:
    contents = [os.urandom(600_000 + number) for number in range(8)]
    refs = await asyncio.gather(*(keep(store, f"p{n}", content) for n, content in enumerate(contents)))
    assert [await store.read_small(ref) for ref in refs] == contents


async def test_a_cancelled_stage_leaves_nothing(store: Store) -> None:
    async def stage() -> None:
        await store.stage_bytes(os.urandom(60 * CHUNK_BYTES))

    task = asyncio.create_task(stage())
    async with asyncio.timeout(20):
        while not (task.done() or await store.read(lambda txn: txn.orphans())):
            await store.commit(lambda txn: txn.counter())
    task.cancel()
    await asyncio.wait([task])
    if task.cancelled():
        await until(store, blobs=0)


@pytest.mark.parametrize("size", SIZES)
async def test_a_sealed_blob_is_named_before_it_is_written(store: Store, size: int) -> None:
    data = os.urandom(size)
    writer = await store.stage(size)
    for start in range(0, size, 100_000):
        await writer.write(data[start : start + 100_000])
    ref = await writer.seal()
    assert ref == BlobRef(hashlib.sha256(data).digest(), size)
    with pytest.raises(StoreError, match="sealed"):
        await writer.write(b"more")
    staged = await writer.finish()
    await store.commit(putting("a", state=staged.ref), blobs=[staged])
    assert await store.read_small(ref) == data
