"""A loop that looks for an answer for a moment before it sleeps: being woken costs more than most answers take.

A message from one paglet to another of the same host, and its reply, pass through the host. Processors that have gone
to sleep in between take longer to wake each other than any of them takes for its work.
"""

from __future__ import annotations

import os
import selectors
import time
from typing import TYPE_CHECKING

from paglets.core.cork import CorkedLoop

if TYPE_CHECKING:
    import asyncio

WINDOW = 60e-6
"""Seconds that a loop looks on before it sleeps: about what sleeping and being woken would take."""


class Relay:
    """Notices when what one child sent goes to another at once, who is likely to answer within microseconds."""

    def __init__(self) -> None:
        self.source: object = None
        """The link to the child of which something is being taken in; None when there is none."""
        self.answer_due = False
        """Whether that was passed on since the loop slept."""

    def sent(self, link: object) -> None:
        """Something was sent to a child."""
        if self.source is not None and self.source is not link:
            self.answer_due = True


class BusyPollingLoop(CorkedLoop):
    """The library's loop; when an answer is due to its ``relay``, it looks for ``WINDOW`` seconds before it sleeps.

    It never does so on its own, so a loop with nothing to do takes nothing. Nor does it where there is one processor
    only: whoever is to answer could not run meanwhile.
    """

    def __init__(self) -> None:
        self.relay = Relay()
        super().__init__(_EagerSelector(self.relay) if processors() > 1 else None)


def relay_of(loop: asyncio.AbstractEventLoop) -> Relay:
    """The relay of a loop's children; on a loop of another kind, one that nobody looks at."""
    return loop.relay if isinstance(loop, BusyPollingLoop) else Relay()


def processors() -> int:
    """How many of them this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _EagerSelector(selectors.DefaultSelector):
    def __init__(self, relay: Relay) -> None:
        super().__init__()
        self._relay = relay

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        look = super().select
        if not self._relay.answer_due or (timeout is not None and timeout <= WINDOW):
            return look(timeout)
        self._relay.answer_due = False
        until = time.perf_counter() + WINDOW
        while not (events := look(0)):
            if time.perf_counter() > until:
                return look(timeout)
        return events
