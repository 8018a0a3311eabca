"""The journal's transaction over LMDB."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from paglets.persistence.artifact_table import ArtifactTable
from paglets.persistence.file_table import FileTable
from paglets.persistence.outbox_table import OutboxTable
from paglets.persistence.phase_counts import change_count
from paglets.persistence.read_transaction import (
    COUNTER_KEY,
    HOST_META,
    ReadTransaction,
    verdict_key,
)
from paglets.persistence.table import id_key, number_key

if TYPE_CHECKING:
    import lmdb

    from paglets.core.incarnation import Incarnation, TransferId
    from paglets.persistence.adoption_records import AbandonedTransfer, Notice, QuarantinedCopy
    from paglets.persistence.blob_table import BlobTable
    from paglets.persistence.damage import Damage
    from paglets.persistence.records import BlobRef, PagletRecord, PeerRecord, QueuedRecord, VerdictRecord
    from paglets.persistence.settings import StoreSettings
    from paglets.persistence.tables import Tables


class LmdbTransaction(ReadTransaction):
    """Implements ``JournalTransaction``; reads see the writes before them in the same batch."""

    def __init__(self, txn: lmdb.Transaction[bytes], tables: Tables, settings: StoreSettings) -> None:
        super().__init__(txn, tables)
        self._settings = settings
        self.dirty = False
        """Whether anything was written."""

    @property
    def blobs(self) -> BlobTable:
        """For the store itself: blobs are adopted, written and swept through it."""
        self.dirty = True
        return self._blobs

    @property
    def _file_table(self) -> FileTable:
        return FileTable(self._txn, self._tables)

    def drop_moved_file(self, key: bytes) -> None:
        """A source file was seen to."""
        self.dirty = self._tables.moved_files.delete(self._txn, key) or self.dirty

    @property
    def artifacts(self) -> ArtifactTable:
        """The artifacts, to be written."""
        self.dirty = True
        return ArtifactTable(self._txn, self._tables, self._blobs)

    @property
    def outbox(self) -> OutboxTable:
        """The outbox and the dead letters, to be written."""
        self.dirty = True
        return OutboxTable(self._txn, self._tables)

    @property
    def condemned(self) -> list[int]:
        """For the store itself: uploads to sweep after the commit."""
        return self._blobs.condemned

    def finish(self) -> None:
        """For the store itself: the rule has returned; blobs that nothing names go."""
        self._blobs.finish()

    def put_paglet(self, record: PagletRecord) -> None:
        """Write the record, replacing the one of the same id; its state must be adopted or here already."""
        key = id_key(record.agent_id)
        before = self._tables.paglets.get(self._txn, key)
        self.dirty = True
        self._tables.paglets.put(self._txn, key, record)
        self._replaced(record.agent_id, before, record)

    def delete_paglet(self, agent_id: str) -> None:
        """Forget the id; nothing happens when it is unknown."""
        key = id_key(agent_id)
        before = self._tables.paglets.get(self._txn, key)
        if before is not None:
            self.dirty = True
            self._tables.paglets.delete(self._txn, key)
            self._replaced(agent_id, before, None)

    def put_verdict(self, verdict: VerdictRecord) -> None:
        """Store a verdict. The rules never replace one by another."""
        self.dirty = True
        self._tables.verdicts.put(self._txn, verdict_key(verdict.transfer_id), verdict)

    def drop_verdicts_below(self, source: str, floor: int) -> None:
        """Forget the verdicts on transfers of ``source`` whose counter is less than ``floor``."""
        prefix = id_key(source) + b"\0"
        limit = prefix + number_key(floor)
        for key in self._tables.verdicts.keys(self._txn, prefix=prefix):
            if key >= limit:
                break
            self.dirty = True
            self._tables.verdicts.delete(self._txn, key)

    def put_floor(self, source: str, floor: int) -> None:
        """Remember a source's floor."""
        self.dirty = True
        self._tables.floors.put(self._txn, id_key(source), floor)

    def put_counter(self, value: int) -> None:
        """Move the counter up."""
        self.dirty = True
        self._tables.numbers.put(self._txn, COUNTER_KEY, value)

    def append_queued(self, agent_id: str, message: QueuedRecord) -> bool:
        """Queue a message; False, and nothing written, when one with that message id already waits.

        ``QueueFullError`` when as many wait as the settings allow.
        """
        appended = self._queue.append(agent_id, message, self._settings)
        if appended:
            self.dirty = True
            if self._queue.state(agent_id).messages == 1:
                self._messages_changed(agent_id, has_messages=True)
        return appended

    def replace_queued(self, agent_id: str, message: QueuedRecord) -> bool:
        """Put a message in the place of the one with its id in a paglet's queue; whether there was one."""
        replaced = self._queue.replace(agent_id, message)
        self.dirty = replaced or self.dirty
        return replaced

    def drop_queued(self, agent_id: str, message_id: str | None = None) -> bool:
        """Take one message, or all of them, off a paglet's queue; whether there was any."""
        dropped = (
            self._queue.drop_all(agent_id) if message_id is None else self._queue.drop(agent_id, message_id)
        )
        if dropped:
            self.dirty = True
            if not self._queue.has_messages(agent_id):
                self._messages_changed(agent_id, has_messages=False)
        return dropped

    def put_peer(self, record: PeerRecord) -> None:
        """Remember the furthest that a peer's store was seen."""
        self.dirty = True
        self._tables.peers.put(self._txn, id_key(record.host_id), record)

    def put_abandoned(self, transfer: AbandonedTransfer) -> None:
        """Remember a transfer that an adoption goes past."""
        self.dirty = True
        self._adoptions.put_abandoned(transfer)

    def drop_abandoned(self, agent_id: str, transfer_id: TransferId) -> None:
        """Forget one; nothing happens when it is unknown."""
        self.dirty = self._adoptions.drop_abandoned(agent_id, transfer_id) or self.dirty

    def put_notice(self, notice: Notice) -> None:
        """Owe a host news, in the place of what it was owed of that paglet before."""
        self.dirty = True
        self._adoptions.put_notice(notice)

    def drop_notice(self, agent_id: str, target_id: str) -> None:
        """Owe that host nothing about that paglet any more."""
        self.dirty = self._adoptions.drop_notice(agent_id, target_id) or self.dirty

    def put_copy(self, copy: QuarantinedCopy) -> None:
        """Keep a copy that gives way. The blobs that it names stay."""
        self.drop_copy(copy.record.agent_id, copy.record.incarnation)
        self.dirty = True
        self._adoptions.put_copy(copy)
        for blob in _blobs_of(copy.record):
            self._blobs.acquire(blob)

    def drop_copy(self, agent_id: str, incarnation: Incarnation) -> None:
        """Keep it no longer; nothing happens when it is unknown."""
        copy = self._adoptions.copy(agent_id, incarnation)
        if copy is not None:
            self.dirty = True
            self._adoptions.drop_copy(agent_id, incarnation)
            for blob in _blobs_of(copy.record):
                self._blobs.release(blob)

    def meta_put(self, name: str, value: bytes) -> None:
        """Keep a small setting of the host."""
        self.dirty = True
        self._tables.meta.put(self._txn, id_key(HOST_META + name), value)

    def meta_delete(self, name: str) -> None:
        """Forget a small setting of the host."""
        self.dirty = self._tables.meta.delete(self._txn, id_key(HOST_META + name)) or self.dirty

    def add_revocation(self, entry: bytes) -> bool:
        """Keep a signed revocation entry for ever; whether it is new."""
        key = sha256(entry).digest()
        if self._tables.revocations.get(self._txn, key) is not None:
            return False
        self.dirty = True
        self._tables.revocations.put(self._txn, key, entry)
        return True

    def quarantine(self, damage: Damage) -> None:
        """For the store itself: take a damaged record out of its table."""
        if self._tables.put_quarantined(self._txn, damage):
            self.dirty = True
            if damage.table == self._tables.paglets.name:
                self._agenda.forget(damage.key.decode("utf-8", "replace"))

    def drop_quarantined(self, table: str, key: bytes) -> None:
        """For the store itself: forget a damaged record."""
        self.dirty = self._tables.drop_quarantined(self._txn, table, key) or self.dirty

    def _messages_changed(self, agent_id: str, *, has_messages: bool) -> None:
        for record in self.some_paglets([agent_id]):
            self._agenda.messages_changed(record, has_messages=has_messages)

    def _replaced(self, agent_id: str, before: PagletRecord | None, after: PagletRecord | None) -> None:
        self._agenda.replace(before, after, lambda: self._queue.has_messages(agent_id))
        self._file_table.replace(before, after)
        old_blobs, new_blobs = _blobs_of(before), _blobs_of(after)
        if old_blobs != new_blobs:
            # The new ones first: a blob that both name must not go in between.
            for blob in new_blobs:
                self._blobs.acquire(blob)
            for blob in old_blobs:
                self._blobs.release(blob)
        old_phase = before.phase if before is not None else None
        new_phase = after.phase if after is not None else None
        if old_phase != new_phase:
            if new_phase is not None:
                change_count(self._txn, self._tables, new_phase, 1)
            if old_phase is not None:
                change_count(self._txn, self._tables, old_phase, -1)


def _blobs_of(record: PagletRecord | None) -> list[BlobRef]:
    """What a record names."""
    return [] if record is None else [blob for blob in (record.state, record.passport) if blob is not None]
