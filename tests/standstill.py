"""Processes that stand still, as one in a debugger or a frozen cgroup does."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress

import psutil

_BOUND = 10.0
"""Seconds that a busy machine may take to stop a process."""


def stop(pid: int) -> None:
    """SIGSTOP, and wait until all of its threads stand still.

    The kernel tells one thread, and that one the others once it gets a processor: until then they go on, and
    may answer what is asked after the signal was sent.
    """
    process = psutil.Process(pid)
    os.kill(pid, signal.SIGSTOP)
    deadline = time.monotonic() + _BOUND
    while not _stands_still(process):
        assert time.monotonic() < deadline, f"process {pid} goes on after SIGSTOP"
        time.sleep(0.001)


def go_on(pid: int) -> None:
    """SIGCONT to a process that stands still."""
    os.kill(pid, signal.SIGCONT)


def _stands_still(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):  # a thread that ended meanwhile
        return all(psutil.Process(each.id).status() == psutil.STATUS_STOPPED for each in process.threads())
    return False
