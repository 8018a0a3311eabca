"""What a host does when it meets a copy of a higher lineage: the lower one gives way, in the same commit."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from paglets.persistence.adoption_records import AbandonedTransfer, Notice, QuarantinedCopy, Whereabouts
from paglets.persistence.journal.conflict import JournalConflict
from paglets.persistence.records import Forward, Outcome, Phase

if TYPE_CHECKING:
    from paglets.core.incarnation import Incarnation, TransferId
    from paglets.persistence.records import PagletRecord, QueuedRecord
    from paglets.persistence.transaction import JournalTransaction


def last_known(record: PagletRecord) -> Incarnation:
    """The latest life of the paglet that the record tells of."""
    return record.forward.incarnation if record.forward else record.incarnation


def whereabouts(record: PagletRecord, own_id: str) -> Whereabouts:
    """Where the paglet is in the latest life that the record tells of."""
    if record.forward is not None:
        forward = record.forward
        return Whereabouts(forward.incarnation, forward.host_id, forward.url, forward.name)
    return Whereabouts(record.incarnation, own_id)


class GaveWay(NamedTuple):
    """What became of a lower record when a copy of a higher lineage was met."""

    record: PagletRecord
    """As it was; a child that still runs for it has to end, and so has its move."""
    higher: Whereabouts
    """What it gave way to."""
    copy: QuarantinedCopy | None = None
    """What was put into quarantine: the record, if there was a copy here."""
    abandoned: AbandonedTransfer | None = None
    """Its unsettled transfer: to be asked about on."""
    notice: Notice | None = None
    """News for the host where it had gone."""
    messages: tuple[QueuedRecord, ...] = ()
    """What waited here for it: to follow the forward, if there is one now."""


def make_way(tx: JournalTransaction, record: PagletRecord, higher: Whereabouts, *, at: float) -> GaveWay:
    """Keep a lower copy aside and hand its duties on; the caller replaces the record in the same commit.

    ACTIVE, INACTIVE, PREPARED: the copy goes into quarantine, under its incarnation. PREPARED: its transfer is
    abandoned. DEPARTED: the host where it went is owed a notice.
    """
    copy = abandoned = notice = None
    if record.phase in {Phase.ACTIVE, Phase.INACTIVE, Phase.PREPARED}:
        copy = QuarantinedCopy(record, higher, at)
        tx.put_copy(copy)
    if record.outgoing is not None:
        abandoned = AbandonedTransfer(record.agent_id, record.birth, record.outgoing, higher)
        tx.put_abandoned(abandoned)
    if record.forward is not None:
        to = record.forward
        notice = Notice(record.agent_id, record.birth, to.host_id, to.url, to.name, higher)
        owe(tx, notice)
    return GaveWay(record, higher, copy, abandoned, notice)


def owe(tx: JournalTransaction, notice: Notice) -> None:
    """Owe a host a notice, unless it is owed one of as high a lineage already."""
    for owed in tx.notices(notice.agent_id):
        if owed.target_id == notice.target_id and _lineage(owed.higher) >= _lineage(notice.higher):
            return
    tx.put_notice(notice)


class Noticed(NamedTuple):
    """What came of a notice: acknowledge it when this is synced. At most one of the two is set."""

    gave_way: GaveWay | None = None
    counter: Notice | None = None
    """This host knows of a higher lineage still, and owes that news to the host which the notice named."""


def take_notice(
    tx: JournalTransaction, own_id: str, agent_id: str, birth: str, higher: Whereabouts, *, at: float
) -> Noticed:
    """Another host says that the paglet is ``higher``: a record of a lower lineage here becomes a forward there.

    Nothing happens where there is no record, another paglet of that id, or one of that lineage; nor when the
    notice would have this host forward to itself.
    """
    record = tx.paglet(agent_id)
    if record is None or record.birth != birth or record.host_scoped or higher.host_id == own_id:
        return Noticed()
    known = whereabouts(record, own_id)
    if _lineage(known) > _lineage(higher):
        counter = Notice(agent_id, birth, higher.host_id, higher.url, higher.name, known)
        owe(tx, counter)
        return Noticed(counter=counter)
    if _lineage(known) == _lineage(higher):
        return Noticed()
    gave_way = make_way(tx, record, higher, at=at)
    tx.put_paglet(_forwarding(record, higher, at))
    return Noticed(gave_way._replace(messages=tuple(tx.queued(agent_id))))


def notice_acknowledged(tx: JournalTransaction, notice: Notice) -> None:
    """Its target has acknowledged that very notice; a newer one stays owed."""
    if notice in tx.notices(notice.agent_id):
        tx.drop_notice(notice.agent_id, notice.target_id)


def settle_abandoned(
    tx: JournalTransaction,
    agent_id: str,
    transfer_id: TransferId,
    outcome: Outcome,
    incarnation: Incarnation,
) -> Notice | None:
    """The target of an abandoned transfer signed its verdict. FENCED ends it; ARRIVED leaves a notice owed.

    So does a verdict on another life: it is on another transfer of that id, and says nothing of this one.
    """
    each = _expect_abandoned(tx, agent_id, transfer_id)
    if each.outgoing.incarnation == incarnation and outcome is Outcome.FENCED:
        tx.drop_abandoned(agent_id, transfer_id)
        return None
    return _owe_instead(tx, each)


def close_abandoned(tx: JournalTransaction, agent_id: str, transfer_id: TransferId) -> Notice:
    """The target will give no verdict, as one of the two stores was restored from a copy: it is owed the notice.

    For nobody will ever say that the paglet did not arrive. Where it did not, the notice finds nothing to do.
    """
    return _owe_instead(tx, _expect_abandoned(tx, agent_id, transfer_id))


def _expect_abandoned(tx: JournalTransaction, agent_id: str, transfer_id: TransferId) -> AbandonedTransfer:
    for each in tx.abandoned(agent_id):
        if each.outgoing.transfer_id == transfer_id:
            return each
    raise JournalConflict(agent_id, f"no abandoned transfer {transfer_id} is open", tx.paglet(agent_id))


def _owe_instead(tx: JournalTransaction, abandoned: AbandonedTransfer) -> Notice:
    to = abandoned.outgoing
    tx.drop_abandoned(abandoned.agent_id, to.transfer_id)
    notice = Notice(
        abandoned.agent_id, abandoned.birth, to.target_id, to.target_url, to.target_name, abandoned.higher
    )
    owe(tx, notice)
    return notice


def _lineage(there: Whereabouts) -> tuple[int, str]:
    lineage = there.incarnation.lineage
    return lineage.number, lineage.adopter


def _forwarding(record: PagletRecord, higher: Whereabouts, at: float) -> PagletRecord:
    return replace(
        record,
        phase=Phase.DEPARTED,
        state=None,
        pending=None,
        outgoing=None,
        forward=Forward(higher.host_id, higher.url, higher.name, higher.incarnation, at),
        receipt=b"",
        policy={},
        request={},
        resume=False,
        queued=None,
        failed="",
        files=(),
        changed_at=at,
    )
