"""The launcher where there is no ``fork`` to be had: every child is an interpreter of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from paglets.core.errors import HostError
from paglets.runtime.launchers.entry import CHILD, own_command
from paglets.runtime.launchers.launcher import ExitStatus, LaunchedProcess, LaunchRequest

_END_SECONDS = 5.0


class SpawnLauncher:
    """See ``Launcher``. Slow (an interpreter start each); POSIX only: Windows hands no Unix socket down."""

    def __init__(self) -> None:
        self._starter: ThreadPoolExecutor | None = None
        self._closed = False
        self._children: dict[int, asyncio.Future[ExitStatus]] = {}
        self._watches: set[asyncio.Task[None]] = set()
        self._processes: dict[int, subprocess.Popen[bytes]] = {}

    async def start(self) -> None:
        """Start the thread that starts processes.

        The parent-death signal comes when the *thread* that made a process ends, so one thread makes them
        all, and it lives as long as the launcher.
        """
        if self._closed:
            raise HostError("this launcher is closed; a host needs one of its own")
        if sys.platform == "win32":
            raise HostError(
                "paglets runs where there are Unix sockets: Linux, macOS, or Windows' Linux subsystem"
            )
        if self._starter is None:
            self._starter = ThreadPoolExecutor(1, thread_name_prefix="paglets-spawn")

    async def launch(self, request: LaunchRequest, first: bytes = b"") -> LaunchedProcess:
        """Start an interpreter for one child."""
        await self.start()
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        ours.settimeout(0.0)
        ours.sendall(first)
        readable, writable = os.pipe()
        starting = loop.run_in_executor(self._starter, _spawn, request, theirs, writable)
        try:
            process = await asyncio.shield(starting)
        except BaseException:
            ours.close()  # a process that comes to be nevertheless sees its link closed, and ends
            os.close(readable)
            starting.add_done_callback(_end_unwanted)
            raise
        os.set_blocking(readable, False)
        exited = self._children[process.pid] = loop.create_future()
        self._processes[process.pid] = process
        watch = loop.create_task(self._watch(process, exited))
        self._watches.add(watch)
        watch.add_done_callback(self._watches.discard)
        return LaunchedProcess(
            process.pid, ours, readable, exited, lambda number: self._signal(process, number)
        )

    async def aclose(self) -> None:
        """Kill the children, and end the thread."""
        self._closed = True
        for process in list(self._processes.values()):
            self._signal(process, signal.SIGKILL)
        if self._watches:
            await asyncio.wait(self._watches, timeout=_END_SECONDS)
        for watch in self._watches:
            watch.cancel()
        if self._starter is not None:
            await asyncio.to_thread(self._starter.shutdown)
            self._starter = None

    def _signal(self, process: subprocess.Popen[bytes], number: int) -> None:
        # Popen knows whether it has been reaped, and only the watch below reaps.
        process.send_signal(number)

    async def _watch(self, process: subprocess.Popen[bytes], exited: asyncio.Future[ExitStatus]) -> None:
        await _until_ended(process.pid)
        # Not reaped yet, so the number is still its own, and so is the group of what it started.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        code = process.wait()
        del self._processes[process.pid], self._children[process.pid]
        if not exited.done():
            exited.set_result(ExitStatus(code=code) if code >= 0 else ExitStatus(signal=-code))


async def _until_ended(pid: int) -> None:
    """Until the process has ended; leaves it to be reaped."""
    loop = asyncio.get_running_loop()
    try:
        handle = os.pidfd_open(pid)
    except (AttributeError, OSError):
        await asyncio.to_thread(os.waitid, os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        return
    ended = asyncio.Event()
    loop.add_reader(handle, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(handle)
        os.close(handle)


def _spawn(request: LaunchRequest, link: socket.socket, output: int) -> subprocess.Popen[bytes]:
    """Start the process; closes ``link`` and ``output``, which are the child's then."""
    command = own_command(
        CHILD, str(link.fileno()), str(os.getpid()), request.life_file, path=request.sys_path
    )
    try:
        return subprocess.Popen(  # noqa: S603 - this program itself
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=request.cwd if os.path.isdir(request.cwd) else "/",  # noqa: PTH112 - a test of what is passed on as text
            env=request.environ,
            pass_fds=(link.fileno(),),
            start_new_session=True,
        )
    except OSError as error:
        raise HostError(f"no process for a paglet: {error}") from error
    finally:
        link.close()
        os.close(output)


def _end_unwanted(starting: asyncio.Future[subprocess.Popen[bytes]]) -> None:
    if not starting.cancelled() and not starting.exception():
        process = starting.result()
        process.kill()
        process.wait()
