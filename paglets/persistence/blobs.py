"""Blobs on their way in and out of the store, with bounded memory and never on the loop."""

from __future__ import annotations

import asyncio
from hashlib import sha256
from typing import TYPE_CHECKING, Protocol

from paglets.persistence.blob_table import CHUNK_BYTES, BlobTable
from paglets.persistence.errors import BlobDamagedError, BlobMissingError, StoreError
from paglets.persistence.records import BlobRef

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from typing import Any, TypeVar

    from paglets.persistence.lmdb_transaction import LmdbTransaction
    from paglets.persistence.settings import StoreSettings

    ResultT = TypeVar("ResultT")

_WRITES_UNDER_WAY = 2


class BlobHome(Protocol):
    """What staging and reading need of the store."""

    @property
    def settings(self) -> StoreSettings:
        """Sizes and bounds."""
        ...

    def next_upload(self) -> int:
        """A number that no other upload has."""
        ...

    def upload_ended(self, upload: int, *, drop: bool) -> None:
        """The upload is adopted, or is to be swept."""
        ...

    def submit_bulk(self, rule: Callable[[LmdbTransaction], ResultT]) -> asyncio.Future[ResultT]:
        """Run a rule in a transaction of its own, after the small commits that wait."""
        ...

    async def in_reader(self, function: Callable[[], ResultT]) -> ResultT:
        """Run a blocking function on a reader thread."""
        ...

    def read_sync(self, function: Callable[[Any], ResultT]) -> ResultT:
        """Run a read here."""
        ...


class StagedBlob:
    """A blob that is in the store, or in memory when small, but that no record names yet.

    Pass it to ``Store.commit(..., blobs=[staged])``, once, or ``discard`` it. What is neither adopted nor
    discarded is swept when the store is next opened.
    """

    def __init__(self, home: BlobHome, ref: BlobRef, upload: int, chunks: int, data: bytes | None) -> None:
        self.ref = ref
        self._home = home
        self._upload = upload
        self._chunks = chunks
        self._data = data
        self._spent = False

    def spend(self) -> None:
        """For the store: it goes into a commit now; ``StoreError`` the second time."""
        if self._spent:
            raise StoreError(f"the staged blob {self.ref.digest.hex()[:12]} was used already; stage it again")
        self._spent = True

    def adopt(self, txn: LmdbTransaction) -> None:
        """For the store: make it a blob, within a transaction."""
        if self._data is not None:
            txn.blobs.adopt_small(self.ref, self._upload, self._data)
        else:
            txn.blobs.adopt_upload(self.ref, self._upload, self._chunks)

    def ended(self, *, drop: bool) -> None:
        """For the store: the commit is over."""
        self._home.upload_ended(self._upload, drop=drop and self._data is None)

    async def discard(self) -> None:
        """Drop it; again, or after it went into a commit, is no error."""
        if not self._spent:
            self._spent = True
            self.ended(drop=True)


class BlobWriter:
    """Takes the bytes of one blob, in order, from one task. Ends with ``finish`` or ``discard``."""

    def __init__(self, home: BlobHome) -> None:
        self._home = home
        self._upload = home.next_upload()
        self._hash = sha256()
        self._size = 0
        self._pending: list[bytes] = []
        self._pending_size = 0
        self._written = 0
        self._under_way: list[asyncio.Future[None]] = []
        self._ended = False

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Add bytes; waits when the disk is slower than the caller. The data may be reused afterwards."""
        if self._ended:
            raise StoreError("this blob writer is finished; stage a new blob")
        self._pending.append(bytes(data))
        self._pending_size += len(self._pending[-1])
        self._size += len(self._pending[-1])
        if (
            self._pending_size > self._home.settings.small_blob
            and self._pending_size >= self._home.settings.bulk_bytes
        ):
            await self._flush(final=False)

    async def finish(self) -> StagedBlob:
        """All bytes are in: the staged blob."""
        if self._ended:
            raise StoreError("this blob writer is finished; stage a new blob")
        try:
            if self._written == 0 and self._size <= self._home.settings.small_blob:
                data = b"".join(self._pending)
                self._hash.update(data)
                self._ended = True
                return StagedBlob(self._home, self._ref(), self._upload, 0, data)
            await self._flush(final=True)
            await self._drain(0)
        except BaseException:
            await self.discard()
            raise
        self._ended = True
        return StagedBlob(self._home, self._ref(), self._upload, self._written, None)

    async def discard(self) -> None:
        """Drop what was written; again, or after ``finish``, is no error."""
        if not self._ended:
            self._ended = True
            self._pending.clear()
            self._home.upload_ended(self._upload, drop=True)

    def _ref(self) -> BlobRef:
        return BlobRef(self._hash.digest(), self._size)

    async def _flush(self, *, final: bool) -> None:
        whole = b"".join(self._pending)
        keep = 0 if final else len(whole) % CHUNK_BYTES
        end = len(whole) - keep
        self._pending = [whole[end:]] if keep else []
        self._pending_size = keep
        view = memoryview(whole)[:end]
        chunks = [view[start : start + CHUNK_BYTES] for start in range(0, end, CHUNK_BYTES)]
        if not chunks:
            return
        first = self._written
        self._written += len(chunks)
        upload = self._upload

        def put(txn: LmdbTransaction) -> None:
            txn.blobs.put_chunks(upload, first, chunks)

        await self._drain(_WRITES_UNDER_WAY - 1)
        self._under_way.append(self._home.submit_bulk(put))
        await self._home.in_reader(lambda: self._hash.update(view))

    async def _drain(self, keep: int) -> None:
        while len(self._under_way) > keep:
            await self._under_way.pop(0)


class BlobReader:
    """Reads blobs in slices, each in a read transaction of its own."""

    def __init__(self, home: BlobHome) -> None:
        self._home = home

    async def slices(self, ref: BlobRef) -> AsyncGenerator[bytes]:
        """The bytes of a blob; the last step raises ``BlobDamagedError`` if they are not what was written."""
        source = BlobSource(self._home, ref)
        while True:
            parts = await self._home.in_reader(source.next)
            if not parts:
                return
            for part in parts:
                yield part


class BlobSource:
    """Steps through a blob on reader threads, one step at a time."""

    def __init__(self, home: BlobHome, ref: BlobRef) -> None:
        self._home = home
        self._ref = ref
        self._hash = sha256()
        self._sequence = 0
        self._size = 0

    def next(self) -> list[bytes]:
        """The next chunks, empty at the end."""
        at_once = max(1, self._home.settings.bulk_bytes // CHUNK_BYTES)

        def read(txn: Any) -> list[bytes]:
            return txn.blob_chunks(self._ref, self._sequence, at_once)

        parts: list[bytes] = self._home.read_sync(read)
        for part in parts:
            self._hash.update(part)
            self._size += len(part)
        self._sequence += len(parts)
        if (not parts or len(parts) < at_once) and self._hash.digest() != self._ref.digest:
            raise BlobDamagedError(
                f"the blob {self._ref.digest.hex()[:12]} is damaged: its bytes do not have its digest; "
                "restore a backup, and check the disk"
            )
        return parts
