"""A process for a paglet whose state is still on its way: it imports the class meanwhile."""

from __future__ import annotations

import asyncio
import logging
import signal
from typing import TYPE_CHECKING, Self

from paglets.core.errors import PagletCrashedError, PagletError
from paglets.runtime.children.outcomes import ChildEnd

if TYPE_CHECKING:
    from paglets.runtime.child_specs import Admitted
    from paglets.runtime.children.child import Child
    from paglets.runtime.lives import Life
    from paglets.runtime.memory_files import Payload
    from paglets.runtime.supervisor import Supervisor

logger = logging.getLogger(__name__)


class EarlyStart:
    """Has a process begun with as soon as it is known which paglet comes; ends it, if that does not come.

    It waits for its state without a turn to start (``Supervisor``), so that a slow sender keeps nobody else from
    starting, but has one of few places: where there is none, the process begins when the state is there. So does
    one in place of a process that could not be had, or has ended meanwhile.

    ``size``: bytes of the state. ``on_behalf``: see ``Supervisor.start``.
    """

    def __init__(self, supervisor: Supervisor, life: Life, *, size: int, on_behalf: str = "") -> None:
        self._supervisor = supervisor
        self._life = life
        self._size = size
        self._on_behalf = on_behalf
        self._launching: asyncio.Task[Child] | None = None
        self._has_place = False

    async def __aenter__(self) -> Self:
        if not self._supervisor.early.fits(self._on_behalf):
            return self
        self._supervisor.early.add(self._on_behalf)
        self._has_place = True
        self._launching = asyncio.create_task(
            self._supervisor.launch(self._life, size=self._size, on_behalf=self._on_behalf)
        )
        return self

    async def __aexit__(self, *exc: object) -> None:
        launching, self._launching = self._launching, None
        try:
            if launching is not None:
                launching.cancel()
                await asyncio.wait([launching])
                if not launching.cancelled() and launching.exception() is None:
                    self._supervisor.end(launching.result(), grace=0)
        finally:
            if self._has_place:
                self._supervisor.early.give_back(self._on_behalf)

    async def finish(self, state: Payload) -> tuple[Child, Admitted]:
        """The child with that state loaded, the caller's from now on; raises as ``Supervisor.start``."""
        child = await self._launched()
        if child is not None:
            try:
                return child, await self._supervisor.admit(
                    child, self._life, state=state, on_behalf=self._on_behalf
                )
            except PagletCrashedError:
                if state.data is None or not _was_taken_away(child):
                    raise  # a large one may be what the memory did not suffice for
        return await self._supervisor.start(self._life, state=state, on_behalf=self._on_behalf)

    async def _launched(self) -> Child | None:
        """The child that was begun with, if it is there."""
        if self._launching is None:
            return None
        try:
            child = await asyncio.shield(self._launching)
        except PagletError as error:
            logger.debug("no early process for a paglet", extra={"error": str(error)})
            child = None
        self._launching = None
        return child if child is not None and child.outcome is None else None


def _was_taken_away(child: Child) -> bool:
    """Whether it ended through no doing of its paglet's, which it may have done while it waited."""
    outcome = child.outcome
    if outcome is None:
        return False
    killed = outcome.end is ChildEnd.CRASHED and outcome.status.signal == signal.SIGKILL
    return killed or outcome.end is ChildEnd.LAUNCHER_LOST
