"""Work that blocks, done beside what waits for the network: one step at a time, and the next one made ready."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable
    from types import TracebackType

T = TypeVar("T")

_WAITING = 1
"""Steps that may wait behind the one at work."""
_STEPS_OF_A_TURN = 4
"""What is done before whoever else waits for a thread has one."""


class Overlap:
    """Steps that run one after the other, off the loop, while their caller goes on.

    ``run`` calls a function off the loop. One step is at work, and one may wait: whoever works takes it at once, and
    does not stand still until the loop, which has other things to do, has heard of the end of the one before. After a
    few steps it lets others have their turn, who may wait for the same thread. A step that raises is the last one:
    those behind it are not done.

    ``async with``: the end of it waits for the last step, and raises what any of them raised; after an error or a
    cancellation it waits, too, so that nothing is at work on what the caller then lets go of.
    """

    def __init__(self, run: Callable[[Callable[[], None]], Awaitable[None]]) -> None:
        self._run = run
        self._loop = asyncio.get_running_loop()
        self._steps: deque[Callable[[], None]] = deque()
        """The one at work, and those behind it."""
        self._work: asyncio.Task[None] | None = None
        self._room = asyncio.Event()
        """Set when a step has ended."""

    async def start(self, step: Callable[[], None]) -> None:
        """Have this done next. Waits while another one waits for that; raises what one before it raised."""
        while not self._hand_over(step):
            await self._room.wait()

    async def wait(self) -> None:
        """Wait for the last step; raises what any of them raised."""
        if self._work is not None:
            await asyncio.shield(self._work)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        work, self._work = self._work, None
        if work is not None:
            await ended(work)
            if kind is None:
                work.result()

    def _hand_over(self, step: Callable[[], None]) -> bool:
        done = self._work is None or self._work.done()
        if self._work is not None and done:
            self._work.result()
        if len(self._steps) > _WAITING:
            self._room.clear()
            return False
        self._steps.append(step)
        if done:
            self._work = asyncio.create_task(self._work_off())
            self._work.add_done_callback(lambda _: self._room.set())
        return True

    async def _work_off(self) -> None:
        while self._steps:
            await self._run(self._turn)

    def _turn(self) -> None:
        """Off the loop: what is there, and what comes meanwhile."""
        for _ in range(_STEPS_OF_A_TURN):
            self._steps[0]()
            self._steps.popleft()
            self._loop.call_soon_threadsafe(self._room.set)
            if not self._steps:
                return


async def ahead(read: Callable[[], Awaitable[T]]) -> AsyncGenerator[T]:
    """What each call of ``read`` gives, until one gives nothing; the next is under way while one is used.

    To be closed when it is not used up (``contextlib.aclosing``): then nothing is read any more.
    """
    coming = asyncio.ensure_future(read())
    try:
        while got := await asyncio.shield(coming):
            coming = asyncio.ensure_future(read())
            yield got
    finally:
        await ended(coming)


async def ended(step: asyncio.Future[T]) -> None:
    """Wait until a step has ended, whatever came of it. Cancelled, wait all the same, and be cancelled then."""
    cancelled: asyncio.CancelledError | None = None
    while not step.done():
        try:
            await asyncio.wait([step])
        except asyncio.CancelledError as error:
            cancelled = error
    if not step.cancelled():
        step.exception()  # whoever waits for it has it; else nobody does
    if cancelled is not None:
        raise cancelled
