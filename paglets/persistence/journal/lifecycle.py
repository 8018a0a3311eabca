"""The durable steps of a paglet's life on one host. Times (``at``) are wall clock, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec.structs import replace

from paglets.persistence.journal.conflict import JournalConflict, expect
from paglets.persistence.journal.queues import take_message
from paglets.persistence.journal.starting import Started, restart
from paglets.persistence.records import HookKind, PendingHook, Phase

if TYPE_CHECKING:
    from collections.abc import Container

    from paglets.core.incarnation import Incarnation
    from paglets.persistence.records import BlobRef, FileRecord, PagletRecord, QueuedRecord
    from paglets.persistence.transaction import JournalTransaction


def create(tx: JournalTransaction, record: PagletRecord) -> PagletRecord:
    """Write the first record of a paglet: ACTIVE, with its creation (or clone) hook pending, if its class has one.

    The id must be free. After a paglet of that id was disposed of here, the new one's life begins above the
    tombstone's; so take the incarnation from the record that is returned.
    """
    standing = tx.paglet(record.agent_id)
    if standing is not None:
        if standing.phase is not Phase.TOMBSTONE:
            raise JournalConflict(record.agent_id, "cannot create it, the id is taken", standing)
        record = replace(record, incarnation=standing.incarnation.next())
    if record.phase is not Phase.ACTIVE:
        raise ValueError("a paglet is created ACTIVE")
    tx.put_paglet(record)
    return record


def checkpoint(
    tx: JournalTransaction,
    agent_id: str,
    incarnation: Incarnation,
    state: BlobRef,
    *,
    at: float,
    clear_pending: bool = False,
) -> PagletRecord:
    """Make ``state`` what a restart comes back to. Only while ACTIVE in its own incarnation."""
    record = expect(tx, agent_id, incarnation, Phase.ACTIVE, step="checkpoint")
    pending = None if clear_pending else record.pending
    record = replace(record, state=state, pending=pending, changed_at=at)
    tx.put_paglet(record)
    return record


def complete_hook(
    tx: JournalTransaction, agent_id: str, incarnation: Incarnation, *, state: BlobRef | None, at: float
) -> PagletRecord:
    """The pending hook has returned once: it will not run again. ``state`` None keeps the last checkpoint."""
    record = expect(tx, agent_id, incarnation, Phase.ACTIVE, step="complete the hook of")
    record = replace(record, state=state or record.state, pending=None, failed="", changed_at=at)
    tx.put_paglet(record)
    return record


def mark_failed(
    tx: JournalTransaction, agent_id: str, incarnation: Incarnation, reason: str, *, at: float
) -> PagletRecord:
    """It stays ACTIVE but is not running, for ``reason``; `recover` starts it again, a pending hook first."""
    record = expect(tx, agent_id, incarnation, Phase.ACTIVE, step="mark as failed")
    record = replace(record, failed=reason or "failed", changed_at=at)
    tx.put_paglet(record)
    return record


def deactivate(
    tx: JournalTransaction,
    agent_id: str,
    incarnation: Incarnation,
    *,
    state: BlobRef | None,
    policy: dict[str, Any],
    request: dict[str, Any],
    at: float,
    resume: bool = False,
    left_in: str = "",
) -> PagletRecord:
    """Park it: ACTIVE -> INACTIVE in the same incarnation. ``state`` None keeps the last checkpoint.

    ``resume``: parked only because its host shuts down; a pending hook is kept, to run when it comes back.
    ``left_in``: the queued message in whose handler it parks itself, which is off the queue then: the state holds what
    that has changed, and the next life may begin before the handler has returned.
    """
    record = expect(tx, agent_id, incarnation, Phase.ACTIVE, step="deactivate")
    if left_in:
        take_message(tx, agent_id, left_in)
    record = replace(
        record,
        phase=Phase.INACTIVE,
        state=state or record.state,
        pending=record.pending if resume else None,
        policy=policy,
        request=request,
        resume=resume,
        failed="",
        changed_at=at,
    )
    tx.put_paglet(record)
    return record


def activate(
    tx: JournalTransaction,
    agent_id: str,
    incarnation: Incarnation,
    *,
    event: dict[str, Any],
    at: float,
    hooks: Container[HookKind] | None = None,
) -> Started:
    """Wake it: INACTIVE -> ACTIVE, one epoch on, with its activation hook pending.

    A hook that was still pending when it was parked (an arrival as an inactive record) runs instead. ``hooks``: those
    that its class has, see ``restart``.
    """
    record = expect(tx, agent_id, incarnation, Phase.INACTIVE, step="activate")
    return restart(tx, record, event, at, hooks=hooks)


def recover(
    tx: JournalTransaction,
    agent_id: str,
    incarnation: Incarnation,
    *,
    event: dict[str, Any],
    at: float,
    hooks: Container[HookKind] | None = None,
) -> Started:
    """Start it again after its child or its host died: ACTIVE -> ACTIVE, one epoch on, from the checkpoint.

    A hook that had not returned yet runs again; otherwise the activation hook with ``event``. ``hooks``: as for
    ``activate``.
    """
    record = expect(tx, agent_id, incarnation, Phase.ACTIVE, step="recover")
    return restart(tx, record, event, at, hooks=hooks)


def move_here(
    tx: JournalTransaction,
    agent_id: str,
    incarnation: Incarnation,
    *,
    state: BlobRef,
    event: dict[str, Any],
    at: float,
    files: tuple[FileRecord, ...] | None = None,
    left_in: str = "",
    hooks: Container[HookKind] | None = None,
) -> Started:
    """A move to the host it is on: one commit, ACTIVE -> ACTIVE one epoch on, arrival pending, no forward.

    ``left_in``: the queued message in whose handler it leaves, which is off the queue then. ``hooks``: those that its
    class has, see ``restart``.
    """
    record = expect(tx, agent_id, incarnation, Phase.ACTIVE, step="move")
    if record.host_scoped:
        raise JournalConflict(agent_id, "a resident service is never moved", record)
    if left_in:
        take_message(tx, agent_id, left_in)
    moved = replace(
        record,
        state=state,
        pending=PendingHook(HookKind.ARRIVAL, event),
        files=record.files if files is None else files,
    )
    return restart(tx, moved, {}, at, hooks=hooks)


class Disposed(NamedTuple):
    """The tombstone, and the messages that will now never be handled."""

    record: PagletRecord
    messages: tuple[QueuedRecord, ...]


def dispose(tx: JournalTransaction, agent_id: str, incarnation: Incarnation, *, at: float) -> Disposed:
    """End it for good: ACTIVE (well or failed) or INACTIVE -> TOMBSTONE.

    PREPARED is refused: until the target has spoken, nobody knows whether it is here to be disposed of.
    """
    standing = tx.paglet(agent_id)
    if standing is not None and standing.outgoing is not None:
        moving = f"transfer {standing.outgoing.transfer_id} of it is on its way or in doubt; dispose of it when that is"
        raise JournalConflict(agent_id, f"{moving} settled", standing)
    record = expect(tx, agent_id, incarnation, Phase.ACTIVE, Phase.INACTIVE, step="dispose of")
    record = replace(
        record,
        phase=Phase.TOMBSTONE,
        state=None,
        pending=None,
        receipt=b"",
        passport=None,
        policy={},
        request={},
        resume=False,
        queued=None,
        failed="",
        files=(),
        changed_at=at,
    )
    messages = tuple(tx.queued(agent_id))
    tx.put_paglet(record)
    tx.drop_queued(agent_id)
    return Disposed(record, messages)
