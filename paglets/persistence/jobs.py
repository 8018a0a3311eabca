"""Rules that wait to be written, and whoever waits for them: a thread, or a task on a loop."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import Future
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from paglets.persistence.lmdb_transaction import LmdbTransaction

log = logging.getLogger(__name__)

ResultT = TypeVar("ResultT")


class Job(Protocol):
    """One rule and its waiter, as the writer sees them."""

    error: Exception | None
    """Why nothing of it remains, if so."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """Where ``settle`` has to be called; None: anywhere."""
        ...

    def start(self) -> bool:
        """False when nobody waits any more; then the rule is not run."""
        ...

    def run(self, txn: LmdbTransaction) -> None:
        """Run the rule, and keep its result or its error."""
        ...

    def settle(self) -> None:
        """Give result or error to the waiter."""
        ...


class _Rule(Generic[ResultT]):
    """Runs a rule and keeps what came of it."""

    def __init__(self, rule: Callable[[LmdbTransaction], ResultT]) -> None:
        self._rule = rule
        self._results: list[ResultT] = []
        self.error: Exception | None = None

    def run(self, txn: LmdbTransaction) -> None:
        try:
            result = self._rule(txn)
            txn.finish()
            self._results.append(result)
        except Exception as error:  # noqa: BLE001 - it is the caller's, and goes to the caller
            self.error = error

    def result(self) -> ResultT:
        if self.error is not None:
            raise self.error
        return self._results[0]


class ThreadJob(_Rule[ResultT]):
    """A rule that a thread waits for, or nobody."""

    def __init__(self, rule: Callable[[LmdbTransaction], ResultT]) -> None:
        super().__init__(rule)
        self.waiter: Future[ResultT] = Future()

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """None: a thread's future may be set anywhere."""
        return None

    def start(self) -> bool:
        """False when the thread gave up before the rule was run."""
        return self.waiter.set_running_or_notify_cancel()

    def settle(self) -> None:
        """Wake the thread."""
        if self.error is not None:
            self.waiter.set_exception(self.error)
        else:
            self.waiter.set_result(self.result())


class LoopJob(_Rule[ResultT]):
    """A rule that a task waits for, and what follows from it whether or not the task still does."""

    def __init__(
        self, rule: Callable[[LmdbTransaction], ResultT], then: Callable[[ResultT], None] | None = None
    ) -> None:
        super().__init__(rule)
        self._then = then
        self.waiter: asyncio.Future[ResultT] = asyncio.get_running_loop().create_future()

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The task's."""
        return self.waiter.get_loop()

    def start(self) -> bool:
        """False when the task was cancelled before the rule was run."""
        return not self.waiter.cancelled()

    def settle(self) -> None:
        """Do what follows, and wake the task, if it was not cancelled in the meantime."""
        if self.error is None and self._then is not None:
            try:
                self._then(self.result())
            except Exception:  # others of the batch wait to be settled behind it
                log.exception("what follows from a write has failed")
        if self.waiter.done():
            return
        if self.error is not None:
            self.waiter.set_exception(self.error)
        else:
            self.waiter.set_result(self.result())


def settle_all(jobs: Iterable[Job]) -> None:
    """Tell all waiters, from any thread: each loop is woken once for all of its own."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Job]] = {}
    for job in jobs:
        if job.loop is None:
            job.settle()
        else:
            by_loop.setdefault(job.loop, []).append(job)
    for loop, waiting in by_loop.items():
        try:
            loop.call_soon_threadsafe(_settle_here, waiting)
        except RuntimeError:
            # The loop was closed: whoever waited there is gone, and the write stands.
            log.debug("writes were settled after their loop was closed", extra={"writes": len(waiting)})


def _settle_here(jobs: list[Job]) -> None:
    for job in jobs:
        job.settle()
