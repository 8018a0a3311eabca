"""The durable store of one host: one directory, one LMDB environment, one writer, opened once."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import TYPE_CHECKING, BinaryIO, TypeVar

import lmdb

from paglets.persistence.blobs import BlobReader, BlobSource, BlobWriter, StagedBlob
from paglets.persistence.damage import Damage, DamageLog
from paglets.persistence.directory_lock import DirectoryLock
from paglets.persistence.environment import open_environment, prepare, translate
from paglets.persistence.errors import (
    BlobDamagedError,
    StoreBusyError,
    StoreClosedError,
    StoreError,
    StoreTimeoutError,
)
from paglets.persistence.read_transaction import ReadTransaction
from paglets.persistence.settings import StoreSettings
from paglets.persistence.writer import CommitStep, GroupCommitWriter, Job

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence
    from pathlib import Path

    from paglets.persistence.lmdb_transaction import LmdbTransaction
    from paglets.persistence.records import BlobRef

ResultT = TypeVar("ResultT")


class Store:
    """All that a host durably knows.

    Opens, and creates if need be, in the constructor. Raises ``StoreOpenError`` (in use, newer schema, not
    writable), ``StoreDamagedError``, ``StoreFullError``.

    ``commit`` and ``read`` are for tasks on a loop, ``commit_sync`` and ``read_sync`` for other threads.
    """

    def __init__(
        self,
        directory: Path,
        *,
        settings: StoreSettings = StoreSettings(),
        on_damage: Callable[[Damage], None] | None = None,
        fault: Callable[[CommitStep], None] | None = None,
    ) -> None:
        self.directory = directory
        self.settings = settings
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = DirectoryLock(directory / "store.lock")
        except OSError as error:
            raise translate(error, directory) from error
        try:
            self._environment = open_environment(directory, settings)
            self._damage = DamageLog()
            self._tables, self.store_id, commit = prepare(self._environment, directory, self._damage)
        except BaseException:
            self._lock.release()
            raise
        self._closed = False
        self._readers = ThreadPoolExecutor(settings.reader_threads, thread_name_prefix="paglets-store-reader")
        self._writer = GroupCommitWriter(self._environment, self._tables, settings, directory, commit, fault)
        self._uploads = itertools.count(self.read_sync(lambda txn: txn.next_upload()))
        self._open_uploads: set[int] = set()
        for upload in self.read_sync(lambda txn: txn.orphans()):
            self._writer.sweep(upload)

    # --- writing -----------------------------------------------------------------------------------------

    @property
    def commit_number(self) -> int:
        """Of the last synced commit; grows by one with each."""
        return self._writer.commit_number

    async def commit(
        self, rule: Callable[[LmdbTransaction], ResultT], *, blobs: Sequence[StagedBlob] = ()
    ) -> ResultT:
        """Run a rule in a transaction; returns its result once what it wrote is synced to the disk.

        The rule runs on the writer's thread, sees the writes before it in the same batch, and must not block.
        What it raises reaches this caller only, and nothing it wrote remains. Staged blobs are adopted before
        the rule runs, within its transaction; those that it did not make a record name, or all of
        them when anything fails, are dropped.

        Cancelling the caller does not tear a write: it happens whole, or, if it had not begun, not at all. A
        cancelled caller that must know reads.
        """
        job: Job[ResultT] = Job(_adopting(rule, blobs), asyncio.get_running_loop().create_future())
        done = False
        for staged in blobs:
            staged.spend()
        try:
            self._writer.submit(job)
            result = await job.waiter
            done = True
        finally:
            # After a cancelled commit the sweep finds out, behind the write, whether they were adopted.
            for staged in blobs:
                staged.ended(drop=not done)
        return result

    def commit_sync(
        self,
        rule: Callable[[LmdbTransaction], ResultT],
        *,
        timeout: float | None = None,
        blobs: Sequence[StagedBlob] = (),
    ) -> ResultT:
        """``commit`` for a thread that is not a loop's; ``StoreTimeoutError`` after ``timeout`` seconds."""
        _refuse_on_loop()
        waiter: Future[ResultT] = Future()
        done = False
        for staged in blobs:
            staged.spend()
        try:
            self._writer.submit(Job(_adopting(rule, blobs), waiter))
            result = waiter.result(timeout)
            done = True
        except FutureTimeoutError:
            if not waiter.done() or waiter.cancel():
                raise StoreTimeoutError(
                    f"the write did not reach the disk within {timeout} s; it may still happen. Read, to know"
                ) from None
            raise
        finally:
            for staged in blobs:
                staged.ended(drop=not done)
        return result

    # --- reading -----------------------------------------------------------------------------------------

    async def read(self, function: Callable[[ReadTransaction], ResultT]) -> ResultT:
        """Run a short read on a reader thread."""
        return await self.in_reader(lambda: self.read_sync(function))

    def read_sync(self, function: Callable[[ReadTransaction], ResultT]) -> ResultT:
        """Run a short read on this thread: a long one keeps the file from reusing its pages."""
        if self._closed:
            raise StoreClosedError(f"the store in {self.directory} is closed; the host is stopping")
        try:
            with self._environment.begin() as txn:
                return function(ReadTransaction(txn, self._tables))
        except lmdb.Error as error:
            raise translate(error, self.directory) from error

    # --- blobs -------------------------------------------------------------------------------------------

    async def stage(self, size_hint: int = 0) -> BlobWriter:
        """Begin a blob of about that size; ``StoreBusyError`` when too many are being written."""
        del size_hint
        if len(self._open_uploads) >= self.settings.max_uploads:
            raise StoreBusyError(
                f"{len(self._open_uploads)} blobs are being written already; try again in a moment"
            )
        return BlobWriter(self)

    async def stage_bytes(self, data: bytes) -> StagedBlob:
        """Stage a blob that is in memory."""
        writer = await self.stage(len(data))
        await writer.write(data)
        return await writer.finish()

    def read_blob(self, ref: BlobRef) -> AsyncGenerator[bytes]:
        """The bytes of a blob in slices; ``BlobMissingError``, and at the end ``BlobDamagedError``."""
        return BlobReader(self).slices(ref)

    async def read_blob_into(self, ref: BlobRef, file_object: BinaryIO) -> None:
        """Write the bytes of a blob to a file, off the loop."""

        def copy() -> None:
            source = BlobSource(self, ref)
            while parts := source.next():
                for part in parts:
                    file_object.write(part)

        await self.in_reader(copy)

    async def read_small(self, ref: BlobRef) -> bytes:
        """All bytes of a blob that is known to be small."""
        return b"".join([part async for part in self.read_blob(ref)])

    # --- state of the store ------------------------------------------------------------------------------

    @property
    def damaged(self) -> list[Damage]:
        """Records in quarantine."""
        return self._damage.all()

    def accepts_arrivals(self, size: int = 0) -> bool:
        """Whether there is room for a new paglet or artifact of that size."""
        used = self.read_sync(lambda txn: txn.used_bytes()) + size
        if used > self.settings.arrival_limit * self._environment.info()["map_size"]:
            return False
        return shutil.disk_usage(self.directory).free - size >= self.settings.disk_reserve

    def close(self, timeout: float | None = None) -> None:
        """Write what waits, and close. Bounded; again is no error."""
        if self._closed:
            return
        bound = self.settings.close_timeout if timeout is None else timeout
        ended = self._writer.close(bound)
        self._closed = True
        self._readers.shutdown(wait=True, cancel_futures=True)
        if ended:
            self._environment.close()
            self._lock.release()

    async def aclose(self) -> None:
        """``close`` for a task on a loop."""
        await asyncio.to_thread(self.close)

    # --- for the parts -----------------------------------------------------------------------------------

    def next_upload(self) -> int:
        """A number that no other upload has."""
        upload = next(self._uploads)
        self._open_uploads.add(upload)
        return upload

    def upload_ended(self, upload: int, *, drop: bool) -> None:
        """The upload is adopted, or is to be swept."""
        self._open_uploads.discard(upload)
        if drop:
            self._writer.sweep(upload)

    def submit_bulk(self, rule: Callable[[LmdbTransaction], ResultT]) -> asyncio.Future[ResultT]:
        """Run a rule in a transaction of its own, after the small commits that wait."""
        waiter: asyncio.Future[ResultT] = asyncio.get_running_loop().create_future()
        self._writer.submit(Job(rule, waiter), bulk=True)
        return waiter

    async def in_reader(self, function: Callable[[], ResultT]) -> ResultT:
        """Run a blocking function on a reader thread."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, function)


def _adopting(
    rule: Callable[[LmdbTransaction], ResultT], blobs: Sequence[StagedBlob]
) -> Callable[[LmdbTransaction], ResultT]:
    """The rule, with staged blobs adopted before it, and those that nothing names dropped after it."""
    if not blobs:
        return rule

    def adopt_and_run(txn: LmdbTransaction) -> ResultT:
        for staged in blobs:
            staged.adopt(txn)
        result = rule(txn)
        for staged in blobs:
            txn.blobs.drop_unreferenced(staged.ref.digest)
        return result

    return adopt_and_run


def _refuse_on_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise StoreError(
        "a synchronous write on a loop's thread would stop the loop; use `await store.commit(...)`"
    )
