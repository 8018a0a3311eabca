"""Abandoned transfers, owed notices and copies in quarantine, within one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paglets.persistence.table import id_key, number_key

if TYPE_CHECKING:
    import lmdb

    from paglets.core.incarnation import Incarnation, TransferId
    from paglets.persistence.adoption_records import AbandonedTransfer, Notice, QuarantinedCopy
    from paglets.persistence.tables import Tables


class AdoptionTable:
    """Reads and writes the three tables; blobs are its caller's business."""

    def __init__(self, txn: lmdb.Transaction[bytes], tables: Tables) -> None:
        self._txn = txn
        self._tables = tables.adoptions

    def abandoned(self, agent_id: str | None) -> list[AbandonedTransfer]:
        """Of one paglet, or all."""
        return [each for _, each in self._tables.abandoned.scan(self._txn, prefix=_prefix(agent_id))]

    def put_abandoned(self, transfer: AbandonedTransfer) -> None:
        """Write one."""
        key = _transfer_key(transfer.agent_id, transfer.outgoing.transfer_id)
        self._tables.abandoned.put(self._txn, key, transfer)

    def drop_abandoned(self, agent_id: str, transfer_id: TransferId) -> bool:
        """Delete one; whether it was there."""
        return self._tables.abandoned.delete(self._txn, _transfer_key(agent_id, transfer_id))

    def notices(self, agent_id: str | None) -> list[Notice]:
        """Of one paglet, or all."""
        return [each for _, each in self._tables.notices.scan(self._txn, prefix=_prefix(agent_id))]

    def put_notice(self, notice: Notice) -> None:
        """Write one."""
        self._tables.notices.put(self._txn, _prefix(notice.agent_id) + id_key(notice.target_id), notice)

    def drop_notice(self, agent_id: str, target_id: str) -> bool:
        """Delete one; whether it was there."""
        return self._tables.notices.delete(self._txn, _prefix(agent_id) + id_key(target_id))

    def copies(self, agent_id: str | None) -> list[QuarantinedCopy]:
        """Of one paglet, or all."""
        found = [each for _, each in self._tables.copies.scan(self._txn, prefix=_prefix(agent_id))]
        return sorted(found, key=lambda each: (each.record.agent_id, each.record.incarnation))

    def copy(self, agent_id: str, incarnation: Incarnation) -> QuarantinedCopy | None:
        """That very one."""
        return self._tables.copies.get(self._txn, _copy_key(agent_id, incarnation))

    def put_copy(self, copy: QuarantinedCopy) -> None:
        """Write one."""
        self._tables.copies.put(self._txn, _copy_key(copy.record.agent_id, copy.record.incarnation), copy)

    def drop_copy(self, agent_id: str, incarnation: Incarnation) -> bool:
        """Delete one; whether it was there."""
        return self._tables.copies.delete(self._txn, _copy_key(agent_id, incarnation))


def _prefix(agent_id: str | None) -> bytes:
    return b"" if agent_id is None else id_key(agent_id) + b"\0"


def _transfer_key(agent_id: str, transfer_id: TransferId) -> bytes:
    return _prefix(agent_id) + number_key(transfer_id.counter)


def _copy_key(agent_id: str, incarnation: Incarnation) -> bytes:
    lineage = incarnation.lineage
    adopter = id_key(lineage.adopter) if lineage.adopter else b""
    return _prefix(agent_id) + number_key(lineage.number) + number_key(incarnation.epoch) + adopter
