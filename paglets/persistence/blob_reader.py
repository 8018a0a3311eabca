"""Blobs on their way out of the store: in slices, each in a short read of its own."""

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
    """Steps through one blob, from one thread at a time; its bytes are checked as they go."""

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
        parts = _slice(self._reads, self._ref, self._chunks)
        # Hashed outside the read: an open read keeps pages from being reused.
        for part in parts:
            self._hash.update(part)
            self._size += len(part)
        self._chunks += len(parts)
        last = self._chunks * CHUNK_BYTES >= self._ref.size
        if last and (self._size != self._ref.size or self._hash.digest() != self._ref.digest):
            self._reads.report_blob(self._ref, "its bytes do not have its digest")
            raise _without_digest(self._ref)
        return parts


class UncheckedBlobReader:
    """Steps through one blob from a chunk on, for somebody who compares the whole with its digest himself."""

    def __init__(self, reads: Reads, ref: BlobRef, first: int) -> None:
        self._reads = reads
        self._ref = ref
        self._chunks = first
        self._begun = False

    def next(self) -> list[bytes]:
        """The next chunks, empty at the end.

        ``BlobMissingError``; ``BlobDamagedError`` when a part is gone, or the blob is known to be damaged.
        """
        if not self._begun:
            self._begun = True
            if self._reads.read(lambda txn: txn.blob_is_damaged(self._ref)):
                raise _without_digest(self._ref)
        parts = _slice(self._reads, self._ref, self._chunks)
        self._chunks += len(parts)
        return parts


def _slice(reads: Reads, ref: BlobRef, first: int) -> list[bytes]:
    try:
        return reads.read(lambda txn: txn.blob_chunks(ref, first, _SLICE_CHUNKS))
    except BlobDamagedError:
        reads.report_blob(ref, "a part of it is gone")
        raise


def _without_digest(ref: BlobRef) -> BlobDamagedError:
    return BlobDamagedError(
        f"the blob {ref.digest.hex()[:12]} is damaged: its bytes do not have its digest; "
        "restore a backup, and check the disk"
    )
