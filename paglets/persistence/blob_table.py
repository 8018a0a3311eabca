"""Blobs within one transaction: adopted, counted by reference, taken apart when nothing names them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paglets.persistence.damage import BLOB_CONTENT, Damage
from paglets.persistence.errors import BlobDamagedError, BlobMissingError
from paglets.persistence.tables import BlobManifest, Tables

if TYPE_CHECKING:
    from collections.abc import Sequence

    import lmdb

    from paglets.persistence.records import BlobRef

CHUNK_BYTES = 256 * 1024
"""Bytes in every chunk of a blob but the last."""

_DELETED_AT_ONCE = 16
"""A blob of up to so many chunks goes with its last reference; the chunks of a larger one are swept later."""


def chunk_key(upload: int, sequence: int) -> bytes:
    """Where one chunk of an upload is."""
    return upload.to_bytes(8, "big") + sequence.to_bytes(4, "big")


class BlobTable:
    """All blobs, within one transaction."""

    def __init__(self, txn: lmdb.Transaction[bytes], tables: Tables) -> None:
        self._txn = txn
        self._tables = tables
        self.condemned: list[int] = []
        """Uploads whose chunks are to be swept once this transaction is committed."""
        self._unreferenced: set[bytes] = set()

    def manifest(self, digest: bytes) -> BlobManifest | None:
        """Where the blob is, or None."""
        return self._tables.blobs.get(self._txn, digest)

    def chunks(self, ref: BlobRef, first: int, limit: int) -> list[bytes]:
        """Copies of consecutive chunks of a blob, empty beyond its end."""
        manifest = self.manifest(ref.digest)
        if manifest is None or manifest.size != ref.size:
            raise missing(ref)
        found: list[bytes] = []
        for number in range(first, min(first + limit, manifest.chunks)):
            chunk = self._txn.get(chunk_key(manifest.upload, number), db=self._tables.chunks)
            if chunk is None:
                raise BlobDamagedError(
                    f"the blob {ref.digest.hex()[:12]} is damaged: part {number} of it is gone; "
                    "restore a backup, and check the disk"
                )
            found.append(chunk)
        return found

    def put_chunks(self, upload: int, first: int, chunks: Sequence[bytes | memoryview]) -> None:
        """Write consecutive chunks of an upload that no manifest names yet."""
        self._tables.uploads.put(self._txn, _upload_key(upload), 0)
        for number, chunk in enumerate(chunks, first):
            self._txn.put(chunk_key(upload, number), chunk, db=self._tables.chunks)

    def adopt_small(self, ref: BlobRef, upload: int, data: bytes) -> None:
        """Write a blob that came in memory, unless there is one of that content that is sound."""
        manifest = self.manifest(ref.digest)
        if manifest is None or self.is_damaged(ref):
            if data:
                self._txn.put(chunk_key(upload, 0), data, db=self._tables.chunks)
            self._place(ref, BlobManifest(ref.size, upload, 1 if data else 0), manifest)

    def adopt_upload(self, ref: BlobRef, upload: int, chunks: int) -> None:
        """Make a blob of an upload's chunks; when there is one of that content, the upload is condemned."""
        if self._tables.uploads.get(self._txn, _upload_key(upload)) is None:
            raise BlobMissingError(f"the staged blob {ref.digest.hex()[:12]} was dropped; stage it again")
        manifest = self.manifest(ref.digest)
        if manifest is None or self.is_damaged(ref):
            self._tables.uploads.delete(self._txn, _upload_key(upload))
            self._place(ref, BlobManifest(ref.size, upload, chunks), manifest)
        else:
            self.condemned.append(upload)

    def acquire(self, ref: BlobRef) -> None:
        """Count one reference more; ``BlobMissingError`` when there is no such blob."""
        manifest = self.manifest(ref.digest)
        if manifest is None or manifest.size != ref.size:
            raise missing(ref)
        self._count(ref.digest, manifest, manifest.references + 1)

    def release(self, ref: BlobRef) -> None:
        """Count one reference less; ``finish`` takes the blob apart if none is left."""
        manifest = self.manifest(ref.digest)
        if manifest is not None:
            self._count(ref.digest, manifest, manifest.references - 1)

    def finish(self) -> None:
        """Take apart what nothing names at the end of a rule; until then it may be named again."""
        for digest in self._unreferenced:
            manifest = self.manifest(digest)
            if manifest is not None and manifest.references <= 0:
                self._tables.blobs.delete(self._txn, digest)
                self._take_apart(manifest)
                if self._tables.drop_quarantined(self._txn, BLOB_CONTENT, digest):
                    self._tables.damage.forget(Damage(BLOB_CONTENT, digest, ""))
        self._unreferenced.clear()

    def sweep(self, upload: int, limit: int) -> bool:
        """Delete up to ``limit`` chunks of an upload that no manifest names; whether some are left."""
        key = _upload_key(upload)
        if self._tables.uploads.get(self._txn, key) is None:
            return False
        if self._delete_chunks(upload, limit):
            return True
        self._tables.uploads.delete(self._txn, key)
        return False

    def is_damaged(self, ref: BlobRef) -> bool:
        """Whether its bytes are known not to have its digest."""
        return self._tables.damage.blocks(BLOB_CONTENT, ref.digest)

    def orphans(self) -> list[int]:
        """Uploads that no manifest names."""
        return [int.from_bytes(key, "big") for key in self._tables.uploads.keys(self._txn)]

    def next_upload(self) -> int:
        """A number greater than that of every upload there is."""
        with self._txn.cursor(self._tables.chunks) as cursor:
            last = int.from_bytes(cursor.key()[:8], "big") if cursor.last() else 0
        return max(last, *self.orphans(), 0) + 1

    def _place(self, ref: BlobRef, manifest: BlobManifest, damaged: BlobManifest | None) -> None:
        """A blob whose bytes are here now; they also take the place of damaged ones of that digest."""
        self._count(ref.digest, manifest, damaged.references if damaged is not None else 0)
        if damaged is not None:
            self._take_apart(damaged)
            self._tables.drop_quarantined(self._txn, BLOB_CONTENT, ref.digest)
            self._tables.damage.forget(Damage(BLOB_CONTENT, ref.digest, ""))

    def _count(self, digest: bytes, manifest: BlobManifest, references: int) -> None:
        counted = BlobManifest(manifest.size, manifest.upload, manifest.chunks, references)
        self._tables.blobs.put(self._txn, digest, counted)
        if references <= 0:
            self._unreferenced.add(digest)

    def _take_apart(self, manifest: BlobManifest) -> None:
        if manifest.chunks <= _DELETED_AT_ONCE:
            self._delete_chunks(manifest.upload, _DELETED_AT_ONCE)
        else:
            self._tables.uploads.put(self._txn, _upload_key(manifest.upload), 0)
            self.condemned.append(manifest.upload)

    def _delete_chunks(self, upload: int, limit: int) -> bool:
        """Delete from the front; whether some are left."""
        prefix = upload.to_bytes(8, "big")
        with self._txn.cursor(self._tables.chunks) as cursor:
            found = cursor.set_range(prefix) and cursor.key().startswith(prefix)
            while found and limit > 0:
                cursor.delete()
                limit -= 1
                found = cursor.key().startswith(prefix)
            return found


def missing(ref: BlobRef) -> BlobMissingError:
    """The error for a blob that is not here."""
    return BlobMissingError(
        f"there is no blob {ref.digest.hex()[:12]} of {ref.size} bytes here; "
        "stage it, and adopt it in the commit that writes the record"
    )


def _upload_key(upload: int) -> bytes:
    return upload.to_bytes(8, "big")
