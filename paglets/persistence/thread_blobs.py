"""Blobs that a thread writes: the same as ``blobs``, for callers that are on no loop."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Protocol, TypeVar

from paglets.persistence.blob_table import CHUNK_BYTES
from paglets.persistence.blobs import StagedBlob
from paglets.persistence.errors import StoreError
from paglets.persistence.records import BlobRef

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from paglets.persistence.blobs import StagingArea
    from paglets.persistence.lmdb_transaction import LmdbTransaction

ResultT = TypeVar("ResultT")

_WRITES_UNDER_WAY = 2


class ThreadStagingArea(Protocol):
    """What a thread's blob writer needs of the store beside a ``StagingArea``."""

    def submit_bulk_from_thread(self, rule: Callable[[LmdbTransaction], ResultT]) -> Future[ResultT]:
        """Run a rule in a transaction of its own, after the small commits that wait."""
        ...


class ThreadBlobWriter:
    """Takes the bytes of one blob, in order, from one thread at a time, and waits when the disk is slower.

    Ends with ``finish`` or ``discard``. Holds about three bulk transactions' bytes in memory.
    """

    def __init__(self, area: StagingArea, threads: ThreadStagingArea, upload: int) -> None:
        self._area = area
        self._threads = threads
        self._upload = upload
        self._hash = sha256()
        self._full: list[memoryview] = []
        """Whole chunks that are not on their way to the disk yet."""
        self._rest = bytearray()
        """What does not fill a chunk."""
        self._chunks = 0
        self._under_way: list[Future[None]] = []
        self._ended = False
        self.size = 0
        """Bytes taken so far."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Add bytes; the data may be reused afterwards. ``bytes`` are kept as they are, all else is copied."""
        self._refuse_when_ended()
        view = memoryview(data if isinstance(data, bytes) else bytes(data))
        self._hash.update(view)
        self.size += len(view)
        while view:
            if not self._rest and len(view) >= CHUNK_BYTES:
                self._full.append(view[:CHUNK_BYTES])
                view = view[CHUNK_BYTES:]
            else:
                room = CHUNK_BYTES - len(self._rest)
                self._rest += view[:room]
                view = view[room:]
                if len(self._rest) == CHUNK_BYTES:
                    self._full.append(memoryview(self._rest))
                    self._rest = bytearray()
            if len(self._full) * CHUNK_BYTES >= self._area.bulk_bytes:
                self._flush()

    def finish(self) -> StagedBlob:
        """All bytes are in, and durable or in memory: the staged blob, for ``commit_sync``."""
        self._refuse_when_ended()
        data = None
        try:
            if not self._chunks and not self._full and self.size <= self._area.small_blob:
                data = bytes(self._rest)
            else:
                if self._rest:
                    self._full.append(memoryview(self._rest))
                self._flush()
                self._wait_until(0)
        except BaseException:
            self.discard()
            raise
        self._ended = True
        return StagedBlob(
            self._area, BlobRef(self._hash.digest(), self.size), self._upload, self._chunks, data
        )

    def discard(self) -> None:
        """Drop what was written; again, or after ``finish``, is no error."""
        if not self._ended:
            self._ended = True
            self._full, self._rest = [], bytearray()
            self._area.sweep(self._upload)

    def _refuse_when_ended(self) -> None:
        if self._ended:
            raise StoreError("this blob was finished or dropped; stage a new one")

    def _flush(self) -> None:
        chunks, self._full = self._full, []
        if not chunks:
            return
        upload, first = self._upload, self._chunks
        self._chunks += len(chunks)
        self._wait_until(_WRITES_UNDER_WAY - 1)
        self._under_way.append(
            self._threads.submit_bulk_from_thread(lambda txn: txn.blobs.put_chunks(upload, first, chunks))
        )

    def _wait_until(self, under_way: int) -> None:
        while len(self._under_way) > under_way:
            self._under_way.pop(0).result()
