"""What the steps that put a paglet back to work have in common: a new life, one epoch on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec.structs import replace

from paglets.persistence.records import HookKind, PendingHook, Phase

if TYPE_CHECKING:
    from collections.abc import Container

    from paglets.persistence.records import PagletRecord, QueuedRecord
    from paglets.persistence.transaction import JournalTransaction


class Started(NamedTuple):
    """A record that a child is now to be started for, and the messages that wait for it, oldest first.

    The messages stay in the queue until each is taken off with `queues.take_message`, so that none is lost
    when the new child dies before it handled them.
    """

    record: PagletRecord
    messages: tuple[QueuedRecord, ...]
    begins: PendingHook | None = None
    """What this life begins with, set also when the class has no such hook and nothing is pending; None: with
    nothing, it goes on."""


def restart(
    tx: JournalTransaction,
    record: PagletRecord,
    event: dict[str, Any],
    at: float,
    *,
    hooks: Container[HookKind] | None = None,
) -> Started:
    """Write ``record`` (whose precondition the caller has checked) as ACTIVE in its next epoch.

    The epoch grows so that whatever the earlier child still does - a checkpoint, a move - finds itself
    compared with a life that is no longer its own. ``hooks``: see ``PendingHook.among``.
    """
    begins = record.pending or PendingHook(HookKind.ACTIVATION, event)
    record = replace(
        record,
        phase=Phase.ACTIVE,
        incarnation=record.incarnation.next(),
        pending=begins.among(hooks),
        outgoing=None,
        policy={},
        request={},
        resume=False,
        queued=None,
        failed="",
        changed_at=at,
    )
    tx.put_paglet(record)
    return Started(record, tuple(tx.queued(record.agent_id)), begins)
