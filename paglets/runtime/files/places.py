"""The directories that hold the files of paglets that have come here: one for each arrival, named by it.

A directory is never renamed. It belongs to a paglet from the commit on whose record names it, and goes when none
does any more: so no crash can leave files without an owner, or an owner without files.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
import shutil
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from paglets.core.errors import TransferError
from paglets.persistence.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Generator

    from paglets.core.incarnation import TransferId
    from paglets.persistence.records import FileRecord
    from paglets.persistence.store import Store
    from paglets.runtime.artifacts.workers import Workers

logger = logging.getLogger(__name__)

_RESERVE = 32 * 1024 * 1024
"""Bytes that the file system keeps free."""


class FilePlaces:
    """Names, keeps and clears these directories, and deletes source files that have been moved."""

    def __init__(self, root: Path, store: Store, workers: Workers) -> None:
        self.root = root
        self._store = store
        self._workers = workers
        self._held: dict[str, int] = {}
        self._tidying: asyncio.Task[None] | None = None
        self._again = False
        self._closed = False
        self._kept = 0

    @staticmethod
    def place_of(transfer_id: TransferId) -> str:
        """The directory for what travels with that transfer."""
        return f"{transfer_id.source}.{transfer_id.counter}"

    def path(self, file: FileRecord, work_dir: Path) -> Path:
        """Where a file is."""
        if not file.place:
            return Path(file.path)
        return (work_dir if file.place == "work" else self.root / file.place) / file.path

    def check_room(self, size: int) -> None:
        """``TransferError`` when the file system has no room for so many bytes. Blocks."""
        self.root.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self.root).free
        if free - size < _RESERVE:
            raise TransferError(
                f"there is no room for a file of {size} bytes: {free} bytes are free, and {_RESERVE} stay free"
            )

    @contextlib.contextmanager
    def holding(self, place: str) -> Generator[None]:
        """Keep a directory that no record names yet."""
        self.hold(place)
        try:
            yield
        finally:
            self.let_go(place)

    def hold(self, place: str) -> None:
        """Keep a directory that no record names yet, until ``let_go``."""
        self._held[place] = self._held.get(place, 0) + 1

    def let_go(self, place: str) -> None:
        """A record names it now, or it is not needed: then the next ``tidy`` removes it."""
        self._held[place] -= 1
        if not self._held[place]:
            del self._held[place]

    @contextlib.contextmanager
    def keeping_all(self) -> Generator[None]:
        """Remove nothing meanwhile, whatever comes and goes: a copy of the store names what was here at one moment.

        What has become nobody's by the end is tidied up then.
        """
        self._kept += 1
        try:
            yield
        finally:
            self._kept -= 1
            self.tidy()

    # --- tidying

    def tidy(self) -> None:
        """See to what has become nobody's, soon and once; not while the host stops: the next start does."""
        if self._closed:
            return
        if self._tidying is None or self._tidying.done():
            self._tidying = asyncio.create_task(self._tidy(), name="tidying files")
        else:
            self._again = True

    async def _tidy(self) -> None:
        while True:
            self._again = False
            try:
                await self.tidy_now()
            except (OSError, StoreError) as error:
                logger.warning("files could not be tidied up", extra={"error": str(error)})
            if not self._again:
                return

    async def tidy_now(self) -> None:
        """Remove directories that nobody needs, and source files that have arrived elsewhere."""
        if self._kept:
            return
        there = await self._workers.run(self._list)
        held = set(self._held)  # after the list: what was let go before was named before
        named = await self._store.read(lambda tx: tx.file_places())
        for place in there - held - named:
            # One that was nobody's then is named by no later copy of the store either.
            await self._workers.run(shutil.rmtree, self.root / place, ignore_errors=True)
        for key, file in await self._store.read(lambda tx: tx.moved_files()):
            if self._kept:
                return
            await self._workers.run(delete_if_same, file)
            await self._store.commit(lambda tx, done=key: tx.drop_moved_file(done))

    def _list(self) -> set[str]:
        try:
            return {entry.name for entry in self.root.iterdir()}
        except FileNotFoundError:
            return set()

    async def aclose(self) -> None:
        """Stop; the next start goes on.

        To be done before what writes records is stopped: a record that is being written may name a directory.
        """
        self._closed = True
        if self._tidying is not None:
            self._tidying.cancel()
            await asyncio.gather(self._tidying, return_exceptions=True)


def identity(info: os.stat_result) -> tuple[int, int, int]:
    """What tells whether a file is still the same."""
    return (info.st_dev, info.st_ino, info.st_mtime_ns)


def delete_if_same(file: FileRecord) -> bool:
    """Delete a source file that was moved; not if it is another one now, or was changed. Blocks."""
    path = Path(file.path)
    try:
        # Not blocking: a pipe may have taken the file's place.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as opened:
            info = os.fstat(opened.fileno())
            same = stat.S_ISREG(info.st_mode) and identity(info) == file.seen and info.st_size == file.size
            same = same and hashlib.file_digest(opened, "sha256").hexdigest() == file.digest
            if same and identity(path.lstat()) == file.seen:
                path.unlink()
                return True
    except OSError as error:
        logger.info("a moved file was not deleted", extra={"path": file.path, "error": str(error)})
        return False
    logger.warning("a moved file was changed since, and is kept", extra={"path": file.path})
    return False
