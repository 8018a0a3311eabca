"""Which paglets can be moved, and what of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paglets.core.errors import LifecycleError
from paglets.persistence.records import PagletRecord, Phase, QueuedDispatch
from paglets.runtime.child_specs import CallThread

if TYPE_CHECKING:
    from paglets.core.incarnation import Incarnation
    from paglets.runtime.caller import Caller
    from paglets.runtime.residents import Resident


def check_movable(record: PagletRecord, expected: Incarnation | None) -> None:
    """``LifecycleError`` when it cannot be moved now, or is not in the life that is ``expected``."""
    if expected is not None and record.incarnation != expected:
        raise LifecycleError(
            f"paglet {record.agent_id} is in life {record.incarnation} now, not in {expected}; look again"
        )
    check_not_resident(record)
    if record.phase is Phase.PREPARED:
        raise LifecycleError(
            f"paglet {record.agent_id} is in doubt: an earlier move of it is not settled yet"
        )
    if record.failed:
        raise LifecycleError(
            f"paglet {record.agent_id} has failed ({record.failed}); activate it before it is moved"
        )


def check_stays(record: PagletRecord) -> None:
    """``LifecycleError`` when it cannot be said of one that is here that it is brought here."""
    if record.phase is Phase.PREPARED:
        raise LifecycleError(
            f"paglet {record.agent_id} is on its way or in doubt; it cannot be retracted now"
        )
    if record.queued is not None:
        raise LifecycleError(waits_here(record.agent_id, record.queued))


def waits_here(agent_id: str, queued: QueuedDispatch) -> str:
    """Why one of the outbox is not "moved" to where it waits."""
    where = queued.target_name or queued.target_url
    return f"paglet {agent_id} waits here for {where}; activate it to have it at work here instead"


def check_not_resident(record: PagletRecord) -> None:
    """``LifecycleError`` for a resident service."""
    if record.host_scoped:
        raise LifecycleError(
            f"{record.agent_id} is a resident service: it is neither moved nor cloned, each host has its own"
        )


def message_it_leaves_in(resident: Resident, caller: Caller) -> str:
    """The id of the message, durably queued, whose handler asks for the move; empty: there is none."""
    letter, call = resident.mailbox.in_progress, caller.call
    if letter is None or not letter.durable or call is None or caller.own_call(resident) is None:
        return ""
    return letter.params.message_id if call.thread is CallThread.HANDLER else ""
