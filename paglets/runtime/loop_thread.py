"""The thread that owns a host: one asyncio loop, and the synchronous door to it."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import threading
from typing import TYPE_CHECKING, Any, TypeVar

from paglets.core.errors import HostError
from paglets.runtime.busy_polling import BusyPollingLoop

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")

_START_TIMEOUT = 10.0
_STOP_TIMEOUT = 30.0


class LoopThread:
    """Runs an asyncio loop on a thread of its own, or adopts the loop of the thread that calls ``adopt``.

    ``run`` is the way in for every other thread. Nothing on the loop may call ``run``: it would wait for
    itself, so it raises ``HostError`` there.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._owner: int | None = None
        self._waiting: set[concurrent.futures.Future[Any]] = set()

    @property
    def running(self) -> bool:
        """Whether there is a loop to submit to."""
        return self._loop is not None

    def start(self) -> None:
        """Start the thread and wait until its loop runs; nothing happens when it does already."""
        if self._loop is not None:
            return
        started = threading.Event()
        self._thread = threading.Thread(target=self._main, args=(started,), name=self._name, daemon=True)
        self._thread.start()
        if not started.wait(_START_TIMEOUT):
            raise HostError(f"the thread of {self._name} did not start within {_START_TIMEOUT:.0f} s")

    def adopt(self, loop: asyncio.AbstractEventLoop) -> None:
        """Use a loop that somebody else runs on the calling thread."""
        self._loop = loop
        self._owner = threading.get_ident()

    def refuse_own_thread(self) -> None:
        """``HostError`` on the loop's own thread, where a synchronous call would wait for itself."""
        if threading.get_ident() == self._owner:
            raise HostError(
                f"a synchronous call on {self._name} from its own loop thread would wait for itself; "
                "call it from another thread, or await the asynchronous form"
            )

    def run(self, work: Coroutine[Any, Any, T], timeout: float | None = None) -> T:
        """Run a coroutine on the loop and wait for its result.

        Raises what the coroutine raises; ``HostError`` from the loop's own thread, when the loop does not
        run, and (after cancelling the work) when ``timeout`` seconds pass.
        """
        try:
            self.refuse_own_thread()
        except HostError:
            work.close()
            raise
        future = self.submit(work)
        try:
            return future.result(timeout)
        except concurrent.futures.TimeoutError:
            if future.done():
                raise
            future.cancel()
            raise HostError(f"{self._name} did not answer within {timeout:g} s") from None
        except concurrent.futures.CancelledError:
            raise HostError(f"{self._name} stopped before it answered") from None

    def submit(self, work: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Start a coroutine on the loop from any thread; its owner is the future that comes back."""
        loop = self._loop
        if loop is None:
            work.close()
            raise HostError(f"{self._name} is not running; call start_background() first")
        future = asyncio.run_coroutine_threadsafe(work, loop)
        self._waiting.add(future)
        future.add_done_callback(self._waiting.discard)
        return future

    def join(self) -> None:
        """Wait until the thread has ended."""
        if self._thread is not None:
            self._thread.join()

    def stop(self) -> None:
        """End the loop's thread, bounded; an adopted loop is only forgotten."""
        loop, thread = self._loop, self._thread
        self._loop = self._thread = None
        for future in tuple(self._waiting):
            future.cancel()  # whoever waits on another thread is told that the host has stopped
        if thread is None or loop is None:
            self._owner = None
            return
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(loop.stop)
        thread.join(_STOP_TIMEOUT)
        self._owner = None

    def _main(self, started: threading.Event) -> None:
        with asyncio.Runner(loop_factory=BusyPollingLoop) as runner:
            loop = runner.get_loop()
            self._loop = loop
            self._owner = threading.get_ident()
            loop.call_soon(started.set)
            loop.run_forever()
