"""Artifacts within one transaction: their records, by owner and by time, and the bytes that they take."""

from __future__ import annotations

import struct
from itertools import islice
from typing import TYPE_CHECKING

from paglets.persistence.table import id_key

if TYPE_CHECKING:
    from collections.abc import Iterator

    import lmdb

    from paglets.persistence.artifact_records import ArtifactRecord
    from paglets.persistence.blob_table import BlobTable
    from paglets.persistence.tables import Tables

_OWNER = b"o"
_EXPIRY = b"e"
_TIME = struct.Struct(">d")
_USED_KEY = b"artifact-bytes"


class ArtifactTable:
    """All artifacts of a store, within one transaction."""

    def __init__(self, txn: lmdb.Transaction[bytes], tables: Tables, blobs: BlobTable) -> None:
        self._txn = txn
        self._tables = tables
        self._blobs = blobs

    def get(self, artifact_id: str) -> ArtifactRecord | None:
        """The record, or None."""
        return self._tables.artifacts.get(self._txn, id_key(artifact_id))

    def page(self, *, owner: str | None, after: str = "", limit: int = 1000) -> list[ArtifactRecord]:
        """Records in the order of their ids, from the one after ``after``; of one owner, or of all."""
        if owner is None:
            start = id_key(after) + b"\0" if after else b""
            return [record for _, record in islice(self._tables.artifacts.scan(self._txn, start), limit)]
        prefix = _owner_prefix(owner)
        keys = self._index(prefix, prefix + after.encode() + b"\0" if after else prefix)
        found = (self.get(key[len(prefix) :].decode()) for key in islice(keys, limit))
        return [record for record in found if record is not None]

    def expired(self, now: float, limit: int) -> list[ArtifactRecord]:
        """Up to ``limit`` of those whose time is over, the earliest first."""
        due: list[str] = []
        for key in self._index(_EXPIRY, _EXPIRY):
            if _TIME.unpack_from(key, 1)[0] > now or len(due) >= limit:
                break
            due.append(key[1 + _TIME.size :].decode())
        return [record for record in map(self.get, due) if record is not None]

    def used_bytes(self) -> int:
        """What all artifacts take, each counted for itself."""
        return self._tables.numbers.get(self._txn, _USED_KEY) or 0

    def put(self, record: ArtifactRecord) -> None:
        """Write a new artifact; its blob must be adopted or here already. ``ValueError`` for a taken id."""
        if self.get(record.artifact_id) is not None:
            raise ValueError(f"there is an artifact {record.artifact_id} already")
        self._tables.artifacts.put(self._txn, id_key(record.artifact_id), record)
        for key in _keys(record):
            self._txn.put(key, b"", db=self._tables.artifact_index)
        self._blobs.acquire(record.blob)
        self._add(record.blob.size)

    def delete(self, artifact_id: str) -> bool:
        """Forget an artifact and let go of its bytes; whether it was there."""
        record = self.get(artifact_id)
        if record is None:
            return False
        self._tables.artifacts.delete(self._txn, id_key(artifact_id))
        for key in _keys(record):
            self._txn.delete(key, db=self._tables.artifact_index)
        self._blobs.release(record.blob)
        self._add(-record.blob.size)
        return True

    def _add(self, size: int) -> None:
        self._tables.numbers.put(self._txn, _USED_KEY, max(0, self.used_bytes() + size))

    def _index(self, prefix: bytes, start: bytes) -> Iterator[bytes]:
        with self._txn.cursor(self._tables.artifact_index) as cursor:
            found = cursor.set_range(start)
            while found and cursor.key().startswith(prefix):
                yield cursor.key()
                found = cursor.next()


def _owner_prefix(owner: str) -> bytes:
    return _OWNER + owner.encode() + b"\0"


def _keys(record: ArtifactRecord) -> list[bytes]:
    artifact_id = id_key(record.artifact_id)
    keys = [_owner_prefix(record.owner) + artifact_id]
    if record.expires_at > 0:
        keys.append(_EXPIRY + _TIME.pack(record.expires_at) + artifact_id)
    return keys
