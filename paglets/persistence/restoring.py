"""The durable steps of a host whose store was restored from a copy: park, give way, and count again.

Such a store tells what was true once. So nothing that it holds goes on by itself: what ran is parked, what is under
way is not asked about, until an operator has accepted the copy (decisions 11 and 12).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from paglets.core.deactivation import DeactivationPolicy, DeactivationRequest
from paglets.persistence.journal.conflict import expect
from paglets.persistence.journal.meeting import last_known
from paglets.persistence.records import Forward, PagletRecord, PeerRecord, Phase

if TYPE_CHECKING:
    from paglets.core.incarnation import Incarnation
    from paglets.persistence.transaction import JournalTransaction

SKIPPED = 2**32
"""Transfer and commit numbers that are left out: more than the lost life of a store can have used."""


def mark_restored(tx: JournalTransaction, own_id: str, store_id: str, commit: int) -> None:
    """Note in a store that was just unpacked that it is a copy; no host runs on it yet.

    Transfer ids that its lost life may have handed out are never handed out again: their targets have
    verdicts on them.
    """
    tx.put_peer(PeerRecord(own_id, store_id, commit))
    tx.put_counter(tx.counter() + SKIPPED)


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
    """INACTIVE or PREPARED -> DEPARTED: it was found in a later life at another host, where it went meanwhile."""
    record = expect(tx, agent_id, incarnation, Phase.INACTIVE, Phase.PREPARED, step="give up the old copy of")
    if forward.incarnation <= last_known(record):
        raise ValueError("only a later life takes the place of this one")
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


def accept(tx: JournalTransaction, own_id: str) -> None:
    """The store counts as the host's own again, whatever it has forgotten."""
    if tx.peer(own_id) is not None:
        tx.put_peer(PeerRecord(own_id, "", 0))
