"""How much memory a process takes."""

from __future__ import annotations

import os
import resource
import sys


def resident_memory(pid: int) -> int:
    """Bytes: the proportional share (proc(5), ``smaps_rollup``), or the resident size where that is hidden.

    0 for a process that is gone, and where the system tells nothing.
    """
    if sys.platform != "linux":
        return 0
    share = _field(f"/proc/{pid}/smaps_rollup", b"Pss:")
    return share if share is not None else _resident(pid)


def _field(path: str, name: bytes) -> int | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        text = os.read(descriptor, 4096)
    except OSError:  # ESRCH: it went in between
        return None
    finally:
        os.close(descriptor)
    for line in text.splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    return None


def _resident(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:  # noqa: PTH123 - no need for a path object
            return int(file.read().split()[1]) * resource.getpagesize()
    except (OSError, IndexError):
        return 0
