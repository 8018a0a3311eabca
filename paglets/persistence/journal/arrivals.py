"""The target's durable steps of one transfer. What is committed here decides where the paglet lives."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from paglets.core.agent_ids import is_service_id
from paglets.persistence.adoption_records import Notice, Whereabouts
from paglets.persistence.journal.conflict import expect
from paglets.persistence.journal.meeting import GaveWay, last_known, make_way, owe_anew, whereabouts
from paglets.persistence.journal.peers import is_restored, unsure_below
from paglets.persistence.journal.queues import take_message
from paglets.persistence.records import Outcome, Phase, VerdictRecord

if TYPE_CHECKING:
    from paglets.core.incarnation import Incarnation, TransferId
    from paglets.persistence.records import Outgoing, PagletRecord, QueuedRecord
    from paglets.persistence.transaction import JournalTransaction


FORCED = (
    "this host's store was restored, and accepted while not every host could be asked: it may have forgotten its "
    "verdict, and the paglet may be at one of those hosts. If it is nowhere, `paglets transfers adopt` brings it back"
)
"""Why there is no verdict; see `restoring.accept`."""


class Crossing(NamedTuple):
    """What a verdict is about: which transfer was to bring which life of which paglet."""

    transfer_id: TransferId
    agent_id: str
    incarnation: Incarnation


class Decided(NamedTuple):
    """This host's final word on a transfer; to be said only when the commit it came from is synced."""

    verdict: VerdictRecord
    fresh: bool = False
    """True when this step decided; False when an earlier verdict was repeated and nothing was written."""
    replaced: PagletRecord | None = None
    """The record that a fresh arrival took the place of; a child that still runs for it has to end."""
    messages: tuple[QueuedRecord, ...] = ()
    """What waits here for a paglet that has just arrived; see `starting.Started`."""

    gave_way: GaveWay | None = None
    """The record that a fresh arrival took the place of, if it is of a higher lineage."""
    notice: Notice | None = None
    """News of a higher lineage, for the source of a transfer that was refused because of it."""

    @property
    def came_home(self) -> Outgoing | None:
        """This host's own transfer of that paglet, which the arrival has closed as arrived."""
        return self.replaced.outgoing if self.replaced and not self.gave_way else None


class Closed(NamedTuple):
    """The transfer is below the floor its source has told: no verdict is kept on it, and none is given."""

    floor: int


class Unsure(NamedTuple):
    """This host's store is a restored copy that may have forgotten its verdict, so it gives none."""

    reason: str


def arrive(
    tx: JournalTransaction, own_id: str, transfer_id: TransferId, record: PagletRecord, *, at: float
) -> Decided | Closed | Unsure:
    """Decide on a complete, verified and admitted envelope; ``record`` is what the paglet will be here.

    ``record`` is ACTIVE, its arrival (or clone) hook pending if its class has one, or INACTIVE, in the header's
    incarnation.
    A verdict that stands is repeated. ARRIVED, with the record written, if the paglet is newer than whatever
    this host knows of that id, and of the same birth; otherwise FENCED, and nothing else is left behind - but
    a notice, owed to the source, where this host knows of a higher lineage. A copy of a lower one gives way.
    """
    if record.phase not in {Phase.ACTIVE, Phase.INACTIVE}:
        raise ValueError("a paglet arrives active or inactive")
    earlier = _earlier_word(tx, own_id, transfer_id)
    if earlier is not None:
        return earlier
    crossing = Crossing(transfer_id, record.agent_id, record.incarnation)
    standing = tx.paglet(record.agent_id)
    reason = refusal(standing, record)
    if reason:
        decided = _decide(tx, crossing, Outcome.FENCED, reason, at)
        return decided._replace(notice=_tell_source(tx, own_id, transfer_id, standing, record))
    gave_way = None
    if standing is not None and last_known(standing).lineage < record.incarnation.lineage:
        gave_way = make_way(tx, standing, Whereabouts(record.incarnation, own_id), at=at)
    tx.put_paglet(record)
    if standing and standing.outgoing and standing.outgoing.left_in:
        take_message(
            tx, record.agent_id, standing.outgoing.left_in
        )  # the paglet that is here again has handled it
    decided = _decide(tx, crossing, Outcome.ARRIVED, "", at)
    messages = tuple(tx.queued(record.agent_id))
    return decided._replace(replaced=standing, messages=messages, gave_way=gave_way)


def _tell_source(
    tx: JournalTransaction,
    own_id: str,
    transfer_id: TransferId,
    standing: PagletRecord | None,
    arriving: PagletRecord,
) -> Notice | None:
    """Owe the source news of a higher lineage, if that is what its paglet was refused for."""
    if standing is None or not is_outdone(standing, arriving):
        return None
    there = whereabouts(standing, own_id)
    return owe_anew(tx, Notice(arriving.agent_id, arriving.birth, transfer_id.source, "", "", there))


def is_outdone(standing: PagletRecord | None, arriving: PagletRecord) -> bool:
    """Whether this host knows of a higher lineage of that very paglet."""
    if standing is None or standing.birth != arriving.birth or standing.host_scoped:
        return False
    return arriving.incarnation.lineage < last_known(standing).lineage


def refusal(standing: PagletRecord | None, arriving: PagletRecord) -> str:
    """Why ``arriving`` may not take the place of ``standing``; empty when it may.

    A PREPARED record of a lower epoch of the same lineage may be replaced: that the paglet is here in a later
    life proves that the transfer this record waited for has arrived, so this closes it.
    """
    scoped = arriving.host_scoped or (standing is not None and standing.host_scoped)
    if scoped or is_service_id(arriving.agent_id):  # before a first start there is no record of a service
        return "a resident service is never moved"
    if standing is None:
        return ""
    if standing.birth != arriving.birth:
        return f"another paglet with this id, born at {standing.birth}, is known here"
    known = last_known(standing)
    if arriving.incarnation <= known:
        return f"life {arriving.incarnation} is not newer than {known}, which is known here"
    return ""


def fence(
    tx: JournalTransaction, own_id: str, crossing: Crossing, reason: str, *, at: float
) -> Decided | Closed | Unsure:
    """Refuse a complete, verified envelope, for ``reason``; unless there is a verdict, which is repeated."""
    earlier = _earlier_word(tx, own_id, crossing.transfer_id)
    return earlier or _decide(tx, crossing, Outcome.FENCED, reason, at)


def answer_query(
    tx: JournalTransaction, own_id: str, crossing: Crossing, *, at: float, advice: str = ""
) -> Decided | Closed | Unsure:
    """Answer the source that asks: "never heard of it" is made FENCED before it is said.

    So an envelope that is still on its way when its source asks finds itself refused. The caller has made
    sure that it was the source named in the transfer id who asked. ``advice``: why this host refused the
    envelope before it was complete; people learn more from it.
    """
    reason = "it had not arrived when its source asked"
    return fence(tx, own_id, crossing, f"{reason}: {advice}" if advice else reason, at=at)


def keep_receipt(
    tx: JournalTransaction, agent_id: str, incarnation: Incarnation, receipt: bytes, *, at: float
) -> PagletRecord:
    """Keep the signed receipt by which the paglet came here; the header of its next move names it."""
    record = expect(tx, agent_id, incarnation, Phase.ACTIVE, Phase.INACTIVE, step="keep the receipt of")
    record = replace(record, receipt=receipt, changed_at=at)
    tx.put_paglet(record)
    return record


def _earlier_word(
    tx: JournalTransaction, own_id: str, transfer_id: TransferId
) -> Decided | Closed | Unsure | None:
    verdict = tx.verdict(transfer_id)
    if verdict is not None:
        return Decided(verdict)
    floor = tx.floor(transfer_id.source)
    if transfer_id.counter < floor:
        return Closed(floor)
    if is_restored(tx, own_id):
        return Unsure("this host's store was restored and may have forgotten its verdict")
    if transfer_id.counter < unsure_below(tx, own_id, transfer_id.source):
        return Unsure(FORCED)
    return None


def _decide(tx: JournalTransaction, crossing: Crossing, outcome: Outcome, reason: str, at: float) -> Decided:
    verdict = VerdictRecord(*crossing, outcome, reason, at)
    tx.put_verdict(verdict)
    return Decided(verdict, fresh=True)
