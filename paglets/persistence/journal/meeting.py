"""What a host does when it meets a copy of a higher lineage: the lower one gives way, in the same commit."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from paglets.persistence.adoption_records import AbandonedTransfer, Notice, QuarantinedCopy, Whereabouts
from paglets.persistence.journal.conflict import JournalConflict
from paglets.persistence.records import Forward, Outcome, Phase

if TYPE_CHECKING:
    from collections.abc import Iterable

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


def make_way(
    tx: JournalTransaction, record: PagletRecord, higher: Whereabouts, *, at: float, everywhere: bool = False
) -> GaveWay:
    """Keep a lower copy aside and hand its duties on; the caller replaces the record in the same commit.

    ACTIVE, INACTIVE, PREPARED: the copy goes into quarantine, under its incarnation. PREPARED: its transfer is
    abandoned. DEPARTED: the host where it went is owed a notice. ``everywhere``: somebody tells every host.
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
        notice = owe_anew(
            tx, Notice(record.agent_id, record.birth, to.host_id, to.url, to.name, higher, everywhere)
        )
    return GaveWay(record, higher, copy, abandoned, notice)


def owe(tx: JournalTransaction, notice: Notice) -> Notice:
    """Owe a host a notice, and return what it is owed now: one that stands for what it was owed before, too."""
    owed = _owed(tx, notice)
    if owed is not None:
        higher = max(owed.higher, notice.higher, key=_lineage)
        url, name = notice.target_url or owed.target_url, notice.target_name or owed.target_name
        everywhere = owed.everywhere and notice.everywhere
        notice = replace(owed, target_url=url, target_name=name, higher=higher, everywhere=everywhere)
    if notice != owed:
        tx.put_notice(notice)
    return notice


def owe_anew(tx: JournalTransaction, notice: Notice) -> Notice:
    """The same for what a transfer has brought about: it is told after that, whatever it is owed already.

    The host may just have answered another notice, before there was a reason for this one.
    """
    owed = _owed(tx, notice)
    now = owe(tx, notice)
    if owed is not None:
        now = replace(now, number=owed.number + 1)
        tx.put_notice(now)
    return now


def _owed(tx: JournalTransaction, notice: Notice) -> Notice | None:
    """What the host that it is for is owed already of that paglet."""
    return next((each for each in tx.notices(notice.agent_id) if each.target_id == notice.target_id), None)


class Noticed(NamedTuple):
    """What came of a notice: acknowledge it when this is synced. At most one of the three is set."""

    gave_way: GaveWay | None = None
    counter: Notice | None = None
    """This host knows of a higher lineage still, and owes that news to the host which the notice named."""
    lost_track: bool = False
    """If a lower copy was ever here, it is not known where it went: nobody is told by this host."""


def take_notice(
    tx: JournalTransaction,
    own_id: str,
    agent_id: str,
    birth: str,
    higher: Whereabouts,
    *,
    at: float,
    everywhere: bool = False,
) -> Noticed:
    """Another host says that the paglet is ``higher``: a record of a lower lineage here becomes a forward there.

    Nothing happens where there is no record, another paglet of that id, or one of that lineage: it may have been
    here, and gone on, before that was forgotten. Nor when the notice would have this host forward to itself.
    """
    record = tx.paglet(agent_id)
    if record is None or record.birth != birth:
        return Noticed(lost_track=True)
    known = whereabouts(record, own_id)
    if _lineage(known) == _lineage(higher):
        return Noticed(lost_track=True)
    if record.host_scoped or higher.host_id == own_id:
        return Noticed()
    if _lineage(known) > _lineage(higher):
        counter = Notice(agent_id, birth, higher.host_id, higher.url, higher.name, known)
        return Noticed(counter=owe(tx, counter))
    gave_way = make_way(tx, record, higher, at=at, everywhere=everywhere)
    tx.put_paglet(_forwarding(record, higher, at))
    return Noticed(gave_way._replace(messages=tuple(tx.queued(agent_id))))


def notice_acknowledged(tx: JournalTransaction, notice: Notice) -> None:
    """Its target has acknowledged that very notice; a newer one stays owed."""
    if notice in tx.notices(notice.agent_id):
        tx.drop_notice(notice.agent_id, notice.target_id)


class Addressee(NamedTuple):
    """A host of the mesh."""

    host_id: str
    url: str = ""
    name: str = ""
    """Hints, like the URL."""


def tell_everyone(
    tx: JournalTransaction, own_id: str, notice: Notice, hosts: Iterable[Addressee]
) -> list[Notice]:
    """Its target has lost track: every host has to be told instead, as a lower copy may be anywhere.

    ``hosts``: all that this host ever heard of. Returns what is owed now. Nothing more comes of a notice that is one
    of those itself, nor of one that is not owed any more.
    """
    if notice not in tx.notices(notice.agent_id):
        return []
    tx.drop_notice(notice.agent_id, notice.target_id)
    if notice.everywhere:
        return []
    for host in hosts:
        if host.host_id not in {own_id, notice.target_id}:
            to = (host.host_id, host.url, host.name)
            owe(tx, Notice(notice.agent_id, notice.birth, *to, notice.higher, everywhere=True))
    return tx.notices(notice.agent_id)


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
    target = (to.target_id, to.target_url, to.target_name)
    return owe_anew(tx, Notice(abandoned.agent_id, abandoned.birth, *target, abandoned.higher))


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
