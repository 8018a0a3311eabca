"""Exclusive locks on directories, which the system frees when their holder ends."""

from __future__ import annotations

import errno
import logging
import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from paglets.persistence.errors import StoreInUseError

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

log = logging.getLogger(__name__)

_LENGTH = 21

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        os.lseek(descriptor, 1024, os.SEEK_SET)  # beyond the holder's number, which others read
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

    @contextmanager
    def wait_for_directory(directory: Path) -> Generator[None]:
        """Hold a directory against other processes; directories cannot be locked here, so only in name."""
        del directory
        yield
else:
    import fcntl

    def _lock(descriptor: int) -> None:
        # flock belongs to the open file, so it also excludes a second store in the same process.
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    @contextmanager
    def wait_for_directory(directory: Path) -> Generator[None]:
        """Hold a directory against everyone else who asks for it; waits for its turn."""
        descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


class DirectoryLock:
    """Takes a lock file when made; ``StoreInUseError`` when somebody else has it.

    The file holds the number of the process that has the lock, until it is released cleanly. It always has its
    full length, so that a full disk does not keep a host from starting. On a disk that cannot be written the
    file is locked as it is.
    """

    def __init__(self, path: Path) -> None:
        self.writable = True
        """Whether the disk lets the file be written."""
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            if error.errno not in {errno.EROFS, errno.EACCES}:
                raise
            self.writable = False
            self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._held = True
        holder = os.read(self._descriptor, 32).decode("ascii", "replace").strip()
        try:
            _lock(self._descriptor)
        except OSError:
            self.release()
            who = f"process {holder}" if holder else "another process"
            raise StoreInUseError(
                f"the store in {path.parent} is in use by {who}; "
                "stop that host, or give this one a data directory of its own"
            ) from None
        self.left_behind = bool(holder)
        """Whether the last holder ended without a clean release."""
        self._write(str(os.getpid()))

    def release(self, *, clean: bool = False) -> None:
        """Let go of the lock; again is no error."""
        if self._held:
            self._held = False
            if clean:
                self._write("")
            os.close(self._descriptor)

    def _write(self, holder: str) -> None:
        """In its place; what cannot be written costs a look at the structure, or the lack of one, and no start."""
        if not self.writable:
            return
        try:
            os.lseek(self._descriptor, 0, os.SEEK_SET)
            os.write(self._descriptor, f"{holder:<{_LENGTH - 1}}\n".encode("ascii"))
            os.ftruncate(self._descriptor, _LENGTH)
            os.fsync(self._descriptor)
        except OSError as error:
            log.warning("the store's lock file cannot be written", extra={"error": str(error)})
