"""Blobs on their way out of the store: in slices, each in a short read of its own, checked as they go."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Protocol, TypeVar

from paglets.persistence.blob_table import CHUNK_BYTES
from paglets.persistence.errors import BlobDamagedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from paglets.persistence.read_transaction import ReadTransaction
    from paglets.persistence.records import BlobRef

ResultT = TypeVar("ResultT")

_SLICE_CHUNKS = 4


class Reads(Protocol):
    """What reading a blob needs of the store."""

    def read(self, function: Callable[[ReadTransaction], ResultT]) -> ResultT:
        """Run a short read on this thread."""
        ...

    def report_blob(self, ref: BlobRef, reason: str) -> None:
        """That blob is damaged."""
        ...


class BlobReader:
    """Steps through one blob, from one thread at a time."""

    def __init__(self, reads: Reads, ref: BlobRef) -> None:
        self._reads = reads
        self._ref = ref
        self._hash = sha256()
        self._chunks = 0
        self._size = 0

    def next(self) -> list[bytes]:
        """The next chunks, empty at the end.

        ``BlobMissingError``; ``BlobDamagedError`` with the last bytes, instead of them, when the blob does
        not have its digest.
        """
        try:
            parts = self._reads.read(lambda txn: txn.blob_chunks(self._ref, self._chunks, _SLICE_CHUNKS))
        except BlobDamagedError:
            self._reads.report_blob(self._ref, "a part of it is gone")
            raise
        # Hashed outside the read: an open read keeps pages from being reused.
        for part in parts:
            self._hash.update(part)
            self._size += len(part)
        self._chunks += len(parts)
        last = self._chunks * CHUNK_BYTES >= self._ref.size
        if last and (self._size != self._ref.size or self._hash.digest() != self._ref.digest):
            self._reads.report_blob(self._ref, "its bytes do not have its digest")
            raise BlobDamagedError(
                f"the blob {self._ref.digest.hex()[:12]} is damaged: its bytes do not have its digest; "
                "restore a backup, and check the disk"
            )
        return parts
