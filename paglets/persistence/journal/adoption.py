"""The durable steps of an operator who says that a copy counts, because the other one is lost for good."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec.structs import replace

from paglets.core.incarnation import Incarnation, Lineage
from paglets.persistence.adoption_records import AbandonedTransfer, QuarantinedCopy, Whereabouts
from paglets.persistence.journal.conflict import JournalConflict, expect_outgoing
from paglets.persistence.journal.meeting import GaveWay, last_known, make_way
from paglets.persistence.journal.starting import Started
from paglets.persistence.records import HookKind, MoveKind, PendingHook, Phase, is_at_work

if TYPE_CHECKING:
    from paglets.core.incarnation import TransferId
    from paglets.persistence.records import PagletRecord
    from paglets.persistence.transaction import JournalTransaction


class Adopted(NamedTuple):
    """A copy that counts from now on, in a lineage of its own."""

    started: Started
    """ACTIVE, and a child is to be started for it; or INACTIVE, if it was parked."""
    abandoned: AbandonedTransfer | None = None
    """Its transfer, to be asked about on."""
    gave_way: GaveWay | None = None
    """What stood in the record of its id."""


def adopt(
    tx: JournalTransaction,
    own_id: str,
    agent_id: str,
    transfer_id: TransferId,
    *,
    event: dict[str, Any],
    at: float,
) -> Adopted:
    """Take a PREPARED back in a new lineage, whatever became of its transfer: that one is abandoned.

    The caller has made sure that it is in doubt. A clone is refused: it may never have existed, and its
    original lives on.
    """
    record, outgoing = expect_outgoing(tx, agent_id, transfer_id, step="adopt")
    if outgoing.kind is MoveKind.CLONE:
        raise JournalConflict(agent_id, "it is a clone that may never have existed", record)
    adopted = _adopted(tx, own_id, record, event, at)
    abandoned = AbandonedTransfer(agent_id, record.birth, outgoing, Whereabouts(adopted.incarnation, own_id))
    tx.put_abandoned(abandoned)
    tx.put_paglet(adopted)
    return Adopted(Started(adopted, tuple(tx.queued(agent_id))), abandoned)


def adopt_copy(
    tx: JournalTransaction,
    own_id: str,
    agent_id: str,
    incarnation: Incarnation,
    *,
    event: dict[str, Any],
    at: float,
) -> Adopted:
    """Take a copy out of quarantine in a new lineage. Refused while the paglet lives on this host."""
    standing = tx.paglet(agent_id)
    copy = _expect_copy(tx, agent_id, incarnation, standing)
    if standing is not None and standing.phase not in {Phase.DEPARTED, Phase.TOMBSTONE}:
        raise JournalConflict(agent_id, "another copy of it is on this host", standing)
    adopted = _adopted(tx, own_id, copy.record, event, at)
    gave_way = None
    if standing is not None:
        gave_way = make_way(tx, standing, Whereabouts(adopted.incarnation, own_id), at=at)
    tx.put_paglet(adopted)
    tx.drop_copy(agent_id, incarnation)
    return Adopted(Started(adopted, tuple(tx.queued(agent_id))), None, gave_way)


def discard_copy(tx: JournalTransaction, agent_id: str, incarnation: Incarnation) -> QuarantinedCopy:
    """Drop a copy from quarantine for good."""
    copy = _expect_copy(tx, agent_id, incarnation, tx.paglet(agent_id))
    tx.drop_copy(agent_id, incarnation)
    return copy


def _expect_copy(
    tx: JournalTransaction, agent_id: str, incarnation: Incarnation, standing: PagletRecord | None
) -> QuarantinedCopy:
    for copy in tx.copies(agent_id):
        if copy.record.incarnation == incarnation:
            return copy
    raise JournalConflict(agent_id, f"no copy of life {incarnation} is in quarantine", standing)


def _adopted(
    tx: JournalTransaction, own_id: str, record: PagletRecord, event: dict[str, Any], at: float
) -> PagletRecord:
    """The record in a lineage above all that this host has seen; its epoch goes on from the copy's.

    At work or parked as it was; one that waited in the outbox for its target waits no longer.
    """
    highest = max(_lineages(tx, record))
    adopted = replace(
        record,
        phase=Phase.ACTIVE if is_at_work(record) else Phase.INACTIVE,
        incarnation=Incarnation(Lineage(highest + 1, own_id), record.incarnation.epoch + 1),
        outgoing=None,
        queued=None,
        failed="",
        changed_at=at,
    )
    if adopted.phase is not Phase.ACTIVE:
        return adopted
    # A hook that asked for a move got as far as the snapshot, so it is not run again.
    pending = None if record.outgoing is not None else record.pending
    pending = pending or PendingHook(HookKind.ACTIVATION, event)
    return replace(adopted, pending=pending, policy={}, request={}, resume=False)


def _lineages(tx: JournalTransaction, record: PagletRecord) -> list[int]:
    """The number of every lineage of that paglet that this host has seen."""
    agent_id = record.agent_id
    standing = tx.paglet(agent_id)
    return [
        record.incarnation.lineage.number,
        *([last_known(standing).lineage.number] if standing is not None else []),
        *(each.higher.incarnation.lineage.number for each in tx.abandoned(agent_id)),
        *(each.higher.incarnation.lineage.number for each in tx.notices(agent_id)),
        *(each.higher.incarnation.lineage.number for each in tx.copies(agent_id)),
    ]
