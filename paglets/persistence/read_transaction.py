"""A consistent view of the store, for as long as one short read takes."""

from __future__ import annotations

from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING

from paglets.persistence.adoption_table import AdoptionTable
from paglets.persistence.agenda import Agenda
from paglets.persistence.artifact_table import ArtifactTable
from paglets.persistence.blob_table import BlobTable
from paglets.persistence.errors import RecordDamagedError
from paglets.persistence.file_table import WORK, FileTable
from paglets.persistence.message_queue import MessageQueue
from paglets.persistence.outbox_table import OutboxTable
from paglets.persistence.phase_counts import read_counts
from paglets.persistence.table import id_key, number_key

if TYPE_CHECKING:
    from collections.abc import Iterable

    import lmdb

    from paglets.core.incarnation import TransferId
    from paglets.persistence.adoption_records import AbandonedTransfer, Notice, QuarantinedCopy
    from paglets.persistence.agenda import Matter
    from paglets.persistence.records import (
        BlobRef,
        FileRecord,
        PagletRecord,
        PeerRecord,
        Phase,
        QueuedRecord,
        VerdictRecord,
    )
    from paglets.persistence.tables import QueueState, Tables

HOST_META = "host."


class ReadTransaction:
    """Reads the records of one moment.

    A record that does not decode raises ``RecordDamagedError`` when it is asked for by its key, and is left
    out of lists; either way it is reported in ``Store.damaged`` and goes into quarantine.
    Valid only inside the function it was given to, on that thread.
    """

    def __init__(self, txn: lmdb.Transaction[bytes], tables: Tables) -> None:
        self._txn = txn
        self._tables = tables
        self._queue = MessageQueue(txn, tables)
        self._blobs = BlobTable(txn, tables)
        self._agenda = Agenda(txn, tables)

    def paglet(self, agent_id: str) -> PagletRecord | None:
        """The record of that id, or None."""
        return self._tables.paglets.get(self._txn, id_key(agent_id))

    def paglets(self, after: str = "", limit: int = 1000) -> list[PagletRecord]:
        """Records in order of their ids, from the one after ``after``; fewer than ``limit`` at the end."""
        start = after.encode("utf-8") + b"\0" if after else b""
        return [record for _, record in islice(self._tables.paglets.scan(self._txn, start), limit)]

    def some_paglets(self, agent_ids: Iterable[str]) -> list[PagletRecord]:
        """The records of those ids; those that are not there, or damaged, are left out."""
        found: list[PagletRecord] = []
        for agent_id in agent_ids:
            with suppress(RecordDamagedError):
                record = self.paglet(agent_id)
                if record is not None:
                    found.append(record)
        return found

    def agenda(self, matter: Matter) -> list[str]:
        """The ids of the paglets that somebody has to look at for that reason, in order; not for ``GONE``.

        Costs what there is of them, however many records there are.
        """
        return self._agenda.ids(matter)

    def gone(self, before: float, limit: int | None = None) -> list[str]:
        """Ids that moved on or were disposed of before that time (wall clock), the earliest first."""
        return self._agenda.gone(before, limit)

    def phase_counts(self) -> dict[Phase, int]:
        """How many records there are in each phase; costs the same for any number of them."""
        return read_counts(self._txn, self._tables)

    def verdict(self, transfer_id: TransferId) -> VerdictRecord | None:
        """This host's stored verdict on a transfer that came to it."""
        return self._tables.verdicts.get(self._txn, verdict_key(transfer_id))

    def verdicts(self, after: TransferId | None = None, limit: int = 1000) -> list[VerdictRecord]:
        """Stored verdicts in the order of their transfer ids, from the one after ``after``."""
        start = verdict_key(after) + b"\0" if after is not None else b""
        return [record for _, record in islice(self._tables.verdicts.scan(self._txn, start), limit)]

    def floor(self, source: str) -> int:
        """The highest floor that ``source`` ever told, 0 when none."""
        return self._tables.floors.get(self._txn, id_key(source)) or 0

    def counter(self) -> int:
        """The lowest transfer counter that this host has durably not handed out, at first 1."""
        return self._tables.numbers.get(self._txn, COUNTER_KEY) or 1

    def queued(self, agent_id: str) -> list[QueuedRecord]:
        """Messages waiting for a paglet, in the order they were accepted."""
        return self._queue.list(agent_id)

    def queued_message(self, agent_id: str, message_id: str) -> QueuedRecord | None:
        """The message of that id that waits for a paglet, if one does."""
        return self._queue.get(agent_id, message_id)

    def queue_state(self, agent_id: str) -> QueueState:
        """How many messages, and bytes of them, wait for a paglet."""
        return self._queue.state(agent_id)

    def with_messages(self) -> list[str]:
        """The ids of the paglets for which messages wait, in order; costs what there is of them."""
        return self._queue.owners()

    def peer(self, host_id: str) -> PeerRecord | None:
        """What this host remembers of a peer's store."""
        return self._tables.peers.get(self._txn, id_key(host_id))

    def peers(self) -> list[PeerRecord]:
        """What this host remembers of all peers' stores."""
        return [record for _, record in self._tables.peers.scan(self._txn)]

    @property
    def _adoptions(self) -> AdoptionTable:
        return AdoptionTable(self._txn, self._tables)

    def abandoned(self, agent_id: str | None = None) -> list[AbandonedTransfer]:
        """Transfers of that paglet, or of all, that an adoption went past."""
        return self._adoptions.abandoned(agent_id)

    def notices(self, agent_id: str | None = None) -> list[Notice]:
        """What other hosts have to be told of that paglet, or of all."""
        return self._adoptions.notices(agent_id)

    def copies(self, agent_id: str | None = None) -> list[QuarantinedCopy]:
        """Copies of that paglet, or of all, that gave way to a higher lineage, the lowest first."""
        return self._adoptions.copies(agent_id)

    def file_places(self) -> set[str]:
        """The directories that hold files of paglets of this host, and of copies in quarantine."""
        kept = {file.place for copy in self.copies() for file in copy.record.files}
        return FileTable(self._txn, self._tables).places() | (kept - {"", WORK})

    def moved_files(self) -> list[tuple[bytes, FileRecord]]:
        """Source files that are to be deleted, as they have arrived elsewhere, with what to drop them by."""
        return list(self._tables.moved_files.scan(self._txn))

    @property
    def artifacts(self) -> ArtifactTable:
        """The artifacts; only to be read through a read transaction."""
        return ArtifactTable(self._txn, self._tables, self._blobs)

    @property
    def outbox(self) -> OutboxTable:
        """The outbox and the dead letters; only to be read through a read transaction."""
        return OutboxTable(self._txn, self._tables)

    def has_blob(self, ref: BlobRef) -> bool:
        """Whether that blob is here."""
        manifest = self._blobs.manifest(ref.digest)
        return manifest is not None and manifest.size == ref.size

    def blob_chunks(self, ref: BlobRef, first: int, limit: int) -> list[bytes]:
        """Consecutive chunks of a blob, empty beyond its end; ``BlobMissingError``, ``BlobDamagedError``."""
        return self._blobs.chunks(ref, first, limit)

    def blob_is_damaged(self, ref: BlobRef) -> bool:
        """Whether its bytes are known not to have its digest."""
        return self._blobs.is_damaged(ref)

    def blob_count(self) -> int:
        """How many blobs there are."""
        return self._tables.blobs.count(self._txn)

    def orphans(self) -> list[int]:
        """For the store itself: uploads that no blob was made of."""
        return self._blobs.orphans()

    def next_upload(self) -> int:
        """For the store itself: a number greater than that of every upload."""
        return self._blobs.next_upload()

    def meta_get(self, name: str) -> bytes | None:
        """A small setting that the host keeps here, or None."""
        return self._tables.meta.get(self._txn, id_key(HOST_META + name))

    def revocations(self) -> list[bytes]:
        """All revocation entries, in the order of their digests."""
        return [entry for _, entry in self._tables.revocations.scan(self._txn)]

    def used_bytes(self) -> int:
        """Bytes of the map that hold something."""
        return self._tables.used_bytes(self._txn)


COUNTER_KEY = b"counter"


def verdict_key(transfer_id: TransferId) -> bytes:
    """Where the verdict on a transfer is kept."""
    return id_key(transfer_id.source) + b"\0" + number_key(transfer_id.counter)
