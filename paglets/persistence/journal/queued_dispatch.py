"""The durable steps of a dispatch that waits for its target: into the outbox, and out of it without a move."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from paglets.persistence.journal.conflict import JournalConflict, expect, expect_queued
from paglets.persistence.journal.queues import take_message
from paglets.persistence.journal.starting import Started, restart
from paglets.persistence.records import Phase

if TYPE_CHECKING:
    from paglets.core.incarnation import Incarnation
    from paglets.persistence.records import BlobRef, FileRecord, PagletRecord, QueuedDispatch
    from paglets.persistence.transaction import JournalTransaction


def queue_dispatch(
    tx: JournalTransaction,
    agent_id: str,
    incarnation: Incarnation,
    queued: QueuedDispatch,
    *,
    at: float,
    state: BlobRef | None = None,
    files: tuple[FileRecord, ...] | None = None,
    left_in: str = "",
) -> PagletRecord:
    """Park a paglet until its target is back: ACTIVE or INACTIVE -> INACTIVE in the same incarnation, ``queued``.

    From ACTIVE with the state that its leaving hook has left; a hook that asked for the dispatch is not run
    again, because the state was taken inside it. One that waits already waits for the new target instead, and
    still is to be at work afterwards if it was before (``queued.was`` is written so). ``left_in``: the queued message
    in whose handler it asks for this, which is off the queue then, as the state holds what that has changed.
    """
    record = expect(tx, agent_id, incarnation, Phase.ACTIVE, Phase.INACTIVE, step="queue a dispatch of")
    if record.host_scoped:
        raise JournalConflict(agent_id, "a resident service is never moved", record)
    if record.failed:
        raise JournalConflict(agent_id, "it has failed; start it again before it is moved", record)
    if left_in:
        take_message(tx, agent_id, left_in)
    was = record.queued.was if record.queued is not None else record.phase
    record = replace(
        record,
        phase=Phase.INACTIVE,
        state=state or record.state,
        files=record.files if files is None else files,
        pending=None if record.phase is Phase.ACTIVE else record.pending,
        resume=False,
        queued=replace(queued, was=was),
        changed_at=at,
    )
    tx.put_paglet(record)
    return record


def give_back(
    tx: JournalTransaction,
    agent_id: str,
    incarnation: Incarnation,
    key: str,
    *,
    event: dict[str, Any],
    at: float,
) -> Started:
    """The dispatch of that key is given up: what was at work is ACTIVE one epoch on, what was parked just parked.

    ``event`` is what the activation hook of the first kind is told.
    """
    record = expect_queued(tx, agent_id, incarnation, key, step="give back")
    if record.queued is not None and record.queued.was is Phase.ACTIVE:
        return restart(tx, record, event, at)
    record = replace(record, queued=None, changed_at=at)
    tx.put_paglet(record)
    return Started(record, tuple(tx.queued(agent_id)))


def park_queued(
    tx: JournalTransaction,
    agent_id: str,
    incarnation: Incarnation,
    key: str,
    *,
    policy: dict[str, Any],
    request: dict[str, Any],
    at: float,
) -> PagletRecord:
    """Take it out of the outbox and leave it parked, as ``policy`` and ``request`` say."""
    record = expect_queued(tx, agent_id, incarnation, key, step="park")
    record = replace(record, queued=None, policy=policy, request=request, changed_at=at)
    tx.put_paglet(record)
    return record
