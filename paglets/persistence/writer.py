"""The one thread that writes: waiting writes share a commit, and blob bytes go between them."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from concurrent.futures import Future
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import lmdb

from paglets.persistence.environment import COMMIT_KEY, translate
from paglets.persistence.errors import (
    StoreBusyError,
    StoreClosedError,
    StoreError,
    StoreFailedError,
)
from paglets.persistence.lmdb_transaction import LmdbTransaction

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from paglets.persistence.settings import StoreSettings
    from paglets.persistence.tables import Tables

log = logging.getLogger(__name__)

ResultT = TypeVar("ResultT")

_SWEPT_AT_ONCE = 64


class CommitStep(StrEnum):
    """Where a test may make a commit fail, or stop it."""

    BEFORE = "before"
    """Everything is written to the transaction; nothing is durable."""
    AFTER = "after"
    """It is durable; nobody has been told."""


class Job(Generic[ResultT]):
    """One rule that waits to be run, and whoever waits for it: a thread, or a task on a loop."""

    def __init__(
        self,
        rule: Callable[[LmdbTransaction], ResultT],
        waiter: Future[ResultT] | asyncio.Future[ResultT],
    ) -> None:
        self.rule = rule
        self.waiter = waiter
        self.result: ResultT | None = None
        self.error: BaseException | None = None

    def start(self) -> bool:
        """False when nobody waits any more; then the rule is not run."""
        if isinstance(self.waiter, asyncio.Future):
            return not self.waiter.cancelled()
        return self.waiter.set_running_or_notify_cancel()

    def run(self, txn: LmdbTransaction) -> bool:
        """Run the rule, and keep its result or error; whether it succeeded."""
        try:
            self.result = self.rule(txn)
        except Exception as error:  # noqa: BLE001 - it is the caller's, and reaches the caller
            self.error = error
        return self.error is None

    def settle(self) -> None:
        """Tell the waiter; on its loop if it has one."""
        waiter: Any = self.waiter
        if isinstance(waiter, asyncio.Future) and waiter.done():
            return
        if self.error is not None:
            waiter.set_exception(self.error)
        else:
            waiter.set_result(self.result)


class GroupCommitWriter:
    """Takes rules from any thread, runs them in order, and settles them when they are durable."""

    def __init__(
        self,
        environment: lmdb.Environment,
        tables: Tables,
        settings: StoreSettings,
        directory: Path,
        commit_number: int,
        fault: Callable[[CommitStep], None] | None,
    ) -> None:
        self._environment = environment
        self._tables = tables
        self._settings = settings
        self._directory = directory
        self._fault = fault
        self._wakeup = threading.Condition()
        self._small: deque[Job[Any]] = deque()
        self._bulk: deque[Job[Any]] = deque()
        self._sweeps: deque[int] = deque()
        self._closing = False
        self._failed: StoreError | None = None
        self.commit_number = commit_number
        """Of the last synced commit."""
        self._thread = threading.Thread(target=self._work, name="paglets-store-writer", daemon=True)
        self._thread.start()

    @property
    def failed(self) -> StoreError | None:
        """Why nothing can be written any more, if so."""
        return self._failed

    def submit(self, job: Job[Any], *, bulk: bool = False) -> None:
        """Queue a rule; ``StoreBusyError``, ``StoreClosedError`` or ``StoreFailedError`` at once if it cannot be."""
        with self._wakeup:
            if self._failed is not None:
                raise self._failed
            if self._closing:
                raise StoreClosedError(f"the store in {self._directory} is closed; the host is stopping")
            queue = self._bulk if bulk else self._small
            if len(queue) >= self._settings.max_waiting:
                raise StoreBusyError(
                    f"{len(queue)} writes wait for the disk already; nothing was written. Try again in a moment"
                )
            queue.append(job)
            self._wakeup.notify()

    def sweep(self, upload: int) -> None:
        """Have the chunks of an upload deleted, if no manifest names them, when there is time."""
        with self._wakeup:
            self._sweeps.append(upload)
            self._wakeup.notify()

    def close(self, timeout: float) -> bool:
        """Take no more, write what waits, and end; whether that was done in time."""
        with self._wakeup:
            self._closing = True
            self._wakeup.notify()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _work(self) -> None:
        while True:
            with self._wakeup:
                while not (self._small or self._bulk or self._sweeps or self._closing):
                    self._wakeup.wait()
                if self._closing and not (self._small or self._bulk):
                    return
                batch = [
                    self._small.popleft() for _ in range(min(len(self._small), self._settings.max_batch))
                ]
                bulk = self._bulk.popleft() if self._bulk else None
                upload = self._sweeps.popleft() if self._sweeps and bulk is None else None
            # Small ones first; then one step of the others, so that neither waits for long.
            if batch:
                self._commit(batch)
            if bulk is not None:
                self._commit([bulk])
            if upload is not None:
                self._sweep_step(upload)

    def _sweep_step(self, upload: int) -> None:
        job: Job[bool] = Job(lambda txn: txn.blobs.sweep(upload, _SWEPT_AT_ONCE), Future())
        self._commit([job])
        if job.error is not None:
            log.warning(
                "could not delete the chunks of a dropped blob; the next start tries again",
                extra={"upload": upload, "error": str(job.error)},
            )
        elif job.result:
            self._sweeps.append(upload)

    def _commit(self, batch: list[Job[Any]]) -> None:
        """Run a batch in one transaction, make it durable, and tell everyone."""
        batch = [job for job in batch if job.start()]
        condemned: list[int] = []
        try:
            if self._failed is not None:
                raise self._failed
            dirty = self._write(batch, condemned)
        except Exception as error:  # noqa: BLE001 - the edge: whatever it is, all of the batch hear of it
            failure = self._failure(error)
            for job in batch:
                job.error = job.error or failure
        else:
            if dirty:
                for upload in condemned:
                    self.sweep(upload)
        _settle(batch)

    def _write(self, batch: list[Job[Any]], condemned: list[int]) -> bool:
        """Whether anything was written."""
        with self._environment.begin(write=True) as txn:
            if len(batch) == 1:
                dirty = self._run_alone(txn, batch[0], condemned)
            else:
                dirty = [self._run_nested(txn, job, condemned) for job in batch]
                dirty = any(dirty)
            if not dirty:
                txn.abort()
                return False
            number = self.commit_number + 1
            self._tables.numbers.put(txn, COMMIT_KEY, number)
            if self._fault is not None:
                self._fault(CommitStep.BEFORE)
            txn.commit()
        self.commit_number = number
        if self._fault is not None:
            self._fault(CommitStep.AFTER)
        return True

    def _run_alone(self, txn: lmdb.Transaction[bytes], job: Job[Any], condemned: list[int]) -> bool:
        view = LmdbTransaction(txn, self._tables, self._settings)
        if not job.run(view):
            return False
        condemned += view.condemned
        return view.dirty

    def _run_nested(self, txn: lmdb.Transaction[bytes], job: Job[Any], condemned: list[int]) -> bool:
        with self._environment.begin(parent=txn, write=True) as nested:
            view = LmdbTransaction(nested, self._tables, self._settings)
            if not job.run(view) or not view.dirty:
                nested.abort()
                return False
        condemned += view.condemned
        return True

    def _failure(self, error: Exception) -> StoreError:
        failure = translate(error, self._directory)
        log.error("a commit failed", extra={"store": str(self._directory), "error": str(error)})
        if isinstance(failure, StoreFailedError):
            self._failed = failure
        return failure


def _settle(batch: list[Job[Any]]) -> None:
    """Tell the waiters: each loop once for all of its own."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Job[Any]]] = {}
    for job in batch:
        if isinstance(job.waiter, asyncio.Future):
            by_loop.setdefault(job.waiter.get_loop(), []).append(job)
        else:
            job.settle()
    for loop, jobs in by_loop.items():
        try:
            loop.call_soon_threadsafe(_settle_here, jobs)
        except RuntimeError:
            log.debug("a loop was closed before its writes were settled", extra={"writes": len(jobs)})


def _settle_here(jobs: list[Job[Any]]) -> None:
    for job in jobs:
        job.settle()
