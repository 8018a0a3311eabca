"""The one thread that writes: waiting writes share a commit, and blob bytes go between them."""

from __future__ import annotations

import logging
import threading
from collections import deque
from enum import StrEnum
from typing import TYPE_CHECKING

import lmdb

from paglets.persistence.environment import COMMIT_KEY, TRANSACTION_KEY
from paglets.persistence.errors import StoreBusyError, StoreClosedError, StoreError, StoreFailedError
from paglets.persistence.jobs import Job, ThreadJob, settle_all
from paglets.persistence.lmdb_errors import translate
from paglets.persistence.lmdb_transaction import LmdbTransaction
from paglets.persistence.trouble import Trouble

if TYPE_CHECKING:
    from collections.abc import Callable

    from paglets.persistence.environment import OpenedStore

log = logging.getLogger(__name__)

_SWEPT_AT_ONCE = 64


class CommitStep(StrEnum):
    """Where a test may make a commit fail (by raising), or stop it."""

    BEFORE = "before"
    """Everything is written to the transaction; nothing is durable."""
    AFTER = "after"
    """It is durable; nobody has been told."""


class GroupCommitWriter:
    """Takes jobs from any thread, runs them in order, and settles them when they are durable."""

    def __init__(self, opened: OpenedStore, fault: Callable[[CommitStep], None] | None) -> None:
        self._opened = opened
        self._fault = fault
        self._wakeup = threading.Condition()
        self._small: deque[Job] = deque()
        self._background: deque[Job | int] = deque()
        """Bulk jobs, and uploads to sweep, in the order they were asked for."""
        self._bulk_waiting = 0
        self._closing = False
        self.failed: StoreError | None = opened.unwritable
        """Why nothing can be written any more, if so."""
        self.trouble = Trouble()
        self.commit_number = opened.commit_number
        """Of the last synced commit."""
        self._thread = threading.Thread(target=self._work, name="paglets-store-writer", daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Queue a small job.

        Raises ``StoreBusyError``, ``StoreClosedError`` or ``StoreFailedError`` at once if it cannot.
        """
        with self._wakeup:
            self._check(len(self._small))
            self._small.append(job)
            self._wakeup.notify()

    def submit_bulk(self, job: Job) -> None:
        """Queue a job that gets a transaction of its own, after small ones; raises as ``submit``."""
        with self._wakeup:
            self._check(self._bulk_waiting)
            self._bulk_waiting += 1
            self._background.append(job)
            self._wakeup.notify()

    def sweep(self, upload: int) -> None:
        """Have the chunks of an upload deleted, if no blob was made of it, behind what waits already."""
        if self.failed is not None:
            return  # the next start does it
        with self._wakeup:
            self._background.append(upload)
            self._wakeup.notify()

    def is_current_thread(self) -> bool:
        """Whether the caller is a rule."""
        return threading.current_thread() is self._thread

    def close(self, timeout: float) -> bool:
        """Take no more, write what waits, and end; whether that was done in time."""
        with self._wakeup:
            self._closing = True
            self._wakeup.notify()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _check(self, waiting: int) -> None:
        if self.failed is not None:
            raise self.failed
        if self._closing:
            raise StoreClosedError(f"the store in {self._opened.directory} is closed; the host is stopping")
        if waiting >= self._opened.settings.max_waiting:
            raise StoreBusyError(
                f"{waiting} writes wait for the disk already; nothing was written. Try again in a moment"
            )

    def _work(self) -> None:
        while True:
            with self._wakeup:
                while not (self._small or self._background or self._closing):
                    self._wakeup.wait()
                if not (self._small or self._bulk_waiting) and self._closing:
                    return  # sweeps can wait for the next start
                count = min(len(self._small), self._opened.settings.max_batch)
                batch = [self._small.popleft() for _ in range(count)]
                background = self._background.popleft() if self._background else None
                if not isinstance(background, int | None):
                    self._bulk_waiting -= 1
            # Small ones first; then one step of the others, so that neither waits for long.
            if batch:
                self._commit(batch)
            if isinstance(background, int):
                self._sweep_step(background)
            elif background is not None:
                self._commit([background])

    def _sweep_step(self, upload: int) -> None:
        job = ThreadJob(lambda txn: txn.blobs.sweep(upload, _SWEPT_AT_ONCE))
        self._commit([job])
        if job.error is not None:
            log.warning(
                "the chunks of a dropped blob could not be deleted; the next start tries again",
                extra={"upload": upload, "error": str(job.error)},
            )
        elif job.result():
            self.sweep(upload)

    def _commit(self, batch: list[Job]) -> None:
        """Run a batch in one transaction, make it durable, and tell everyone."""
        batch = [job for job in batch if job.start()]
        try:
            condemned = self._write(batch)
        except Exception as error:  # noqa: BLE001 - the edge of this thread: all of the batch hear of it
            self._fail(batch, error)
        else:
            for upload in condemned:
                self.sweep(upload)
        settle_all(batch)

    def _write(self, batch: list[Job]) -> list[int]:
        """One transaction, synced when this returns; the uploads it left to be swept."""
        opened = self._opened
        if self.failed is not None:
            raise self.failed
        txn = opened.environment.begin(write=True)
        try:
            ran = (
                [self._run_alone(txn, batch[0])]
                if len(batch) == 1
                else [self._run(txn, job) for job in batch]
            )
            written = [view for view in ran if view is not None and view.dirty]
            if not written:
                txn.abort()
                return []
            number = self.commit_number + 1
            opened.tables.numbers.put(txn, COMMIT_KEY, number)
            opened.tables.numbers.put(txn, TRANSACTION_KEY, txn.id())
            self._inject(CommitStep.BEFORE)
            txn.commit()
        except BaseException:
            txn.abort()
            raise
        self.commit_number = number
        self.trouble.over()
        self._inject(CommitStep.AFTER)
        return [upload for view in written for upload in view.condemned]

    def _run_alone(self, txn: lmdb.Transaction[bytes], job: Job) -> LmdbTransaction | None:
        """A batch of one needs no nested transaction: the whole one is dropped if it raises."""
        view = LmdbTransaction(txn, self._opened.tables, self._opened.settings)
        job.run(view)
        return view if self._succeeded(job) else None

    def _run(self, txn: lmdb.Transaction[bytes], job: Job) -> LmdbTransaction | None:
        nested = self._opened.environment.begin(parent=txn, write=True)
        try:
            view = self._run_alone(nested, job)
            if view is not None and view.dirty:
                nested.commit()
                return view
        finally:
            nested.abort()  # nothing, after a commit
        return None

    def _succeeded(self, job: Job) -> bool:
        if isinstance(job.error, lmdb.Error):
            job.error = translate(job.error, self._opened.directory)
            self.trouble.note(job.error)
        return job.error is None

    def _inject(self, step: CommitStep) -> None:
        if self._fault is not None:
            self._fault(step)

    def _fail(self, batch: list[Job], error: Exception) -> None:
        """Give everyone of the batch an error, and find out whether the store can still be written."""
        directory = self._opened.directory
        log.error("a commit failed", extra={"store": str(directory), "error": str(error)})
        if self.failed is None:
            try:
                self._opened.environment.begin(write=True).abort()
            except lmdb.Error as panic:
                # The last page of a commit could not be written: LMDB cannot tell what the disk holds now.
                self.failed = StoreFailedError(
                    f"a write to the store in {directory} failed half-way ({error}, {panic}); "
                    "check the disk, and start the host again"
                )
        self.trouble.note(translate(self.failed or error, directory))
        for job in batch:
            if job.error is None:
                job.error = translate(self.failed or error, directory)
