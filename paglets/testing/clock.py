"""Time that tests move: a clock with timers for code that is given one, and an event loop that never waits in vain."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import selectors
import time
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class Timer:
    """Something that a clock will do."""

    __slots__ = ("_action", "due")

    def __init__(self, due: float, action: Callable[[], None]) -> None:
        self.due = due
        """When, by its clock."""
        self._action: Callable[[], None] | None = action

    def cancel(self) -> None:
        """Have it not done; no harm when it was."""
        self._action = None

    def fire(self) -> None:
        """Do it, unless it was done or cancelled. For clocks."""
        action, self._action = self._action, None
        if action is not None:
            action()


class Clock:
    """Stands still until it is moved. For code that takes a ``clock: Callable[[], float]``, in seconds.

    Timers set with ``later`` go off while it is moved past them, in order, each at its own time; those of the
    same time in the order in which they were set. For one thread.
    """

    def __init__(self, start: float = 0.0) -> None:
        self._now = start
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()

    def now(self) -> float:
        """The time."""
        return self._now

    __call__ = now

    def later(self, delay: float, action: Callable[[], None]) -> Timer:
        """Have the action called in ``delay`` seconds (at once, for the next move, when that is not positive)."""
        timer = Timer(self._now + max(delay, 0.0), action)
        heapq.heappush(self._timers, (timer.due, next(self._order), timer))
        return timer

    def advance(self, seconds: float) -> None:
        """Let that much time pass. What a timer raises passes through; the clock then stands at that timer."""
        if seconds < 0:
            raise ValueError("time does not go back")
        end = self._now + seconds
        while self._timers and self._timers[0][0] <= end:
            self._now, _, timer = heapq.heappop(self._timers)
            timer.fire()
        self._now = end

    def advance_until(self, condition: Callable[[], object], *, within: float, step: float = 0.05) -> float:
        """Let time pass, a step at a time, until the condition holds; how long that took.

        ``AssertionError`` when it does not hold ``within`` seconds.
        """
        start = self._now
        while not condition():
            if self._now - start >= within:
                raise AssertionError(f"it did not happen within {within:g} s")
            self.advance(step)
        return self._now - start


class JumpingEventLoop(asyncio.SelectorEventLoop):
    """An event loop whose time jumps to the next timer as soon as there is nothing else to do.

    ``asyncio.sleep(3600)`` takes no time, and an hour of ``loop.time()``; between two timers time stands still.
    The order of things is that of a machine that is infinitely fast, so timeouts mean what they say and tests
    do not depend on how busy the machine is. Use it as ``asyncio.Runner(loop_factory=JumpingEventLoop)``.

    While a thread works for the loop (``asyncio.to_thread``, ``run_in_executor``) time passes as it does outside.
    Of everything else outside - sockets, processes, threads with ``call_soon_threadsafe`` - the loop cannot know
    that it should wait: where a test has them, ``patience`` is how long (in real seconds) nothing must have come
    before time jumps.
    """

    def __init__(self, *, start: float = 0.0, patience: float = 0.0) -> None:
        self._now = start
        self._working = 0
        super().__init__(_JumpingSelector(self, patience))

    def time(self) -> float:
        """Seconds since ``start``, as far as this loop is concerned."""
        return self._now

    @property
    def is_worked_for(self) -> bool:
        """Whether threads of an executor work for this loop."""
        return self._working > 0

    def pass_time(self, seconds: float) -> None:
        """Let ``loop.time()`` go on by that much; timers that are due then go off in the loop's next turn."""
        self._now += seconds

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:
        """See ``asyncio.loop.run_in_executor``; time does not jump before its result is here."""
        self._working += 1
        try:
            job = super().run_in_executor(executor, func, *args)
        except BaseException:
            self._working -= 1
            raise
        job.add_done_callback(self._has_worked)
        return job

    def _has_worked(self, _: asyncio.Future[Any]) -> None:
        self._working -= 1


class _JumpingSelector(selectors.DefaultSelector):
    """Waits as little as it may; what it did not wait for has passed on the loop's clock."""

    def __init__(self, loop: JumpingEventLoop, patience: float) -> None:
        super().__init__()
        self._loop = loop
        self._patience = patience

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """The events that are here, or have come within ``timeout`` seconds of the loop's time."""
        if timeout is None or timeout <= 0.0:
            return super().select(timeout)
        if self._loop.is_worked_for:
            begun = time.monotonic()
            events = super().select(timeout)
            self._loop.pass_time(time.monotonic() - begun)
            return events
        events = super().select(min(self._patience, timeout))
        if not events:
            self._loop.pass_time(timeout)
        return events
