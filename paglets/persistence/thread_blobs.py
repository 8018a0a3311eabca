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

    Ends with ``finish`` or ``discard``. Holds up to three bulk transactions' bytes in memory.
    """

    def __init__(self, area: StagingArea, threads: ThreadStagingArea, upload: int) -> None:
        self._area = area
        self._threads = threads
        self._upload = upload
        self._hash = sha256()
        self._buffer = bytearray()
        self._chunks = 0
        self._under_way: list[Future[None]] = []
        self._ended = False
        self.size = 0
        """Bytes taken so far."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Add bytes; the data may be reused afterwards."""
        self._refuse_when_ended()
        view = memoryview(data).cast("B")
        self._hash.update(view)
        self.size += len(view)
        bulk = self._area.bulk_bytes
        while view:
            room = bulk - len(self._buffer)
            self._buffer += view[:room]
            view = view[room:]
            if len(self._buffer) >= bulk:
                self._flush()

    def finish(self) -> StagedBlob:
        """All bytes are in, and durable or in memory: the staged blob, for ``commit_sync``."""
        self._refuse_when_ended()
        data = None
        try:
            if self._chunks == 0 and self.size <= self._area.small_blob:
                data = bytes(self._buffer)
            else:
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
            self._buffer = bytearray()
            self._area.sweep(self._upload)

    def _refuse_when_ended(self) -> None:
        if self._ended:
            raise StoreError("this blob was finished or dropped; stage a new one")

    def _flush(self) -> None:
        full, self._buffer = self._buffer, bytearray()
        view = memoryview(full)
        chunks = [view[start : start + CHUNK_BYTES] for start in range(0, len(view), CHUNK_BYTES)]
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
