"""Where blobs begin: hands out blob writers, and lets only so many write at the same time."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, TypeVar

from paglets.persistence.blobs import BlobWriter, StagedBlob
from paglets.persistence.errors import StoreBusyError
from paglets.persistence.jobs import LoopJob, ThreadJob
from paglets.persistence.thread_blobs import ThreadBlobWriter

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from concurrent.futures import Future

    from paglets.persistence.environment import OpenedStore
    from paglets.persistence.lmdb_transaction import LmdbTransaction
    from paglets.persistence.readers import Readers
    from paglets.persistence.writer import GroupCommitWriter

ResultT = TypeVar("ResultT")


class BlobStaging:
    """The ``StagingArea`` of one store."""

    def __init__(self, opened: OpenedStore, writer: GroupCommitWriter, readers: Readers) -> None:
        self._opened = opened
        self._writer = writer
        self._readers = readers
        self._open_writers = 0
        self._uploads = itertools.count(readers.read(lambda txn: txn.next_upload()))
        self.small_blob = opened.settings.small_blob
        self.bulk_bytes = opened.settings.bulk_bytes
        # What a stopped host had begun, or had not finished deleting.
        for upload in readers.read(lambda txn: txn.orphans()):
            writer.sweep(upload)

    async def begin(self, size_hint: int) -> BlobWriter:
        """A writer for a blob of about that size."""
        if self._open_writers >= self._opened.settings.max_uploads:
            raise StoreBusyError(
                f"{self._open_writers} blobs are being written already; try again in a moment"
            )
        if size_hint > self.small_blob:
            await self._readers.run(lambda: self._opened.require_space(size_hint))
        self._open_writers += 1
        return BlobWriter(self, next(self._uploads))

    def begin_in_thread(self, size_hint: int) -> ThreadBlobWriter:
        """A writer for a thread, for a blob of about that size; their number is the caller's to bound."""
        if size_hint > self.small_blob:
            self._opened.require_space(size_hint)
        return ThreadBlobWriter(self, self, next(self._uploads))

    def submit_bulk_from_thread(self, rule: Callable[[LmdbTransaction], ResultT]) -> Future[ResultT]:
        """``submit_bulk`` for a thread."""
        job = ThreadJob(rule)
        self._writer.submit_bulk(job)
        return job.waiter

    async def stage_bytes(self, data: bytes | bytearray | memoryview) -> StagedBlob:
        """Stage a blob that is in memory."""
        writer = await self.begin(len(data))
        try:
            await writer.write(data)
            return await writer.finish()
        except BaseException:
            await writer.discard()
            raise

    async def stage_file(self, descriptor: int, size: int) -> StagedBlob:
        """Stage the first bytes of an open file."""
        writer = await self.begin(size)
        try:
            await writer.write_file(descriptor, size)
            return await writer.finish()
        except BaseException:
            await writer.discard()
            raise

    def submit_bulk(self, rule: Callable[[LmdbTransaction], ResultT]) -> asyncio.Future[ResultT]:
        """Run a rule in a transaction of its own, after the small commits that wait."""
        job = LoopJob(rule)
        self._writer.submit_bulk(job)
        return job.waiter

    async def in_reader(self, function: Callable[[], ResultT]) -> ResultT:
        """Run a blocking function on a reader thread."""
        return await self._readers.run(function)

    def sweep(self, upload: int) -> None:
        """Have the chunks of an upload deleted, unless it has become a blob."""
        self._writer.sweep(upload)

    def writer_ended(self) -> None:
        """A blob writer takes no more."""
        self._open_writers -= 1
