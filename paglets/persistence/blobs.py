"""Blobs on their way into the store, with bounded memory and never on the loop."""

from __future__ import annotations

import os
from hashlib import sha256
from typing import TYPE_CHECKING, Protocol, TypeVar

from paglets.persistence.blob_table import CHUNK_BYTES
from paglets.persistence.errors import StoreError
from paglets.persistence.records import BlobRef

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from paglets.persistence.lmdb_transaction import LmdbTransaction

ResultT = TypeVar("ResultT")

_WRITES_UNDER_WAY = 2
"""Bulk transactions of one blob that may wait for the disk: its memory is one more of them at most."""


class StagingArea(Protocol):
    """What staging needs of the store."""

    @property
    def small_blob(self) -> int:
        """Blobs up to this size stay in memory."""
        ...

    @property
    def bulk_bytes(self) -> int:
        """Blob bytes in one bulk transaction; a multiple of the chunk size."""
        ...

    def submit_bulk(self, rule: Callable[[LmdbTransaction], ResultT]) -> asyncio.Future[ResultT]:
        """Run a rule in a transaction of its own, after the small commits that wait."""
        ...

    async def in_reader(self, function: Callable[[], ResultT]) -> ResultT:
        """Run a blocking function on a reader thread."""
        ...

    def sweep(self, upload: int) -> None:
        """Have the chunks of an upload deleted, unless it has become a blob."""
        ...

    def writer_ended(self) -> None:
        """A blob writer takes no more."""
        ...


class StagedBlob:
    """A blob that is in the store, or in memory when small, but that no record names yet.

    Pass it to ``Store.commit(..., blobs=[staged])``, once, or ``discard`` it. What is neither adopted nor
    discarded is swept when the store is next opened.
    """

    def __init__(self, area: StagingArea, ref: BlobRef, upload: int, chunks: int, data: bytes | None) -> None:
        self.ref = ref
        """What a record's ``state`` is to be."""
        self._area = area
        self._upload = upload
        self._chunks = chunks
        self._data = data
        self._spent = False

    async def discard(self) -> None:
        """Drop it; again, or after it went into a commit, is no error."""
        if not self._spent:
            self._spent = True
            self.sweep()

    def spend(self) -> None:
        """For the store: it goes into a commit now; ``StoreError`` the second time."""
        if self._spent:
            raise StoreError(
                f"the staged blob {self.ref.digest.hex()[:12]} was used or dropped already; stage it again"
            )
        self._spent = True

    def adopt(self, txn: LmdbTransaction) -> None:
        """For the store: make it a blob, within a transaction."""
        if self._data is not None:
            txn.blobs.adopt_small(self.ref, self._upload, self._data)
        else:
            txn.blobs.adopt_upload(self.ref, self._upload, self._chunks)

    def sweep(self) -> None:
        """For the store: the commit failed, or may have."""
        if self._data is None:
            self._area.sweep(self._upload)


class BlobWriter:
    """Takes the bytes of one blob, in order, from one task. Ends with ``finish`` or ``discard``."""

    def __init__(self, area: StagingArea, upload: int) -> None:
        self._area = area
        self._upload = upload
        self._hash = sha256()
        self._size = 0
        self._buffer = bytearray()
        self._chunks = 0
        self._under_way: list[asyncio.Future[None]] = []
        self._sealed = False
        self._ended = False

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Add bytes; waits when the disk is slower than the caller. The data may be reused afterwards."""
        self._refuse_when_ended()
        if self._sealed:
            raise StoreError("this blob is sealed; stage a new one")
        view = memoryview(data).cast("B")
        bulk = self._area.bulk_bytes
        for start in range(0, len(view), bulk):
            piece = view[start : start + bulk]
            self._size += len(piece)
            self._buffer += piece
            if len(self._buffer) >= bulk:
                full, self._buffer = self._buffer, bytearray()
                await self._flush(self._cut(full))

    async def write_file(self, descriptor: int, size: int) -> None:
        """Add the first ``size`` bytes of an open file, read off the loop; its position stays as it is.

        ``StoreError`` when the file is shorter.
        """
        for start in range(0, size, self._area.bulk_bytes):
            wanted = min(self._area.bulk_bytes, size - start)
            data = await self._area.in_reader(
                lambda start=start, wanted=wanted: _read(descriptor, start, wanted)
            )
            await self.write(data)

    async def seal(self) -> BlobRef:
        """All bytes are in: the name of the blob that they are. They may still be on their way to the disk."""
        self._refuse_when_ended()
        if not self._sealed:
            self._sealed = True
            if self._chunks == 0 and self._size <= self._area.small_blob:
                self._hash.update(self._buffer)
            else:
                last, self._buffer = self._buffer, bytearray()
                await self._flush(memoryview(last))
        return BlobRef(self._hash.digest(), self._size)

    async def finish(self) -> StagedBlob:
        """All bytes are in, and durable or in memory: the staged blob."""
        self._refuse_when_ended()
        try:
            ref = await self.seal()
            await self._wait_until(0)
        except BaseException:
            await self.discard()
            raise
        data = bytes(self._buffer) if self._chunks == 0 else None
        self._end()
        return StagedBlob(self._area, ref, self._upload, self._chunks, data)

    async def discard(self) -> None:
        """Drop what was written; again, or after ``finish``, is no error."""
        if not self._ended:
            self._end()
            for future in self._under_way:
                future.add_done_callback(_retrieve)
            # Behind the bulk transactions that still wait, so it finds what they write.
            self._area.sweep(self._upload)

    def _end(self) -> None:
        self._ended = True
        self._buffer = bytearray()
        self._area.writer_ended()

    def _refuse_when_ended(self) -> None:
        if self._ended:
            raise StoreError("this blob was finished or dropped; stage a new one")

    def _cut(self, full: bytearray) -> memoryview:
        """Keep what does not fill a chunk for later."""
        whole = len(full) - len(full) % CHUNK_BYTES
        self._buffer += memoryview(full)[whole:]
        return memoryview(full)[:whole]

    async def _flush(self, view: memoryview) -> None:
        """Write and hash whole chunks, both off the loop and at the same time."""
        chunks = [view[start : start + CHUNK_BYTES] for start in range(0, len(view), CHUNK_BYTES)]
        if not chunks:
            return
        upload, first = self._upload, self._chunks
        self._chunks += len(chunks)
        await self._wait_until(_WRITES_UNDER_WAY - 1)
        self._under_way.append(
            self._area.submit_bulk(lambda txn: txn.blobs.put_chunks(upload, first, chunks))
        )
        await self._area.in_reader(lambda: self._hash.update(view))

    async def _wait_until(self, under_way: int) -> None:
        while len(self._under_way) > under_way:
            await self._under_way[0]
            self._under_way.pop(0)


def _read(descriptor: int, start: int, size: int) -> bytes:
    data = os.pread(descriptor, size, start)
    while len(data) < size:
        more = os.pread(descriptor, size - len(data), start + len(data))
        if not more:
            raise StoreError(
                f"the file to be stored ended after {start + len(data)} bytes; more were announced"
            )
        data += more
    return data


def _retrieve(future: asyncio.Future[None]) -> None:
    """Nobody waits for a dropped blob's writes; what failed them was logged by the writer."""
    if not future.cancelled():
        future.exception()
