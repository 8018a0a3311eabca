"""An event loop that is run by whoever waits for something on it, and by a thread of its own otherwise.

A program that calls a host from one thread then sends, waits and receives on that thread: no other has to be woken
for the request, nor this one for the answer.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
import time
from typing import TYPE_CHECKING, Any

from paglets.core.cork import cork_of
from paglets.core.role import Role
from paglets.remote.replies import RawReply

if TYPE_CHECKING:
    from collections.abc import Callable


class SharedLoop:
    """Made by the thread that stands by, which calls ``serve``. All else may be called from any thread.

    ``broken`` is called when a thread was interrupted (Ctrl-C, for example) in the middle of the loop's work, or of
    work for it: what was at work then cannot be relied on any more.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, broken: Callable[[], None]) -> None:
        self.loop = loop
        self._broken = broken
        self._cork = cork_of(loop)
        self._role = Role(self._is_needed)
        self._runner = 0  # the thread that runs the loop, or works for it
        self._awaited: concurrent.futures.Future[Any] | None = None  # what the runner waits for
        self._without: list[
            concurrent.futures.Future[Any]
        ] = []  # what those wait for who do not run the loop
        self._held = 0
        self._over = False
        self._counting = threading.Lock()

    # --- by the thread that stands by ----------------------------------------------------------------

    def serve(self) -> None:
        """Run the loop whenever nobody else does, until ``end``; the loop is the calling thread's alone then."""
        self._role.stand_by(self._run_for_others)
        self._role.take_for_good()
        with self._counting:
            self._over = True
        self.loop.call_soon(self.loop.stop)
        self.loop.run_forever()  # with it, all who have asked it to stop have had what they asked for

    def end(self) -> None:
        """Have ``serve`` return soon."""
        self._role.end()
        self._wake_loop()

    # --- by those who call ---------------------------------------------------------------------------

    @property
    def is_mine(self) -> bool:
        """Whether the calling thread is the one that runs the loop just now."""
        return self._runner == threading.get_ident()

    def answer(self) -> RawReply:
        """A future for something on the loop; whoever waits for its result runs the loop meanwhile."""
        return _Answer(self)

    def at_once(self, work: Callable[[], bool]) -> bool:
        """Do something short here and now, if nobody runs the loop; whether ``work`` was called, and said so.

        The loop does not run meanwhile: no task can be made.
        """
        if not self._role.take():
            return False
        self._runner = threading.get_ident()
        try:
            return work()
        except BaseException as error:
            if not isinstance(error, Exception):
                self._broken()
            raise
        finally:
            self._runner = 0
            self._role.leave(worked=False)

    def flush(self) -> None:
        """Have what is held back leave now; whoever runs the loop has seen to it already."""
        self.at_once(lambda: self._cork.release() is None)

    def wait_for(self, future: concurrent.futures.Future[Any], timeout: float | None) -> None:
        """Wait until that future is done, or the time is up; runs the loop meanwhile if nobody else does."""
        until = None if timeout is None else time.monotonic() + timeout
        while not future.done():
            left = None if until is None else until - time.monotonic()
            if left is not None and left <= 0:
                break
            if _runs_a_loop() or not self._role.take():
                self._wait(future, left)
                break
            self._lead(future, left)

    def hold(self) -> None:
        """From now on somebody expects things of the loop without waiting for them here; ends with ``let_go``."""
        with self._counting:
            self._held += 1
        if not self._role.taken:
            self._role.wake()

    def let_go(self) -> None:
        """End of ``hold``."""
        with self._counting:
            self._held -= 1

    # --- inside --------------------------------------------------------------------------------------

    def _lead(self, future: concurrent.futures.Future[Any], timeout: float | None) -> None:
        """Run the loop for that future; the role is this thread's."""
        if self._role.ended:
            self._role.leave()
            self._wait(future, timeout)
            return
        timer = None if timeout is None else self.loop.call_later(timeout, self.loop.stop)
        self._awaited = future
        future.add_done_callback(self._came)
        try:
            if not future.done():
                self._run()
        finally:
            self._awaited = None
            if timer is not None:
                timer.cancel()
            self._role.leave()

    def _wait(self, future: concurrent.futures.Future[Any], timeout: float | None) -> None:
        """Wait for what another thread's running of the loop brings."""
        self._without.append(future)
        if not self._role.taken:
            self._role.wake()
        future.add_done_callback(self._came)
        try:
            concurrent.futures.wait([future], timeout)
        finally:
            self._without.remove(future)

    def _came(self, future: concurrent.futures.Future[Any]) -> None:
        """Somebody has what he waited for: he, or who waited for nothing, leaves the loop to him."""
        if self._awaited is future or self._awaited is None:
            self._wake_loop()

    def _wake_loop(self) -> None:
        if self.is_mine:
            self.loop.stop()
            return
        with self._counting:
            if not self._over:
                self.loop.call_soon_threadsafe(self.loop.stop)

    def _run(self) -> None:
        self._runner = threading.get_ident()
        try:
            self._cork.release()
            self.loop.run_forever()
        except BaseException as error:
            if not _while_waiting(error):
                self._broken()
            raise
        finally:
            self._runner = 0

    def _run_for_others(self) -> None:
        self._run()
        while self._is_needed() and not self._role.ended:
            self._run()

    def _is_needed(self) -> bool:
        """Whether somebody waits who does not run the loop."""
        return self._held > 0 or any(not future.done() for future in tuple(self._without))


class _Answer(RawReply):
    """A future of which the result is waited for by running the loop that brings it."""

    def __init__(self, shared: SharedLoop) -> None:
        super().__init__()
        self._shared = shared

    def result(self, timeout: float | None = None) -> Any:
        return super().result(self._waited(timeout))

    def exception(self, timeout: float | None = None) -> BaseException | None:
        return super().exception(self._waited(timeout))

    def _waited(self, timeout: float | None) -> float | None:
        if self.done() or self._shared.is_mine:
            return timeout
        self._shared.wait_for(self, timeout)
        return None if timeout is None else 0


def _runs_a_loop() -> bool:
    """Whether the calling thread runs a loop of its own, and so cannot run another."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _while_waiting(error: BaseException) -> bool:
    """Whether it came while the loop waited for its sockets, and so interrupted nothing."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_code.co_name == "select"
