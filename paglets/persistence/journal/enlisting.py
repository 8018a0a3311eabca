"""The first durable step of a resident service that starts when it is first asked.

A room of its own: a resident service never moves, so no transfer has anything to do with this step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from paglets.persistence.journal.conflict import JournalConflict
from paglets.persistence.records import Phase

if TYPE_CHECKING:
    from paglets.persistence.records import PagletRecord
    from paglets.persistence.transaction import JournalTransaction


def enlist(tx: JournalTransaction, record: PagletRecord) -> PagletRecord:
    """Write its first record: INACTIVE, host-scoped, its creation hook pending.

    As for `lifecycle.create`, the id must be free, and the incarnation is that of the record returned.
    """
    standing = tx.paglet(record.agent_id)
    if standing is not None:
        if standing.phase is not Phase.TOMBSTONE:
            raise JournalConflict(record.agent_id, "cannot keep it, the id is taken", standing)
        record = replace(record, incarnation=standing.incarnation.next())
    if record.phase is not Phase.INACTIVE or record.pending is None or not record.host_scoped:
        raise ValueError("a resident service is enlisted INACTIVE, with a hook to run")
    tx.put_paglet(record)
    return record
