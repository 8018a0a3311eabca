"""Children that outlived a killed host: found by a lock that they hold, and ended.

Every child holds a shared ``fcntl`` lock on its host's life file for as long as it lives. The kernel tells
the holder's process id (``F_GETLK``, fcntl(2)), drops the lock with the process, and passes it on to nobody:
there is nothing to write down, nothing to go stale, and no recycled process id to hit.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import signal
import struct
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from paglets.core.errors import HostError

if TYPE_CHECKING:
    from pathlib import Path

logger = logging.getLogger(__name__)

# struct flock: Linux has type and whence first, the BSDs last.
_LINUX = "hhqqi"
_BSD = "qqihh"


def hold_life(path: str) -> None:
    """Hold the lock on the life file until this process ends; nothing for an empty path."""
    if path:
        descriptor = _open(path)
        fcntl.lockf(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)


def end_orphans(path: Path | str, *, timeout: float = 5.0) -> list[int]:
    """Kill whoever still holds the life file, with its process group; their process ids.

    For a host to call before it launches anything, once it knows that it alone uses the file. Blocks for at
    most ``timeout`` seconds; ``HostError`` when a process is still there then.
    """
    ended: list[int] = []
    descriptor = _open(path)
    try:
        deadline = time.monotonic() + timeout
        while holder := _holder(descriptor):
            if time.monotonic() > deadline:
                raise HostError(
                    f"process {holder}, left by this host's earlier life, does not end; kill it by hand"
                )
            if holder not in ended:
                ended.append(holder)
                logger.warning("ending a child of this host's earlier life", extra={"pid": holder})
            _kill(descriptor, holder)
            time.sleep(0.002)
    finally:
        os.close(descriptor)
    return ended


def _open(path: Path | str) -> int:
    """The life file; a shared lock and the question who has one need no more than reading, on a disk that allows it."""
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


def _holder(descriptor: int) -> int:
    """Process id of one of those that hold the lock; 0 when nobody does."""
    if sys.platform == "linux":
        asked = struct.pack(_LINUX, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        kind, _whence, _start, _length, pid = struct.unpack(
            _LINUX, fcntl.fcntl(descriptor, fcntl.F_GETLK, asked)
        )
    else:
        asked = struct.pack(_BSD, 0, 0, 0, fcntl.F_WRLCK, os.SEEK_SET)
        _start, _length, pid, kind, _whence = struct.unpack(
            _BSD, fcntl.fcntl(descriptor, fcntl.F_GETLK, asked)
        )
    return 0 if kind == fcntl.F_UNLCK else pid


def _kill(descriptor: int, pid: int) -> None:
    with suppress(ProcessLookupError):
        if not hasattr(os, "pidfd_open"):
            os.killpg(pid, signal.SIGKILL)
            return
        handle = os.pidfd_open(pid)
        try:
            # The handle is of the holder, and of no successor to its number, if that number holds the lock.
            if _holder(descriptor) == pid:
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(pid, signal.SIGKILL)
                signal.pidfd_send_signal(handle, signal.SIGKILL)
        finally:
            os.close(handle)
