"""The launcher of a host that forks its children off a zygote."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

from paglets.core.errors import HostError
from paglets.runtime.launchers.control import (
    Ended,
    Kill,
    Launched,
    Refused,
    close_all,
    decode_report,
    encode,
    encode_launch,
    receive,
)
from paglets.runtime.launchers.keeper import ZygoteKeeper, shared_keeper
from paglets.runtime.launchers.launcher import (
    ExitStatus,
    LaunchedProcess,
    LauncherDiedError,
    LaunchRequest,
)

if TYPE_CHECKING:
    from paglets.runtime.launchers.zygote import Zygote

logger = logging.getLogger(__name__)

_END_SECONDS = 5.0


def shared_launcher() -> ZygoteLauncher:
    """A launcher for one host, on the zygote that all hosts of this program share."""
    return ZygoteLauncher(shared_keeper())


def launcher_of(zygote: Zygote) -> ZygoteLauncher:
    """A launcher for the one host of a program that has forked its zygote itself."""
    return ZygoteLauncher(ZygoteKeeper(zygote))


class ZygoteLauncher:
    """See ``Launcher``. One for each host; the keeper may be shared by several, on several loops."""

    def __init__(self, keeper: ZygoteKeeper) -> None:
        self._keeper = keeper
        self._connection: _Connection | None = None
        self._connecting = asyncio.Lock()
        self._acquired = False
        self._closed = False

    async def start(self) -> None:
        """Connect to the zygote."""
        await self._connect()

    async def launch(self, request: LaunchRequest, first: bytes = b"") -> LaunchedProcess:
        """Fork a child. A zygote that turns out to be dead is replaced, once; ``LauncherDiedError`` if that is, too."""
        try:
            return await (await self._connect()).launch(request, first)
        except LauncherDiedError:
            return await (await self._connect()).launch(request, first)

    async def aclose(self) -> None:
        """Kill the children and release the zygote."""
        self._closed = True
        async with self._connecting:
            if self._connection is not None:
                await self._connection.aclose()
            if self._acquired:
                self._acquired = False
                await asyncio.to_thread(self._keeper.release)

    async def _connect(self) -> _Connection:
        if self._connection is not None and self._connection.alive:
            return self._connection
        async with self._connecting:
            if self._closed:
                raise HostError("this launcher is closed; a host needs one of its own")
            if self._connection is None or not self._connection.alive:
                if not self._acquired:
                    self._keeper.acquire()
                    self._acquired = True
                attaching = asyncio.get_running_loop().run_in_executor(None, self._keeper.attach)
                try:
                    self._connection = _Connection(await asyncio.shield(attaching))
                except asyncio.CancelledError:
                    attaching.add_done_callback(lambda done: done.exception() or done.result().close())
                    raise
            return self._connection


class _Connection:
    """One connection to one zygote, with the children made over it."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._loop = asyncio.get_running_loop()
        self._seq = 0
        self._launching: dict[int, asyncio.Future[tuple[int, asyncio.Future[ExitStatus]]]] = {}
        self._exits: dict[int, asyncio.Future[ExitStatus]] = {}
        self._sending = asyncio.Lock()
        self._room = asyncio.Event()
        self.alive = True
        self._loop.add_reader(channel, self._read)

    async def launch(self, request: LaunchRequest, first: bytes) -> LaunchedProcess:
        ours, theirs = socket.socketpair()
        readable, writable = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        os.set_blocking(writable, True)
        ours.settimeout(0.0)
        ours.sendall(first)
        try:
            with theirs:
                try:
                    pid, exited = await self._ask(request, theirs.fileno(), writable)
                finally:
                    os.close(writable)
        except BaseException:
            ours.close()
            os.close(readable)
            raise
        return LaunchedProcess(pid, ours, readable, exited, lambda number: self._kill(pid, number))

    async def _ask(
        self, request: LaunchRequest, link: int, output: int
    ) -> tuple[int, asyncio.Future[ExitStatus]]:
        self._seq += 1
        seq = self._seq
        packet, file = encode_launch(seq, request)
        answer = self._launching[seq] = self._loop.create_future()
        try:
            await self._send(packet, [link, output] if file is None else [link, output, file])
            return await answer
        finally:
            if file is not None:
                os.close(file)
            self._launching.pop(seq, None)
            if not answer.cancel() and not answer.cancelled():
                answer.exception()  # raised by now, unless the zygote was lost while the request was being sent

    async def _send(self, packet: bytes, descriptors: list[int]) -> None:
        async with self._sending:
            while True:
                if not self.alive:
                    raise LauncherDiedError("the process that children are forked from has died")
                try:
                    socket.send_fds(self._channel, [packet], descriptors)
                except BlockingIOError:
                    await self._writable()
                except OSError:
                    self._lose()
                else:
                    return

    async def _writable(self) -> None:
        self._room.clear()
        self._loop.add_writer(self._channel, self._room.set)
        try:
            await self._room.wait()
        finally:
            if self.alive:
                self._loop.remove_writer(self._channel)

    def _read(self) -> None:
        for _ in range(64):
            try:
                data, descriptors = receive(self._channel)
            except BlockingIOError:
                return
            except OSError:
                data, descriptors = b"", []
            close_all(descriptors)
            if not data:
                self._lose()
                return
            self._take(data)

    def _take(self, data: bytes) -> None:
        match decode_report(data):
            case Launched(seq, pid):
                exited = self._exits[pid] = self._loop.create_future()
                asked = self._launching.pop(seq, None)
                if asked is None or asked.done():
                    self._kill(pid, signal.SIGKILL)  # who asked for it was cancelled
                else:
                    asked.set_result((pid, exited))
            case Refused(seq, reason):
                asked = self._launching.pop(seq, None)
                if asked is not None and not asked.done():
                    asked.set_exception(HostError(f"no process for a paglet: {reason}"))
            case Ended(pid, status):
                exited = self._exits.pop(pid, None)
                if exited is not None and not exited.done():
                    exited.set_result(status)

    def _kill(self, pid: int, number: int) -> None:
        if self.alive and pid in self._exits:
            # Full only while the zygote is stopped from outside: nothing to wait for then.
            with suppress(OSError):
                self._channel.send(encode(Kill(pid, number)))

    def _lose(self) -> None:
        if not self.alive:
            return
        self.alive = False
        self._loop.remove_reader(self._channel)
        self._loop.remove_writer(self._channel)
        self._channel.close()
        self._room.set()
        for asked in self._launching.values():
            if not asked.done():
                asked.set_exception(LauncherDiedError("the process that children are forked from has died"))
        for exited in self._exits.values():
            if not exited.done():
                exited.set_result(ExitStatus())
        self._launching.clear()
        self._exits.clear()

    async def aclose(self) -> None:
        for pid in list(self._exits):
            self._kill(pid, signal.SIGKILL)
        if self._exits:
            await asyncio.wait(self._exits.values(), timeout=_END_SECONDS)
        self._lose()
