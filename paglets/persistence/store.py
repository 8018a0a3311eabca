"""The durable store of one host: one directory, one LMDB environment, one writer, opened once."""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
from concurrent.futures import wait
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, TypeVar

from paglets.persistence.blob_reader import BlobReader, UncheckedBlobReader
from paglets.persistence.blobs import StagedBlob
from paglets.persistence.environment import open_store
from paglets.persistence.errors import StoreError, StoreTimeoutError
from paglets.persistence.jobs import LoopJob, ThreadJob
from paglets.persistence.quarantine import Quarantine
from paglets.persistence.readers import Readers
from paglets.persistence.settings import StoreSettings
from paglets.persistence.staging import BlobStaging
from paglets.persistence.writer import CommitStep, GroupCommitWriter

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from paglets.persistence.blobs import BlobWriter
    from paglets.persistence.damage import Damage
    from paglets.persistence.lmdb_transaction import LmdbTransaction
    from paglets.persistence.read_transaction import ReadTransaction
    from paglets.persistence.records import BlobRef
    from paglets.persistence.thread_blobs import ThreadBlobWriter

__all__ = ["CommitStep", "StagedBlob", "Store", "StoreSettings"]

log = logging.getLogger(__name__)

ResultT = TypeVar("ResultT")

_DEFAULTS = StoreSettings()


class Store:
    """All that a host durably knows.

    Opens the store in ``directory``, and creates it if need be, in the constructor. Raises ``StoreOpenError``
    (in use, of a newer schema, not writable), ``StoreDamagedError`` and ``StoreFullError``.

    ``commit`` and ``read`` are for tasks on a loop, ``commit_sync`` and ``read_sync`` for other threads.
    ``on_damage`` is called once for every record found damaged, from whichever thread found it. ``fault`` is
    for tests: called around each commit, it may raise or block. ``read_only``: a store on a disk that cannot be
    written is opened all the same; every write raises ``StoreReadOnlyError`` then, and ``failed`` says why.
    """

    def __init__(
        self,
        directory: Path,
        *,
        settings: StoreSettings = _DEFAULTS,
        on_damage: Callable[[Damage], None] | None = None,
        fault: Callable[[CommitStep], None] | None = None,
        read_only: bool = False,
    ) -> None:
        self.directory = directory
        self.settings = settings
        self._opened = open_store(directory, settings, read_only=read_only)
        self.store_id = self._opened.store_id
        """Random, made when the store was created; a restored copy has it too."""
        self._closed = False
        self._readers = Readers(self._opened)
        self._writer = GroupCommitWriter(self._opened, fault)
        self._quarantine = Quarantine(self._opened, self._writer, on_damage)
        self._staging = BlobStaging(self._opened, self._writer, self._readers)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- writing -----------------------------------------------------------------------------------------

    @property
    def commit_number(self) -> int:
        """Of the last synced commit; grows by one with each, and says how current a store is."""
        return self._writer.commit_number

    def skip_commit_numbers(self, to: int) -> None:
        """Within a rule: count on from there, so that nobody has seen this store as far before."""
        self._writer.commit_number = max(self._writer.commit_number, to)

    async def commit(
        self,
        rule: Callable[[LmdbTransaction], ResultT],
        *,
        blobs: Sequence[StagedBlob] = (),
        then: Callable[[ResultT], None] | None = None,
    ) -> ResultT:
        """Run a rule in a transaction; returns its result once what it wrote is synced to the disk.

        The rule runs on the writer's thread, sees the writes before it in the same batch, and must neither
        block nor wait for another write. What it raises reaches this caller only, and nothing it wrote
        remains. Staged blobs are adopted before it runs, in its transaction; those that it made no record
        name, or all of them when anything fails, are dropped.

        Raises ``StoreFullError``, ``StoreFailedError``, ``StoreBusyError``, ``StoreClosedError``.

        Cancelling the caller does not tear a write: it happens whole, or, if it had not begun, not at all. A
        cancelled caller that has to know reads. What memory has to know of a write is for ``then``: told the result
        on the caller's loop as soon as it is durable, whether or not the caller still waits. It must not raise.
        """
        with _spent(blobs):
            job = LoopJob(_adopting(rule, blobs), then)
            self._writer.submit(job)
            return await job.waiter

    def commit_sync(
        self,
        rule: Callable[[LmdbTransaction], ResultT],
        *,
        timeout: float | None = None,
        blobs: Sequence[StagedBlob] = (),
    ) -> ResultT:
        """``commit`` for a thread that is not a loop's; ``StoreTimeoutError`` after ``timeout`` seconds."""
        self._refuse_where_it_would_wait_for_itself()
        with _spent(blobs):
            job = ThreadJob(_adopting(rule, blobs))
            self._writer.submit(job)
            return _wait(job, timeout)

    # --- reading -----------------------------------------------------------------------------------------

    async def read(self, function: Callable[[ReadTransaction], ResultT]) -> ResultT:
        """Run a short read on a reader thread."""
        return await self._readers.run(lambda: self._readers.read(function))

    async def look(self, function: Callable[[], ResultT]) -> ResultT:
        """Run what reads with ``read_sync``, or asks the disk, on a reader thread: several short looks in one visit."""
        return await self._readers.run(function)

    def read_sync(self, function: Callable[[ReadTransaction], ResultT]) -> ResultT:
        """Run a short read on this thread; while it lasts, the file cannot reuse its pages."""
        return self._readers.read(function)

    # --- blobs -------------------------------------------------------------------------------------------

    async def stage(self, size_hint: int = 0) -> BlobWriter:
        """Begin a blob of about that size.

        ``StoreBusyError`` when too many are being written, ``StoreFullError`` when it cannot fit.
        """
        return await self._staging.begin(size_hint)

    async def stage_bytes(self, data: bytes | bytearray | memoryview) -> StagedBlob:
        """Stage a blob that is in memory; raises as ``stage``."""
        return await self._staging.stage_bytes(data)

    async def stage_file(self, descriptor: int, size: int) -> StagedBlob:
        """Stage the first ``size`` bytes of an open file, a memory file for example; raises as ``stage``."""
        return await self._staging.stage_file(descriptor, size)

    def stage_sync(self, size_hint: int = 0) -> ThreadBlobWriter:
        """Begin a blob from a thread; for ``commit_sync``. ``StoreFullError`` when it cannot fit."""
        return self._staging.begin_in_thread(size_hint)

    def blob_reader(self, ref: BlobRef) -> BlobReader:
        """The bytes of a blob in slices, for a thread."""
        return BlobReader(self._readers, ref)

    def unchecked_blob_reader(self, ref: BlobRef, first: int) -> UncheckedBlobReader:
        """The same from chunk ``first`` on, for a thread that hands them to somebody who checks the whole."""
        return UncheckedBlobReader(self._readers, ref, first)

    async def read_blob(self, ref: BlobRef) -> AsyncGenerator[bytes]:
        """The bytes of a blob in slices; nothing is to be believed before the last one has come.

        Raises ``BlobMissingError``, and at the end, instead of the last slices, ``BlobDamagedError``.
        """
        reader = BlobReader(self._readers, ref)
        ahead = self._readers.start(reader.next)
        try:
            while parts := await ahead:
                ahead = self._readers.start(reader.next)
                for part in parts:
                    yield part
        finally:
            if not ahead.cancel() and not ahead.cancelled():
                ahead.exception()  # of a slice that nobody came to take

    async def read_blob_into(self, ref: BlobRef, file_object: BinaryIO) -> None:
        """Write the bytes of a blob to a file, off the loop; raises as ``read_blob``.

        A cancelled caller's file may still be written to for a moment.
        """
        reader = BlobReader(self._readers, ref)

        def copy_slice() -> bool:
            parts = reader.next()
            file_object.writelines(parts)
            return bool(parts)

        while await self._readers.run(copy_slice):
            pass

    async def read_small(self, ref: BlobRef) -> bytes:
        """All bytes of a blob that is known to be small; raises as ``read_blob``."""

        def read_all() -> bytes:
            reader = BlobReader(self._readers, ref)
            found: list[bytes] = []
            while parts := reader.next():
                found += parts
            return b"".join(found)

        return await self._readers.run(read_all)

    # --- state of the store ------------------------------------------------------------------------------

    @property
    def failed(self) -> StoreError | None:
        """Why nothing can be written until the store is opened again, if so."""
        return self._writer.failed

    @property
    def trouble(self) -> StoreError | None:
        """What the last write failed with, if none has succeeded since."""
        return self._writer.failed or self._writer.trouble.error

    @property
    def has_written(self) -> bool:
        """Whether a commit has succeeded since the store was opened."""
        return self._writer.commit_number > self._opened.commit_number

    def listen(
        self, on_damage: Callable[[Damage], None], on_trouble: Callable[[StoreError | None], None]
    ) -> None:
        """Have these called with what is found damaged, and when writes begin to fail or succeed again (None).

        From whichever thread found it, and the writer's.
        """
        self._opened.damage.listen(on_damage)
        self._writer.trouble.listeners.append(on_trouble)

    @property
    def damaged(self) -> list[Damage]:
        """Records in quarantine. Whatever has their keys is refused, until ``forget_damaged``."""
        return self._opened.damage.all()

    async def forget_damaged(self, damage: Damage) -> None:
        """Give a damaged record up: what it was about is unknown from now on. An operator's decision."""
        await self._quarantine.forget(damage)

    def accepts_arrivals(self, size: int = 0) -> bool:
        """Whether there is room for a new paglet or artifact of that size; reads the disk's state, briefly.

        False early, at 80 % of the map and with a reserve on the disk: a full map stops every write.
        """
        limit = self.settings.arrival_limit * self._opened.environment.info()["map_size"]
        if self.read_sync(lambda txn: txn.used_bytes()) + size > limit:
            return False
        return shutil.disk_usage(self.directory).free - size >= self.settings.disk_reserve

    def copy_to(self, path: Path) -> None:
        """Write a compact copy of one moment to a file that is not there yet; synced. Blocks for long.

        While it lasts, the file of the store cannot reuse its pages.
        """
        self._readers.copy(path)

    def close(self, timeout: float | None = None) -> None:
        """Write what waits, and close, within ``timeout`` seconds; again is no error.

        When the disk does not answer in that time, the store stays locked until the process ends.
        """
        if self._closed:
            return
        self._closed = True
        end = time.monotonic() + (self.settings.close_timeout if timeout is None else timeout)
        written = self._writer.close(max(0.0, end - time.monotonic()))
        read = self._readers.close(max(0.0, end - time.monotonic()))
        if written and read:
            self._opened.close()
        else:
            log.error("the store could not be closed in time", extra={"store": str(self.directory)})

    async def aclose(self) -> None:
        """``close`` for a task on a loop."""
        await asyncio.to_thread(self.close)

    def _refuse_where_it_would_wait_for_itself(self) -> None:
        if self._writer.is_current_thread():
            raise StoreError("a rule cannot wait for another write; do both in one rule")
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return
        raise StoreError("a write would stop the loop that it is called from; use `await store.commit(...)`")


def _adopting(
    rule: Callable[[LmdbTransaction], ResultT], blobs: Sequence[StagedBlob]
) -> Callable[[LmdbTransaction], ResultT]:
    """The rule, with staged blobs adopted before it; what it makes no record name goes when it ends."""
    if not blobs:
        return rule

    def adopt_and_run(txn: LmdbTransaction) -> ResultT:
        for staged in blobs:
            staged.adopt(txn)
        return rule(txn)

    return adopt_and_run


@contextmanager
def _spent(blobs: Sequence[StagedBlob]) -> Generator[None]:
    """Use staged blobs up; when that fails, have them swept - behind the write, if it may still happen."""
    for staged in blobs:
        staged.spend()
    try:
        yield
    except BaseException:
        for staged in blobs:
            staged.sweep()
        raise


def _wait(job: ThreadJob[ResultT], timeout: float | None) -> ResultT:
    done, _ = wait([job.waiter], timeout)
    if done:
        return job.waiter.result()
    if job.waiter.cancel():
        raise StoreTimeoutError(f"the disk was busy for {timeout} s; nothing was written. Try again")
    if job.waiter.done():
        return job.waiter.result()
    raise StoreTimeoutError(
        f"the write is not on the disk after {timeout} s; it may still get there. Read, to know"
    )
