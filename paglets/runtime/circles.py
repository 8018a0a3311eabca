"""Finds out when a paglet's handler would wait for itself, through whatever others.

A handler that waits for a reply keeps its paglet from handling anything else. So a message says whose handlers
wait for its reply, each for the next: one that is for a paglet among them would never be answered. That is seen
on whatever hosts they are. Two that send to each other at the same time are seen on one host only; elsewhere
such a circle ends by its timeouts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from paglets.core.errors import LifecycleError
from paglets.core.messages import SYNCHRONOUS
from paglets.runtime.child_specs import CallThread

if TYPE_CHECKING:
    from collections.abc import Sequence

    from paglets.remote.api import MessageParams
    from paglets.runtime.caller import Caller
    from paglets.runtime.residents import Resident, Residents

_LONGEST = 64
"""Of a longer row the beginning is forgotten; a circle longer than this ends by its timeouts."""


class Circles:
    """Who waits for whom among the handlers of one host's paglets."""

    def __init__(self, residents: Residents) -> None:
        self._residents = residents
        self._waits: dict[str, str] = {}  # a handler waits for one reply at a time

    def stamped(self, params: MessageParams, caller: Caller) -> MessageParams:
        """A message of a paglet with what only its host can say: who sends it, and who waits for the reply."""
        waiting = self.handlers_waiting(caller) if params.message_type == SYNCHRONOUS else []
        return msgspec.structs.replace(params, sender=caller.agent_id, waiting=waiting)

    def handlers_waiting(self, caller: Caller) -> list[str]:
        """Whose handlers wait until what the caller asks for is done; the caller's own comes last."""
        if caller.child is None or caller.call is None or caller.call.thread is not CallThread.HANDLER:
            return []
        resident = self._residents.get(caller.child.agent_id)
        before = _behind(resident) if resident is not None and resident.child is caller.child else ()
        return [*before, caller.child.agent_id][-_LONGEST:]

    def wait(self, params: MessageParams) -> bool:
        """A stamped message is sent: whether ``answered`` has to be told when it is answered.

        ``LifecycleError`` when that would never be.
        """
        if not params.waiting or params.timeout is not None:
            return False
        sender, target = params.waiting[-1], params.agent_id
        row = [sender, target]
        while (following := self._waits.get(row[-1])) is not None and following not in row[1:]:
            row.append(following)
            if following == sender:
                raise _circle(params, row)
        self._waits[sender] = target
        return True

    def answered(self, params: MessageParams) -> None:
        """A message for which ``wait`` has said so is answered, or will not be."""
        sender = params.waiting[-1]
        if self._waits.get(sender) == params.agent_id:
            del self._waits[sender]


def check_circle(params: MessageParams) -> None:
    """``LifecycleError`` for a message whose sender, directly or through others, would wait for itself."""
    if params.agent_id in params.waiting:
        start = params.waiting.index(params.agent_id)
        raise _circle(params, [*params.waiting[start:], params.agent_id])


def _behind(resident: Resident) -> Sequence[str]:
    """Who waits for what the paglet's handler is at."""
    letter = resident.mailbox.in_progress
    if letter is None:
        return () if resident.settled.done() else resident.waiting
    if letter.reply is None or letter.reply.done() or letter.params.message_type != SYNCHRONOUS:
        return ()
    return letter.params.waiting


def _circle(params: MessageParams, row: Sequence[str]) -> LifecycleError:
    return LifecycleError(
        f"{params.kind!r} would never be answered: a paglet handles one message at a time, and each of "
        f"{' -> '.join(row)} waits for the next; send it one way, or do not wait for the reply in the handler"
    )
