"""The content of an artifact on its way out of the store."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from paglets.artifacts.compression import unpacked
from paglets.persistence.blob_table import CHUNK_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from typing_extensions import Buffer

    from paglets.persistence.artifact_records import ArtifactRecord
    from paglets.persistence.store import Store

_AT_ONCE = 4


def content(store: Store, record: ArtifactRecord, offset: int = 0) -> Iterator[bytes]:
    """The content from an offset on, in pieces of at most 1 MiB; for one thread at a time.

    Raises ``BlobMissingError`` when the artifact is deleted meanwhile. Read from the start, bytes that are not
    what was stored end in ``BlobDamagedError``.
    """
    if record.compression:
        return _from(unpacked(record.compression, _whole(store, record)), offset)
    if offset:
        return _from(_chunks(store, record, offset // CHUNK_BYTES), offset % CHUNK_BYTES)
    return _whole(store, record)


def _whole(store: Store, record: ArtifactRecord) -> Iterator[bytes]:
    reader = store.blob_reader(record.blob)
    while parts := reader.next():
        yield from parts


def _chunks(store: Store, record: ArtifactRecord, first: int) -> Iterator[bytes]:
    while parts := store.read_sync(lambda tx, at=first: tx.blob_chunks(record.blob, at, _AT_ONCE)):
        first += len(parts)
        yield from parts


def _from(parts: Iterator[bytes], offset: int) -> Iterator[bytes]:
    for part in parts:
        if offset < len(part):
            yield part[offset:]
        offset = max(0, offset - len(part))


def open_content(parts: Iterator[bytes]) -> BinaryIO:
    """A file to read pieces from, in order."""
    return io.BufferedReader(_Pieces(parts), CHUNK_BYTES)


class _Pieces(io.RawIOBase):
    def __init__(self, parts: Iterator[bytes]) -> None:
        self._parts = parts
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer, /) -> int:
        target = memoryview(buffer).cast("B")
        while not self._rest:
            part = next(self._parts, None)
            if part is None:
                return 0
            self._rest = memoryview(part)
        size = min(len(target), len(self._rest))
        target[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size
