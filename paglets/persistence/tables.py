"""All tables of the store, and what each is keyed by. A change here is a change of ``SCHEMA_VERSION``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from paglets.persistence.artifact_records import ArtifactRecord
from paglets.persistence.damage import Damage, DamageLog
from paglets.persistence.outbox_records import DeadLetter, OutboxEntry, SeenRecord, SourceRecord
from paglets.persistence.records import (
    BlobRef,
    FileRecord,
    PagletRecord,
    PeerRecord,
    QueuedRecord,
    VerdictRecord,
)
from paglets.persistence.table import Table

if TYPE_CHECKING:
    import lmdb

SCHEMA_VERSION = 2
"""Schema 1 had no agenda."""
MAX_TABLES = 32


class BlobManifest(msgspec.Struct, frozen=True, array_like=True):
    """Where a blob's bytes are, and how many records name it."""

    size: int
    upload: int
    chunks: int
    references: int = 0

    def ref(self, digest: bytes) -> BlobRef:
        """The name of the blob that this manifest is of."""
        return BlobRef(digest, self.size)


class QueueState(msgspec.Struct, frozen=True, array_like=True):
    """What waits for one paglet, in sum."""

    next_number: int = 0
    messages: int = 0
    size: int = 0


class Tables:
    """The opened tables. Composite keys are ``id NUL rest``."""

    def __init__(self, environment: lmdb.Environment, damage: DamageLog) -> None:
        self.numbers = Table(environment, "numbers", int, damage)
        """``schema``, ``commit``, ``counter``, ``phase.<phase>``, ``agenda``, sums and counters of the tables"""
        self.meta = Table(environment, "meta", bytes, damage)
        """Small settings: ``store-id``, and under ``host.`` what the host keeps."""
        self.paglets = Table(environment, "paglets", PagletRecord, damage)
        """By agent id."""
        self.verdicts = Table(environment, "verdicts", VerdictRecord, damage)
        """By source NUL counter."""
        self.floors = Table(environment, "floors", int, damage)
        """By source."""
        self.peers = Table(environment, "peers", PeerRecord, damage)
        """By host id."""
        self.queue = Table(environment, "queue", QueuedRecord, damage)
        """By agent id NUL number."""
        self.queue_index = Table(environment, "queue-index", int, damage)
        """Number by agent id NUL SHA-256 of the message id."""
        self.queue_states = Table(environment, "queue-states", QueueState, damage)
        """By agent id; absent when nothing waits."""
        self.blobs = Table(environment, "blobs", BlobManifest, damage)
        """By SHA-256 digest."""
        self.uploads = Table(environment, "uploads", int, damage)
        """Chunks that no manifest names, by upload number: being staged, or to be swept."""
        self.revocations = Table(environment, "revocations", bytes, damage)
        """By SHA-256 digest."""
        self.artifacts = Table(environment, "artifacts", ArtifactRecord, damage)
        """By artifact id."""
        self.moved_files = Table(environment, "moved-files", FileRecord, damage)
        """Source files to be deleted, as they have arrived elsewhere; by SHA-256 of path and life."""
        self.outbox = Table(environment, "outbox", OutboxEntry, damage)
        """By position."""
        self.outbox_seen = Table(environment, "outbox-seen", SeenRecord, damage)
        """By source NUL number."""
        self.outbox_sources = Table(environment, "outbox-sources", SourceRecord, damage)
        """By source."""
        self.dead_letters = Table(environment, "dead-letters", DeadLetter, damage)
        """By number."""
        self._by_name = {
            table.name: table
            for table in (
                self.numbers,
                self.meta,
                self.paglets,
                self.verdicts,
                self.floors,
                self.peers,
                self.queue,
                self.queue_index,
                self.queue_states,
                self.blobs,
                self.uploads,
                self.revocations,
                self.artifacts,
                self.moved_files,
                self.outbox,
                self.outbox_seen,
                self.outbox_sources,
                self.dead_letters,
            )
        }
        # Bytes of blobs have their digest, and what is in quarantine is kept as it was found.
        self.chunks = environment.open_db(b"chunks")
        """By upload number, sequence number (4 bytes)."""
        self.agenda = environment.open_db(b"agenda")
        """Checksums of the keys, by matter, time, agent id: see ``paglets.persistence.agenda``."""
        self.artifact_index = environment.open_db(b"artifact-index")
        """Keys only: artifacts by owner, and by the time they expire; see ``artifact_table``."""
        self.file_places = environment.open_db(b"file-places")
        """Agent id, by the directory that holds files of that paglet."""
        self.quarantine = environment.open_db(b"quarantine")
        """Reason and bytes as they were found, by table NUL key."""

    def remember_quarantined(self, txn: lmdb.Transaction[bytes], damage: DamageLog) -> None:
        """Tell the damage log what earlier starts put into quarantine."""
        with txn.cursor(self.quarantine) as cursor:
            for key, kept in cursor.iternext():
                table, _, rest = key.partition(b"\0")
                damage.remember(Damage(table.decode("ascii", "replace"), rest, _kept_reason(kept)))

    def put_quarantined(self, txn: lmdb.Transaction[bytes], damage: Damage) -> bool:
        """Move a damaged record out of its table; whether it was still there."""
        db = self._by_name[damage.table].db
        raw = txn.get(damage.key, db=db)
        if raw is None:
            return False
        kept = msgspec.msgpack.encode((damage.reason, raw))
        txn.put(_quarantine_key(damage.table, damage.key), kept, db=self.quarantine)
        return txn.delete(damage.key, db=db)

    def drop_quarantined(self, txn: lmdb.Transaction[bytes], table: str, key: bytes) -> bool:
        """Delete a record from quarantine; whether it was there."""
        return txn.delete(_quarantine_key(table, key), db=self.quarantine)

    def used_bytes(self, txn: lmdb.Transaction[bytes]) -> int:
        """Bytes of the map that hold something."""
        total = 0
        for db in (
            self.artifact_index,
            self.chunks,
            self.agenda,
            self.quarantine,
            *(table.db for table in self._by_name.values()),
        ):
            stat = txn.stat(db)
            total += stat["psize"] * (stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"])
        return total


def _quarantine_key(table: str, key: bytes) -> bytes:
    return table.encode("ascii") + b"\0" + key


def _kept_reason(kept: bytes) -> str:
    try:
        return msgspec.msgpack.decode(kept, type=tuple[str, bytes])[0]
    except msgspec.DecodeError:
        return "damaged, also in quarantine"
