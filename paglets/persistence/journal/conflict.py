"""What a rule raises when its precondition no longer holds, and the comparisons that find out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paglets.core.errors import LifecycleError
from paglets.persistence.records import Phase

if TYPE_CHECKING:
    from paglets.core.incarnation import Incarnation, TransferId
    from paglets.persistence.records import Outgoing, PagletRecord
    from paglets.persistence.transaction import JournalTransaction


class JournalConflict(LifecycleError):  # noqa: N818 - an outcome that callers go by, as StopIteration is
    """The step was not taken, and nothing was written: the record is no longer what the step was meant for.

    ``record`` is what stands in the journal instead (None: nothing), so that the caller can go by it:
    follow a forward, tell of a newer incarnation. It is the outcome of a race rather than a fault; where
    nobody goes by it, it reaches a caller as the `LifecycleError` that it is.
    """

    def __init__(self, agent_id: str, reason: str, record: PagletRecord | None) -> None:
        super().__init__(agent_id, reason, record)
        self.agent_id = agent_id
        self.reason = reason
        self.record = record

    def __str__(self) -> str:
        if self.record is None:
            return f"paglet {self.agent_id}: {self.reason}; this host has no record of it"
        now = f"it is {self.record.phase} in life {self.record.incarnation}"
        return f"paglet {self.agent_id}: {self.reason}; {now}"


def expect(
    tx: JournalTransaction, agent_id: str, incarnation: Incarnation, *phases: Phase, step: str
) -> PagletRecord:
    """The record of that very incarnation in one of ``phases``; `JournalConflict` otherwise."""
    record = tx.paglet(agent_id)
    if record is None or record.incarnation != incarnation or record.phase not in phases:
        raise JournalConflict(agent_id, f"cannot {step} life {incarnation}", record)
    return record


def expect_outgoing(
    tx: JournalTransaction, agent_id: str, transfer_id: TransferId, *, step: str
) -> tuple[PagletRecord, Outgoing]:
    """The PREPARED record that waits for this very transfer; `JournalConflict` otherwise."""
    record = tx.paglet(agent_id)
    if record is None or record.phase is not Phase.PREPARED or record.outgoing is None:
        raise JournalConflict(agent_id, f"cannot {step} transfer {transfer_id}", record)
    if record.outgoing.transfer_id != transfer_id:
        raise JournalConflict(agent_id, f"cannot {step} {transfer_id}, another one is under way", record)
    return record, record.outgoing


def expect_queued(
    tx: JournalTransaction, agent_id: str, incarnation: Incarnation, key: str, *, step: str
) -> PagletRecord:
    """The INACTIVE record that waits under that very key; `JournalConflict` otherwise."""
    record = expect(tx, agent_id, incarnation, Phase.INACTIVE, step=step)
    if record.queued is None or record.queued.key != key:
        raise JournalConflict(agent_id, f"cannot {step} it, that dispatch does not wait any more", record)
    return record
