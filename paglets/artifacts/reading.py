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


def content(store: Store, record: ArtifactRecord) -> Iterator[bytes]:
    """The content, in pieces of at most 1 MiB; for one thread at a time.

    Raises ``BlobMissingError`` when the artifact is deleted meanwhile. Bytes that are not what was stored end in
    ``BlobDamagedError``.
    """
    return unpacked(record.compression, _whole(store, record))


def content_to_check(store: Store, record: ArtifactRecord, offset: int) -> Iterator[bytes]:
    """The content from an offset on, for somebody who compares the whole with its digest: hashed once, by him.

    ``BlobDamagedError`` when a part of it is gone, or it is known to be damaged. What else is wrong with it
    ``check`` finds out.
    """
    if record.compression:  # the digest is the content's, so what is unpacked has to be sound
        return _from(content(store, record), offset)
    return _from(_chunks(store, record, offset // CHUNK_BYTES), offset % CHUNK_BYTES)


def check(store: Store, record: ArtifactRecord) -> None:
    """Read what is kept of an artifact, and compare; ``BlobDamagedError``, which the store notes."""
    for _ in _whole(store, record):
        pass


def _whole(store: Store, record: ArtifactRecord) -> Iterator[bytes]:
    reader = store.blob_reader(record.blob)
    while parts := reader.next():
        yield from parts


def _chunks(store: Store, record: ArtifactRecord, first: int) -> Iterator[bytes]:
    reader = store.unchecked_blob_reader(record.blob, first)
    while parts := reader.next():
        yield from parts


def _from(parts: Iterator[bytes], offset: int) -> Iterator[bytes]:
    for part in parts:
        if offset < len(part):
            yield part[offset:] if offset else part
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
