"""Tasks that somebody owns."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, TypeVar

from paglets.remote.wire.pending import Pending

if TYPE_CHECKING:
    from collections.abc import Coroutine

logger = logging.getLogger(__name__)

T = TypeVar("T")


class TaskSet:
    """Runs tasks until they end or ``close`` cancels and awaits them; one that fails is logged."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed = False

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run ``work``; after ``close``, drop it."""
        if self._closed:
            work.close()
            return
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def outcome_of(self, work: Coroutine[Any, Any, T]) -> Pending[T]:
        """Run ``work`` for somebody who waits for what comes of it, and may cancel it; after ``close`` nobody does."""
        outcome: Pending[T] = Pending()
        self.settle(outcome, work)
        return outcome

    def settle(self, outcome: Pending[T], work: Coroutine[Any, Any, T]) -> None:
        """As ``outcome_of``, for one that somebody has made."""
        if self._closed:
            work.close()
            outcome.cancel()
            return
        task = outcome.follow(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("a task of the wire failed", exc_info=error)

    def __len__(self) -> int:
        return len(self._tasks)

    async def close(self) -> None:
        """Cancel what runs and wait for it."""
        self._closed = True
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(tuple(self._tasks))
