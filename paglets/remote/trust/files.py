"""Private files: read with their permissions checked, written whole or not at all, under a bounded lock."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from paglets.remote.trust.errors import KeyFileError

if TYPE_CHECKING:
    from collections.abc import Generator

MAX_FILE_BYTES = 64 * 1024
"""No key or certificate chain comes near this; more is damage."""
LOCK_TIMEOUT = 10.0
"""Seconds; whoever holds the lock writes a few small files."""
_LOCK_INTERVAL = 0.01


@contextlib.contextmanager
def locked(path: Path, *, timeout: float = LOCK_TIMEOUT) -> Generator[None]:
    """Hold the lock file ``path``, among all threads and processes; blocks, so never call it on a loop.

    Raises:
        KeyFileError: the lock cannot be made, or somebody held it for longer than ``timeout`` seconds.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise KeyFileError(f"cannot make the lock file {path}: {error.strerror}") from error
    try:
        deadline = time.monotonic() + timeout
        while not _try_lock(descriptor):
            if time.monotonic() > deadline:
                raise KeyFileError(
                    f"{path} has been locked for {timeout:g} s; is another paglets program stuck?"
                )
            time.sleep(_LOCK_INTERVAL)
        yield
    finally:
        os.close(descriptor)


def check_directory(path: Path) -> None:
    """Refuse a directory that others may write to: they could put their files in place of ours.

    One that does not exist is fine.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        return
    except OSError as error:
        raise KeyFileError(f"cannot look into {path}: {error.strerror}") from error
    if not stat.S_ISDIR(status.st_mode):
        raise KeyFileError(f"{path} is not a directory")
    if sys.platform != "win32" and status.st_mode & 0o022:
        raise KeyFileError(
            f"{path} may be changed by other users (mode {stat.S_IMODE(status.st_mode):04o}); if nobody else "
            f"has, run: chmod 700 {path}"
        )


def read_private(path: Path) -> bytes:
    """The file's bytes, when it is a regular file that nobody else may read or write.

    Raises:
        FileNotFoundError: there is none.
        KeyFileError: it cannot be read, is too large, or is open to others.
    """
    return _read(path, private=True)


def read_public(path: Path) -> bytes:
    """The bytes of a file that holds no secret; the same errors as :func:`read_private`."""
    return _read(path, private=False)


def write_file(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Write a file so that it is there whole, and on the disk, or not at all; ``KeyFileError``."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                if sys.platform != "win32":
                    os.fchmod(file.fileno(), mode)
                os.fsync(file.fileno())
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        _sync_directory(path.parent)
    except OSError as error:
        raise KeyFileError(f"cannot write {path}: {error.strerror}") from error


def _read(path: Path, *, private: bool) -> bytes:
    try:
        # Not blocking: a FIFO in the file's place must not hang a start.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0))
    except FileNotFoundError:
        raise
    except OSError as error:
        raise KeyFileError(f"cannot read {path}: {error.strerror}") from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise KeyFileError(f"{path} is not a regular file")
        if private and sys.platform != "win32" and status.st_mode & 0o077:
            raise KeyFileError(
                f"{path} is open to other users (mode {stat.S_IMODE(status.st_mode):04o}); if nobody "
                f"else has read it, run: chmod 600 {path}"
            )
        with os.fdopen(os.dup(descriptor), "rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise KeyFileError(f"cannot read {path}: {error.strerror}") from error
    finally:
        os.close(descriptor)
    if len(data) > MAX_FILE_BYTES:
        raise KeyFileError(f"{path} is larger than {MAX_FILE_BYTES} bytes; that is no key or certificate")
    return data


def _sync_directory(path: Path) -> None:
    if sys.platform == "win32":
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt  # noqa: PLC0415 - there is none elsewhere

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl  # noqa: PLC0415 - there is none on Windows

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True
