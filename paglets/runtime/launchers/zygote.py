"""A zygote, as the program that has it sees it; two ways to come by one."""

# What is imported here before a program forks its zygote takes room in every child.
# ruff: noqa: PLC0415

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from paglets.core.errors import HostError
from paglets.runtime.launchers.entry import ZYGOTE, own_command

if TYPE_CHECKING:
    import subprocess

_END_SECONDS = 5.0


class Zygote:
    """A running zygote process. Its methods may be called on any thread."""

    def __init__(self, pid: int, root: socket.socket, process: subprocess.Popen[bytes] | None = None) -> None:
        self.pid = pid
        self._root = root
        self._process = process
        self._lock = threading.Lock()

    def attach(self) -> socket.socket:
        """A new connection for one launcher: SEQPACKET, not blocking. ``OSError`` when the zygote is gone."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                with self._lock:
                    socket.send_fds(self._root, [b"attach"], [theirs.fileno()])
            except OSError:
                ours.close()
                raise
        ours.settimeout(0.0)
        return ours

    def close(self) -> None:
        """End it, and with it all of its children. Blocks until it is reaped, some milliseconds."""
        with self._lock:
            self._root.close()
        if self._process is None:
            _reap(self.pid)
            return
        import subprocess

        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _reap(pid: int) -> None:
    deadline = time.monotonic() + _END_SECONDS
    with suppress(ChildProcessError):
        while not os.waitpid(pid, os.WNOHANG)[0]:
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
            time.sleep(0.001)


def fork_zygote(*, prepared: bool = False) -> Zygote:
    """Fork a zygote off this process, with the library that it has imported so far.

    ``prepared``: this process has called ``zygote_process.prepare_code`` and ``holes.fill_holes``, which the zygote
    does for itself otherwise. The two of them share what they have loaded and do not write to.

    From the main thread, before there is any other thread or event loop (a fork copies one thread, and every
    lock as it is); ``HostError`` otherwise.
    """
    if threading.active_count() != 1 or threading.current_thread() is not threading.main_thread():
        raise HostError("a zygote is forked from the main thread, before any other thread is started")
    if _loop_runs():
        raise HostError("a zygote is forked before an event loop runs; use exec_zygote() in one")
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    program = os.getpid()
    pid = os.fork()
    if not pid:
        ours.close()
        from paglets.runtime.launchers.zygote_process import run_zygote

        run_zygote(theirs, program, prepared=prepared, forked=True)
    theirs.close()
    return Zygote(pid, ours)


def _loop_runs() -> bool:
    if "asyncio" not in sys.modules:
        return False
    import asyncio

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def exec_zygote() -> Zygote:
    """Start a zygote as a program of its own; from any thread, loop or not. Blocks for a few milliseconds."""
    import subprocess

    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        try:
            process = subprocess.Popen(  # noqa: S603 - this program itself
                own_command(ZYGOTE, str(theirs.fileno()), str(os.getpid())),
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        except OSError as error:
            ours.close()
            raise HostError(f"cannot start the process that children are forked from: {error}") from error
    return Zygote(process.pid, ours, process)
