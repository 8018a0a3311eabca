"""The source's durable steps of one transfer: from PREPARED to settled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec.structs import replace

from paglets.persistence.journal.conflict import JournalConflict, expect, expect_outgoing, expect_queued
from paglets.persistence.journal.queues import take_message
from paglets.persistence.journal.starting import Started, restart
from paglets.persistence.records import Forward, MoveKind, Phase

if TYPE_CHECKING:
    from paglets.core.incarnation import Incarnation, TransferId
    from paglets.persistence.records import (
        BlobRef,
        FileRecord,
        LastStop,
        Outgoing,
        PagletRecord,
        QueuedRecord,
    )
    from paglets.persistence.transaction import JournalTransaction


def prepare(
    tx: JournalTransaction,
    agent_id: str,
    incarnation: Incarnation,
    outgoing: Outgoing,
    *,
    state: BlobRef | None,
    at: float,
    files: tuple[FileRecord, ...] | None = None,
    queue_key: str | None = None,
) -> PagletRecord:
    """Put a paglet on its way: ACTIVE or INACTIVE (``outgoing.was``) -> PREPARED.

    ``state`` (None: the record's own, for a parked one) replaces the checkpoint as what a restart comes back
    to. From here on only the verdict on ``outgoing.transfer_id`` decides where the paglet lives; `abort` is
    for the process that knows that no trailer has left. ``files``: as they were sent ahead; None: as recorded.
    ``queue_key``: only if it still waits in the outbox under that key. It goes back to waiting when it does not move.
    """
    record = expect(tx, agent_id, incarnation, outgoing.was, step="move")
    if queue_key is not None:
        record = expect_queued(tx, agent_id, incarnation, queue_key, step="move")
    if outgoing.was not in {Phase.ACTIVE, Phase.INACTIVE} or outgoing.kind is MoveKind.CLONE:
        raise ValueError("prepare() is for a move of an active or inactive paglet")
    if outgoing.incarnation != incarnation.next():
        raise ValueError("at the target a paglet is one epoch on")
    if record.host_scoped:
        raise JournalConflict(agent_id, "a resident service is never moved", record)
    if record.failed:
        raise JournalConflict(agent_id, "it has failed; start it again before it is moved", record)
    record = replace(
        record,
        phase=Phase.PREPARED,
        outgoing=outgoing,
        state=state or record.state,
        files=record.files if files is None else files,
        changed_at=at,
    )
    tx.put_paglet(record)
    return record


def prepare_clone(tx: JournalTransaction, record: PagletRecord) -> PagletRecord:
    """Write a clone on its way to another host, under the clone's own fresh id, before it is streamed.

    ``record`` is PREPARED with its ``outgoing``; it lives nowhere yet, so its incarnation is epoch 0, and
    the clone's first life, epoch 1, is at the target. The original's record is not touched.
    """
    standing = tx.paglet(record.agent_id)
    if standing is not None:
        raise JournalConflict(record.agent_id, "cannot clone under a taken id", standing)
    outgoing = record.outgoing
    if record.phase is not Phase.PREPARED or outgoing is None or outgoing.kind is not MoveKind.CLONE:
        raise ValueError("a clone is journaled as PREPARED, with a transfer of kind clone")
    if outgoing.incarnation != record.incarnation.next():
        raise ValueError("at the target a clone is one epoch on")
    tx.put_paglet(record)
    return record


def abort(
    tx: JournalTransaction,
    agent_id: str,
    transfer_id: TransferId,
    *,
    process_alive: bool,
    event: dict[str, Any],
    at: float,
) -> Started | None:
    """Take a move back whose trailer never left this host; only the running host that began it can know that.

    What it goes back to is that of a fence, see `settle_fenced`.
    """
    record, outgoing = expect_outgoing(tx, agent_id, transfer_id, step="abort")
    return _go_back(tx, record, outgoing, process_alive=process_alive, event=event, at=at)


def settle_fenced(
    tx: JournalTransaction,
    agent_id: str,
    transfer_id: TransferId,
    incarnation: Incarnation,
    *,
    process_alive: bool,
    event: dict[str, Any],
    at: float,
) -> Started | None:
    """The target signed FENCED for that incarnation: it did not move, and with this transfer it never will.

    An active paglet whose process is alive goes on in it, in its epoch. One whose process is gone (the host
    restarted, the ticket's deadline passed) becomes ACTIVE one epoch on, from the PREPARED state, with its
    activation hook (``event``) pending. A parked one is parked again. A clone never existed: None.
    """
    record, outgoing = expect_outgoing(tx, agent_id, transfer_id, step="settle as fenced")
    _expect_same_life(record, outgoing, incarnation)
    return _go_back(tx, record, outgoing, process_alive=process_alive, event=event, at=at)


def _go_back(
    tx: JournalTransaction,
    record: PagletRecord,
    outgoing: Outgoing,
    *,
    process_alive: bool,
    event: dict[str, Any],
    at: float,
) -> Started | None:
    if outgoing.kind is MoveKind.CLONE:
        tx.delete_paglet(record.agent_id)
        return None
    if outgoing.was is Phase.ACTIVE and not process_alive:
        # The hook that asked for the move got as far as the snapshot, so it is not run again.
        return restart(tx, replace(record, pending=None), event, at)
    record = replace(record, phase=outgoing.was, outgoing=None, changed_at=at)
    tx.put_paglet(record)
    return Started(record, tuple(tx.queued(record.agent_id)))


class Departed(NamedTuple):
    """A paglet that has moved on, and the messages that waited for it, oldest first.

    ``record`` is None for a clone: only its original was ever here. The messages stay in the queue until each
    is taken off with `queues.hand_on`, once the next host has accepted it.
    """

    record: PagletRecord | None
    messages: tuple[QueuedRecord, ...]


def settle_arrived(
    tx: JournalTransaction,
    agent_id: str,
    transfer_id: TransferId,
    incarnation: Incarnation,
    *,
    at: float,
    last_stop: LastStop | None = None,
) -> Departed:
    """The target signed ARRIVED for that incarnation: PREPARED -> DEPARTED, with a forward to it.

    ``last_stop``: for its passport; None when somebody else has told of it.
    """
    record, outgoing = expect_outgoing(tx, agent_id, transfer_id, step="settle as arrived")
    _expect_same_life(record, outgoing, incarnation)
    if outgoing.kind is MoveKind.CLONE:
        tx.delete_paglet(agent_id)
        return Departed(None, ())
    forward = Forward(outgoing.target_id, outgoing.target_url, outgoing.target_name, outgoing.incarnation, at)
    record = replace(
        record,
        phase=Phase.DEPARTED,
        state=None,
        pending=None,
        outgoing=None,
        forward=forward,
        receipt=b"",
        last_stop=last_stop,
        policy={},
        request={},
        resume=False,
        queued=None,
        failed="",
        files=(),
        changed_at=at,
    )
    tx.put_paglet(record)
    if (
        outgoing.left_in
    ):  # here and not later: whoever is killed in between would send it on, to be handled again
        take_message(tx, agent_id, outgoing.left_in)
    return Departed(record, tuple(tx.queued(agent_id)))


def _expect_same_life(record: PagletRecord, outgoing: Outgoing, incarnation: Incarnation) -> None:
    if outgoing.incarnation != incarnation:
        reason = f"the verdict on {outgoing.transfer_id} is on life {incarnation}, not {outgoing.incarnation}"
        raise JournalConflict(record.agent_id, reason, record)
