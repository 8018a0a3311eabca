"""All tables of the store, and what each is keyed by. A change here is a change of ``SCHEMA_VERSION``."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec

from paglets.persistence.adoption_records import AbandonedTransfer, Notice, QuarantinedCopy
from paglets.persistence.artifact_records import ArtifactRecord
from paglets.persistence.damage import BLOB_CONTENT, Damage, DamageLog
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

ValueT = TypeVar("ValueT")

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


class AdoptionTables:
    """The opened tables of what adoptions leave to be done."""

    def __init__(
        self, environment: lmdb.Environment, damage: DamageLog, txn: lmdb.Transaction[bytes]
    ) -> None:
        self.abandoned = Table(environment, "abandoned", AbandonedTransfer, damage, txn)
        """By agent id NUL counter."""
        self.notices = Table(environment, "notices", Notice, damage, txn)
        """By agent id NUL target."""
        self.copies = Table(environment, "copies", QuarantinedCopy, damage, txn)
        """By agent id NUL lineage's number, epoch, adopter."""


class Tables:
    """The opened tables. Composite keys are ``id NUL rest``."""

    def __init__(
        self, environment: lmdb.Environment, damage: DamageLog, txn: lmdb.Transaction[bytes]
    ) -> None:
        def table(name: str, kind: type[ValueT]) -> Table[ValueT]:
            return Table(environment, name, kind, damage, txn)

        self.damage = damage
        self.numbers = table("numbers", int)
        """``schema commit transaction counter phase.<phase> agenda``, sums and counters of the tables"""
        self.meta = table("meta", bytes)
        """Small settings: ``store-id``, and under ``host.`` what the host keeps."""
        self.paglets = table("paglets", PagletRecord)
        """By agent id."""
        self.verdicts = table("verdicts", VerdictRecord)
        """By source NUL counter."""
        self.floors = table("floors", int)
        """By source."""
        self.peers = table("peers", PeerRecord)
        """By host id."""
        self.queue = table("queue", QueuedRecord)
        """By agent id NUL number."""
        self.queue_index = table("queue-index", int)
        """Number by agent id NUL SHA-256 of the message id."""
        self.queue_states = table("queue-states", QueueState)
        """By agent id; absent when nothing waits."""
        self.blobs = table("blobs", BlobManifest)
        """By SHA-256 digest."""
        self.uploads = table("uploads", int)
        """Chunks that no manifest names, by upload number: being staged, or to be swept."""
        self.revocations = table("revocations", bytes)
        """By SHA-256 digest."""
        self.artifacts = table("artifacts", ArtifactRecord)
        """By artifact id."""
        self.moved_files = table("moved-files", FileRecord)
        """Source files to be deleted, as they have arrived elsewhere; by SHA-256 of path and life."""
        self.outbox = table("outbox", OutboxEntry)
        """By position."""
        self.outbox_seen = table("outbox-seen", SeenRecord)
        """By source NUL number."""
        self.outbox_sources = table("outbox-sources", SourceRecord)
        """By source."""
        self.dead_letters = table("dead-letters", DeadLetter)
        """By number."""
        self.adoptions = AdoptionTables(environment, damage, txn)
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
                self.adoptions.abandoned,
                self.adoptions.notices,
                self.adoptions.copies,
            )
        }
        # Bytes of blobs have their digest, and what is in quarantine is kept as it was found.
        self.chunks = environment.open_db(b"chunks", txn)
        """By upload number, sequence number (4 bytes)."""
        self.agenda = environment.open_db(b"agenda", txn)
        """Checksums of the keys, by matter, time, agent id: see ``paglets.persistence.agenda``."""
        self.artifact_index = environment.open_db(b"artifact-index", txn)
        """Keys only: artifacts by owner, and by the time they expire; see ``artifact_table``."""
        self.file_places = environment.open_db(b"file-places", txn)
        """Agent id, by the directory that holds files of that paglet."""
        self.quarantine = environment.open_db(b"quarantine", txn)
        """Reason and bytes as they were found, by table NUL key."""

    def look_at_all(self, txn: lmdb.Transaction[bytes]) -> None:
        """Report every record that does not have its checksum: one whose key has changed is missed by nobody else."""
        for table in self._by_name.values():
            table.look_at_all(txn)

    def remember_quarantined(self, txn: lmdb.Transaction[bytes], damage: DamageLog) -> None:
        """Tell the damage log what earlier starts put into quarantine."""
        with txn.cursor(self.quarantine) as cursor:
            for key, kept in cursor.iternext():
                table, _, rest = key.partition(b"\0")
                damage.remember(Damage(table.decode("ascii", "replace"), rest, _kept_reason(kept)))

    def put_quarantined(self, txn: lmdb.Transaction[bytes], damage: Damage) -> bool:
        """Move a damaged record out of its table; whether it was still there. Of a blob, only a note."""
        if damage.table == BLOB_CONTENT:
            note = msgspec.msgpack.encode((damage.reason, b""))
            return txn.put(_quarantine_key(damage.table, damage.key), note, db=self.quarantine)
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
