"""The first moments of a child: nothing of its maker's is left in it but its link and its output."""

from __future__ import annotations

import ctypes
import faulthandler
import importlib
import logging
import os
import signal
import sys
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

from paglets.runtime.child.main import run_child
from paglets.runtime.launchers.orphans import hold_life

if TYPE_CHECKING:
    from collections.abc import Callable

    from paglets.runtime.launchers.control import Birth
    from paglets.runtime.launchers.launcher import LaunchRequest

LINK = 3
"""The descriptor that a child has its link on."""
OOM_SCORE_ABOVE_HOST = 400
"""Tenths of a percent of the machine's memory that a child counts for beyond what it uses, when one has to go."""
_MAX_OOM_SCORE_ADJ = 1000
_NUMBER = 32
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)
_HIGHEST_DESCRIPTOR = 1 << 20


def prepare_children() -> None:
    """What all children of a maker have alike, done once before it forks them.

    Whatever a child does by itself costs it time and pages that it shares with nobody.
    """
    default_signals()
    open_streams()
    _report_to_stderr()
    # SIGTERM and SIGHUP are the host's business (a service manager sends them to a whole group): it ends its
    # zygote and children itself, in order. They get a handler that does nothing, and not SIG_IGN, which programs
    # that a paglet starts would inherit.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave_it_to_the_host)


def become_child(link: int, output: int, birth: Birth, parent: int) -> NoReturn:
    """Turn a process that a prepared maker just forked into a child of it and run it; never returns."""

    def begin() -> int:
        detach(parent)
        return live(link, output, birth)

    guarded(begin)


def detach(parent: int) -> None:
    """Let a process that was just forked lead a session of its own, and die with ``parent``."""
    signal.set_wakeup_fd(-1)
    os.setsid()
    die_with_parent(parent)
    go_first_when_memory_runs_out()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def live(link: int, output: int, birth: Birth) -> int:
    """Live the life of the child that these descriptors were made for; the exit code."""
    _take_descriptors(link, output)
    _go_to(birth.cwd)
    hold_life(birth.life_file)
    return run_child(LINK)


def run_spawned(link: int, parent: int, life_file: str) -> NoReturn:
    """Run a child in an interpreter of its own, which has its streams, paths and session already."""

    def begin() -> int:
        die_with_parent(parent)
        go_first_when_memory_runs_out()
        prepare_children()
        hold_life(life_file)
        return run_child(link)

    guarded(begin)


def guarded(work: Callable[[], int]) -> NoReturn:
    """Do the work of a process to its end, and end it with the exit code that this gives."""
    code = 1
    try:
        code = work()
    except SystemExit as leaving:
        code = _exit_code(leaving)
    except BaseException:  # noqa: BLE001 - the last frame of the process: whatever it is, it is shown
        traceback.print_exc()
    finally:
        leave(code)


def _exit_code(leaving: SystemExit) -> int:
    """What the interpreter makes of ``sys.exit(...)``."""
    if leaving.code is None or isinstance(leaving.code, int):
        return (leaving.code or 0) & 0xFF
    sys.stderr.write(f"{leaving.code}\n")
    return 1


def leave(code: int) -> NoReturn:
    """End the process at once, without unwinding what was forked with it; output is flushed first."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when the thread that made it ends; at once when it already has.

    Linux only (``PR_SET_PDEATHSIG``, prctl(2)). Elsewhere a child still ends when its link does.
    """
    if sys.platform == "linux":
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)


def go_first_when_memory_runs_out() -> None:
    """Have the kernel kill this process before the host and the zygote, which it would otherwise do by size alone.

    Linux only (``oom_score_adj``, proc(5)); a process may always offer more of itself. What it starts inherits it.
    """
    if sys.platform == "linux":
        # Descriptors, and not files: these take a child two dozen pages less.
        with suppress(OSError):
            file = os.open("/proc/self/oom_score_adj", os.O_RDWR | os.O_CLOEXEC)
            try:
                mine = int(os.read(file, _NUMBER))
                os.pwrite(file, b"%d" % min(_MAX_OOM_SCORE_ADJ, mine + OOM_SCORE_ABOVE_HOST), 0)
            finally:
                os.close(file)


def default_signals() -> None:
    """Default dispositions for everything that can have one; SIGPIPE stays ignored, as Python has it."""
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGPIPE}:
        if signal.getsignal(number) not in {None, signal.SIG_DFL}:
            signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _leave_it_to_the_host(_number: int, _frame: object) -> None:
    return


def _take_descriptors(link: int, output: int) -> None:
    # The three standard descriptors are always open in the maker, so link and output are above them.
    os.dup2(output, 1)
    os.dup2(output, 2)
    keep_only(link)


def keep_only(descriptor: int) -> None:
    """Have that descriptor where a child has its link, the null device as stdin, and no other but the streams."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    if descriptor != LINK:
        os.dup2(descriptor, LINK, inheritable=False)
    os.set_inheritable(LINK, False)  # noqa: FBT003 - the standard library's signature
    os.closerange(LINK + 1, _HIGHEST_DESCRIPTOR)


def open_streams() -> None:
    """Fresh text streams on the three standard descriptors, whatever those lead to by the time of use."""
    sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    sys.stdout, sys.stderr = (
        os.fdopen(number, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)
        for number in (1, 2)
    )


def _report_to_stderr() -> None:
    faulthandler.enable()
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s", force=True
    )


def see_what_the_program_sees(request: LaunchRequest) -> None:
    """Take on the environment and ``sys.path`` of who asks for a child."""
    if dict(os.environ) != request.environ:
        os.environ.clear()
        os.environ.update(request.environ)
    if sys.path != request.sys_path:
        sys.path[:] = request.sys_path
        importlib.invalidate_caches()


def _go_to(directory: str) -> None:
    try:
        os.chdir(directory)
    except OSError:
        os.chdir("/")
