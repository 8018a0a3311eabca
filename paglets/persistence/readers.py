"""Threads for reads, so that a page that comes from the disk never stops the loop."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import lmdb

from paglets.persistence.damage import BLOB_CONTENT, Damage
from paglets.persistence.errors import StoreClosedError
from paglets.persistence.lmdb_errors import translate
from paglets.persistence.read_transaction import ReadTransaction

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from paglets.persistence.environment import OpenedStore
    from paglets.persistence.records import BlobRef

ResultT = TypeVar("ResultT")


class Readers:
    """Runs reads on any thread, and keeps the environment open while one is under way."""

    def __init__(self, opened: OpenedStore) -> None:
        self._opened = opened
        self._pool = ThreadPoolExecutor(
            opened.settings.reader_threads, thread_name_prefix="paglets-store-reader"
        )
        self._idle = threading.Condition()
        self._under_way = 0
        self._closed = False

    def start(self, function: Callable[[], ResultT]) -> asyncio.Future[ResultT]:
        """Run a blocking function on a thread of the pool."""
        try:
            return asyncio.wrap_future(self._pool.submit(function))
        except RuntimeError:
            raise self._closed_error() from None

    async def run(self, function: Callable[[], ResultT]) -> ResultT:
        """Run a blocking function on a thread of the pool, and wait for it."""
        return await self.start(function)

    def read(self, function: Callable[[ReadTransaction], ResultT]) -> ResultT:
        """Run a read on this thread."""
        with self._entered():
            try:
                with self._opened.environment.begin() as txn:
                    return function(ReadTransaction(txn, self._opened.tables))
            except lmdb.Error as error:
                raise translate(error, self._opened.directory) from error

    def report_blob(self, ref: BlobRef, reason: str) -> None:
        """The bytes of a blob do not have its digest, or are not all there."""
        self._opened.damage.report(Damage(BLOB_CONTENT, ref.digest, reason))

    def copy(self, path: Path) -> None:
        """Write a compact copy of the environment to a file, and sync it."""
        with self._entered():
            try:
                self._opened.environment.copy(os.fspath(path), compact=True)
                path.chmod(0o600)
                with path.open("rb") as copied:
                    os.fsync(copied.fileno())
            except (lmdb.Error, OSError) as error:
                raise translate(error, path.parent) from error

    def close(self, timeout: float) -> bool:
        """Let no read begin, and wait for those under way; whether they ended in time."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        end = time.monotonic() + timeout
        with self._idle:
            self._closed = True
            return self._idle.wait_for(lambda: self._under_way == 0, max(0.0, end - time.monotonic()))

    @contextmanager
    def _entered(self) -> Generator[None]:
        with self._idle:
            if self._closed:
                raise self._closed_error()
            self._under_way += 1
        try:
            yield
        finally:
            with self._idle:
                self._under_way -= 1
                if self._closed:
                    self._idle.notify_all()

    def _closed_error(self) -> StoreClosedError:
        return StoreClosedError(f"the store in {self._opened.directory} is closed; the host is stopping")
