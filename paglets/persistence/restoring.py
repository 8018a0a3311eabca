"""The durable steps of a host whose store was restored from a copy: park, give way, and count again.

Such a store tells what was true once. So nothing that it holds goes on by itself: what ran is parked, what is under
way is not asked about, until an operator has accepted the copy (decisions 11 and 12).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from paglets.core.deactivation import DeactivationPolicy, DeactivationRequest
from paglets.persistence.adoption_records import Notice, Whereabouts
from paglets.persistence.journal.conflict import expect
from paglets.persistence.journal.meeting import last_known, make_way, owe, owe_anew, whereabouts
from paglets.persistence.journal.peers import EVERYTHING, note_restored
from paglets.persistence.records import Forward, Outcome, PagletRecord, PeerRecord, Phase, VerdictRecord

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from paglets.core.incarnation import Incarnation, TransferId
    from paglets.persistence.transaction import JournalTransaction

SKIPPED = 2**32
"""Transfer and commit numbers that are left out: more than the lost life of a store can have used."""


class OpenTransfer(NamedTuple):
    """A transfer to this host that its source holds open: what was lost may have decided on it."""

    transfer_id: TransferId
    agent_id: str
    birth: str
    incarnation: Incarnation
    """What the paglet was to be here."""
    class_name: str
    state_class_name: str


_A_SECOND = 2**20
"""More transfers, and more commits, than a host makes in a second."""


def numbered_anew(number: int, at: float) -> int:
    """Where a restored store counts on from, at that wall clock, so that no other life of it comes by there.

    The clock tells apart those that were put back from the same backup. Where it stands still or goes back, as
    on a machine without one, they are not told apart.
    """
    return max(number + SKIPPED, int(at * _A_SECOND))


def mark_restored(tx: JournalTransaction, own_id: str, store_id: str, commit: int, *, at: float) -> None:
    """Note in a store that was just unpacked that it is a copy; no host runs on it yet.

    Transfer ids that its lost life may have handed out, or one that was put back from the same backup before, are
    never handed out again: their targets have verdicts on them.
    """
    note_restored(tx, own_id, store_id, commit)
    tx.put_counter(numbered_anew(tx.counter(), at))


def park(tx: JournalTransaction, agent_id: str, *, at: float) -> PagletRecord | None:
    """ACTIVE -> INACTIVE in its life, to be woken when the copy is accepted; None when it is not ACTIVE.

    One that had failed stays down then, too. Resident services are their host's own: they go on.
    """
    record = tx.paglet(agent_id)
    if record is None or record.phase is not Phase.ACTIVE or record.host_scoped:
        return None
    request = DeactivationRequest(reason="restored", source="host", metadata={"failed": record.failed})
    parked = replace(
        record,
        phase=Phase.INACTIVE,
        policy=DeactivationPolicy().to_wire(),
        request=request.to_wire(),
        resume=not record.failed,
        failed="",
        changed_at=at,
    )
    tx.put_paglet(parked)
    return parked


def give_way(
    tx: JournalTransaction, agent_id: str, incarnation: Incarnation, forward: Forward, *, at: float
) -> PagletRecord:
    """INACTIVE or PREPARED -> DEPARTED: it was found in a later life at another host, where it went meanwhile.

    In a higher lineage it did not go there: somebody adopted it. Then the copy here gives way as where such copies
    meet, into quarantine. DEPARTED: the forward leads there from now on; to where it leads now, messages that have
    come from there once do not follow it.
    """
    phases = (Phase.INACTIVE, Phase.PREPARED, Phase.DEPARTED)
    record = expect(tx, agent_id, incarnation, *phases, step="give up the old copy of")
    if forward.incarnation <= last_known(record):
        raise ValueError("only a later life takes the place of this one")
    if forward.incarnation.lineage > record.incarnation.lineage:
        place = Whereabouts(forward.incarnation, forward.host_id, forward.url, forward.name)
        make_way(tx, record, place, at=at)
    departed = replace(
        record,
        phase=Phase.DEPARTED,
        state=None,
        pending=None,
        outgoing=None,
        forward=forward,
        receipt=b"",
        policy={},
        request={},
        resume=False,
        queued=None,
        files=(),
        changed_at=at,
    )
    tx.put_paglet(departed)
    return departed


def tell_lower(
    tx: JournalTransaction, own_id: str, agent_id: str, birth: str, places: Iterable[Whereabouts]
) -> None:
    """Owe every host where the paglet was found in a lower lineage news of the highest that is known.

    The lost life of this host may have owed that to one of them. ``places``: where others tell that it is.
    """
    known = list(places)
    record = tx.paglet(agent_id)
    if record is not None and record.birth == birth:
        known.append(whereabouts(record, own_id))
    highest = max(known, key=lambda there: there.incarnation)
    for there in known:
        if there.incarnation.lineage < highest.incarnation.lineage and there.host_id != own_id:
            owe(tx, Notice(agent_id, birth, there.host_id, there.url, there.name, highest))


def outlive(tx: JournalTransaction, agent_id: str, known: Incarnation, *, at: float) -> PagletRecord | None:
    """INACTIVE, and it goes on here: in a life after all that others know of; None when it is in one already.

    ``known``: the latest in which it was here, as others tell. It was lost with the store; but where it is known
    nothing earlier is let in, and no message follows a forward to anything earlier.
    """
    record = tx.paglet(agent_id)
    if (
        record is None
        or record.phase is not Phase.INACTIVE
        or record.host_scoped
        or known <= record.incarnation
    ):
        return None
    later = replace(record, incarnation=known, changed_at=at)
    tx.put_paglet(later)
    return later


def settle_lost(tx: JournalTransaction, lost: OpenTransfer, forward: Forward | None, *, at: float) -> bool:
    """ARRIVED for a transfer whose paglet is somewhere in the life that it was to bring, or in a later one.

    That proves that the lost life of this host had taken it in, and sent it on. ``forward``: where it was found,
    if it was; messages that come for it follow. Whether the verdict was written; one that stands stays.
    """
    transfer_id = lost.transfer_id
    if tx.verdict(transfer_id) is not None or transfer_id.counter < tx.floor(transfer_id.source):
        return False
    standing = tx.paglet(lost.agent_id)
    if standing is not None and standing.birth != lost.birth:
        return False
    here = standing is not None and last_known(standing) >= lost.incarnation
    there = forward is not None and forward.incarnation >= lost.incarnation
    if not here and not there:
        return False
    reason = "the paglet was found in that life or a later one when a restored store was accepted"
    verdict = VerdictRecord(
        transfer_id, lost.agent_id, lost.incarnation, Outcome.ARRIVED, reason=reason, at=at
    )
    tx.put_verdict(verdict)
    if forward is not None and _is_older(standing, forward.incarnation):
        tx.put_paglet(_sent_on(lost, forward, at))
    return True


def _is_older(standing: PagletRecord | None, incarnation: Incarnation) -> bool:
    if standing is None:
        return True
    gone = standing.phase in {Phase.DEPARTED, Phase.TOMBSTONE}
    return gone and last_known(standing) < incarnation


def _sent_on(lost: OpenTransfer, forward: Forward, at: float) -> PagletRecord:
    return PagletRecord(
        agent_id=lost.agent_id,
        birth=lost.birth,
        phase=Phase.DEPARTED,
        incarnation=lost.incarnation,
        class_name=lost.class_name,
        state_class_name=lost.state_class_name,
        forward=forward,
        created_at=at,
        changed_at=at,
    )


def accept(tx: JournalTransaction, own_id: str, asked: Mapping[str, int], *, complete: bool) -> None:
    """The store counts as the host's own again, whatever it has forgotten.

    ``asked``: the next transfer counter of each host that said what it holds; ``complete``: those were all. Then what
    a source asks about, and has no verdict, never arrived. Otherwise the paglet may be at a host that was not asked: no
    verdict is given on what the lost life may have decided, that is, below those counters, and below the one
    that a source that was not asked tells first (`note_counter`).

    Transfers that an adoption went past are closed, as all that the store held open: their targets have been told a
    floor above them, or are before they hear anything else. So each is owed the news of the adoption now, whatever
    became of the transfer.
    """
    for each in list(tx.abandoned()):
        to = each.outgoing
        tx.drop_abandoned(each.agent_id, to.transfer_id)
        owe_anew(
            tx, Notice(each.agent_id, each.birth, to.target_id, to.target_url, to.target_name, each.higher)
        )
    known = tx.peer(own_id) or PeerRecord(own_id, "", 0)
    tx.put_peer(replace(known, store_id="", commit=0, unsure_below=None if complete else EVERYTHING))
    for source, counter in asked.items():
        peer = tx.peer(source)
        if complete and (peer is None or peer.unsure_below is None):
            continue
        peer = peer or PeerRecord(source, "", 0)
        tx.put_peer(replace(peer, unsure_below=None if complete else counter))
