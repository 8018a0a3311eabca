"""What runs inside a zygote: one thread that forks, reaps and reports, and never an author's code."""

from __future__ import annotations

import gc
import logging
import os
import select
import signal
import socket
import traceback
from collections import deque
from contextlib import suppress
from typing import NoReturn

from paglets.core.pages import keep_originals
from paglets.runtime.child.rehearsal import rehearse_and_forget
from paglets.runtime.launchers.control import (
    Birth,
    Ended,
    Kill,
    Launch,
    Launched,
    Refused,
    Report,
    close_all,
    decode_order,
    encode,
    read_request,
    receive,
)
from paglets.runtime.launchers.holes import fill_holes
from paglets.runtime.launchers.launcher import ExitStatus, LaunchRequest
from paglets.runtime.launchers.newborn import (
    become_child,
    prepare_children,
    see_what_the_program_sees,
)
from paglets.runtime.launchers.packing import lay_together
from paglets.runtime.launchers.spare import Spares

logger = logging.getLogger(__name__)


def run_zygote(
    root: socket.socket, program: int, *, prepared: bool = False, forked: bool = False
) -> NoReturn:
    """Serve until the program (a process id) ends or closes its end of ``root``; never returns.

    ``prepared``: what this process was forked from has prepared its code and filled its holes.
    ``forked``: it shares its memory with the program, which may be large, and which has to keep the originals of that
    itself.
    """
    try:
        with suppress(PermissionError):  # it leads a session already
            os.setsid()
        prepare_children()
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the program ends its zygote, nobody else
        if not prepared:
            prepare_code()
        gc.collect()
        filling = [] if prepared else fill_holes()
        gc.freeze()  # a collection in a child must not touch, and so copy, the pages shared with the others
        if not forked:
            keep_originals()
        _Zygote(root, program).serve()
        filling.clear()  # not before
    except BaseException:  # noqa: BLE001 - the last frame of the process: whatever it is, it is shown
        traceback.print_exc()
    finally:
        os._exit(0)


def prepare_code() -> None:
    """Have the code that children run first ready, in this process, before any of them is forked from it.

    That is the zygote, or the process that it is forked from, as long as that has one thread: both share the result.
    """
    try:
        lay_together(rehearse_and_forget)
    except Exception:  # whatever is wrong will be said again when it is in earnest, to whom it concerns
        logger.exception("a zygote could not rehearse for its children")


class _Channel:
    """One launcher's connection, with the children that it asked for."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.children: set[int] = set()
        self.unsent: deque[bytes] = deque()


class _Zygote:
    def __init__(self, root: socket.socket, program: int) -> None:
        self._pid = os.getpid()
        self._root = root
        self._channels: dict[int, _Channel] = {}
        self._owners: dict[int, _Channel] = {}
        self._poll = select.poll()
        self._woken, waker = socket.socketpair()
        for end in (root, self._woken, waker):
            end.settimeout(0.0)
        self._waker = waker
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
        self._poll.register(root, select.POLLIN)
        self._poll.register(self._woken, select.POLLIN)
        self._seen: tuple[list[str], dict[str, str]] | None = None
        self._spares = Spares(self._pid)
        self._program = _watch(program)
        if self._program is not None:
            # Somebody else may hold a copy of the program's end of root: a fork of it, say.
            self._poll.register(self._program, select.POLLIN)

    def serve(self) -> None:
        while True:
            ready = self._poll.poll(self._spares.patience())
            if not ready:
                self._spares.see_to()  # nobody waits for anything
            for descriptor, events in ready:
                if descriptor == self._program:
                    return self._kill_all()
                if descriptor == self._root.fileno():
                    if not self._attach():
                        return self._kill_all()
                elif descriptor == self._woken.fileno():
                    with suppress(BlockingIOError):
                        self._woken.recv(4096)
                elif channel := self._channels.get(descriptor):
                    self._attend(channel, events)
            self._reap()

    def _attach(self) -> bool:
        """Take the launcher connections that wait at the root; False when the program has let go of it."""
        while True:
            try:
                data, descriptors = receive(self._root)
            except BlockingIOError:
                return True
            except OSError:
                return False
            if not data:
                return False
            for descriptor in descriptors:
                connection = socket.socket(fileno=descriptor)
                connection.settimeout(0.0)
                self._channels[descriptor] = _Channel(connection)
                self._poll.register(descriptor, select.POLLIN)

    def _attend(self, channel: _Channel, events: int) -> None:
        if events & select.POLLOUT:
            self._flush(channel)
        if not events & ~select.POLLOUT:
            return
        try:
            data, descriptors = receive(channel.connection)
        except BlockingIOError:
            return
        except OSError:
            data, descriptors = b"", []
        if not data:
            self._detach(channel)
            return
        try:
            self._obey(channel, data, descriptors)
        finally:
            close_all(descriptors)

    def _obey(self, channel: _Channel, data: bytes, descriptors: list[int]) -> None:
        match decode_order(data):
            case Kill(pid, number):
                if pid in channel.children:
                    os.kill(pid, number)
            case Launch(seq, request):
                self._launch(channel, seq, request or read_request(descriptors[2]), descriptors)

    def _launch(self, channel: _Channel, seq: int, request: LaunchRequest, descriptors: list[int]) -> None:
        surroundings = request.sys_path, request.environ
        if surroundings != self._seen:
            # Here and not in each child: they are nearly always the same, and a fork brings them along.
            see_what_the_program_sees(request)
            self._seen = surroundings
            self._spares.drop()
        try:
            pid = self._new_child(descriptors[0], descriptors[1], Birth(request.cwd, request.life_file))
        except OSError as error:
            self._tell(channel, Refused(seq, f"cannot fork: {error.strerror}"))
            return
        channel.children.add(pid)
        self._owners[pid] = channel
        self._tell(channel, Launched(seq, pid))
        self._spares.launched()

    def _new_child(self, link: int, output: int, birth: Birth) -> int:
        if (pid := self._spares.take(link, output, birth)) is not None:
            return pid
        if not (pid := os.fork()):
            become_child(link, output, birth, self._pid)
        return pid

    def _reap(self) -> None:
        while True:
            try:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if ended is None:
                return
            pid = ended.si_pid
            # Not reaped yet, so the number is still its own, and so is the group of what it started.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            self._spares.ended(pid)
            channel = self._owners.pop(pid, None)
            if channel is not None:
                channel.children.discard(pid)
                status = ExitStatus(code=code) if code >= 0 else ExitStatus(signal=-code)
                self._tell(channel, Ended(pid, status))

    def _tell(self, channel: _Channel, report: Report) -> None:
        channel.unsent.append(encode(report))
        self._flush(channel)

    def _flush(self, channel: _Channel) -> None:
        if channel.connection.fileno() < 0:
            return
        try:
            while channel.unsent:
                channel.connection.send(channel.unsent[0])
                channel.unsent.popleft()
        except BlockingIOError:
            self._poll.modify(channel.connection, select.POLLIN | select.POLLOUT)
            return
        except OSError:
            channel.unsent.clear()  # it is gone; its end of file comes next
        self._poll.modify(channel.connection, select.POLLIN)

    def _detach(self, channel: _Channel) -> None:
        descriptor = channel.connection.fileno()
        self._poll.unregister(descriptor)
        del self._channels[descriptor]
        channel.connection.close()
        for pid in channel.children:
            os.kill(pid, signal.SIGKILL)

    def _kill_all(self) -> None:
        # Nobody reads there any more, and it is closed before the last of them has ended.
        signal.set_wakeup_fd(-1)
        self._spares.drop()
        for pid in self._owners:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
            os.kill(pid, signal.SIGKILL)


def _watch(pid: int) -> int | None:
    """A descriptor that becomes readable when the process ends; None where the kernel has no such thing."""
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return None
