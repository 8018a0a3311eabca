"""When a host forgets where a paglet went, or that it was disposed of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paglets.persistence.journal.conflict import JournalConflict, expect
from paglets.persistence.records import Phase

if TYPE_CHECKING:
    from paglets.core.incarnation import Incarnation
    from paglets.persistence.records import PagletRecord
    from paglets.persistence.transaction import JournalTransaction

MAX_TICKET_TIMEOUT = 24 * 3600.0
"""The longest that a ticket may ask to wait, in seconds."""
RECORD_LIFETIME = 30 * 24 * 3600.0
"""How long forwards and tombstones are kept, in seconds: longer than any ticket."""


def expired(record: PagletRecord, now: float, lifetime: float = RECORD_LIFETIME) -> bool:
    """True for a forward or tombstone whose lifetime is over. Both times are wall clock.

    A clock that jumps forgets too early or too late: a message does not find its way then, but nothing is
    lost or doubled, because no decision about an arrival needs the record (the floor does that).
    """
    if record.phase not in {Phase.DEPARTED, Phase.TOMBSTONE}:
        return False
    since = record.forward.since if record.forward else record.changed_at
    return now - since > lifetime


def forget(
    tx: JournalTransaction,
    agent_id: str,
    incarnation: Incarnation,
    *,
    now: float,
    lifetime: float = RECORD_LIFETIME,
) -> None:
    """Drop an expired forward or tombstone; refused while messages still wait to be forwarded.

    And while a copy of the paglet is in quarantine here: it knows the lineages that an adoption of that copy has to
    be above.
    """
    record = expect(tx, agent_id, incarnation, Phase.DEPARTED, Phase.TOMBSTONE, step="forget")
    if not expired(record, now, lifetime):
        raise JournalConflict(agent_id, "its lifetime is not over", record)
    if any(True for _ in tx.queued(agent_id)):
        raise JournalConflict(agent_id, "messages still wait to be forwarded", record)
    if tx.copies(agent_id):
        raise JournalConflict(agent_id, "a copy of it is still in quarantine", record)
    tx.delete_paglet(agent_id)
