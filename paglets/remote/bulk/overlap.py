"""Work that blocks, done beside what waits for the network: one step at a time, and the next one made ready."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable
    from types import TracebackType

T = TypeVar("T")


class Overlap:
    """Steps that run one after the other, off the loop, while their caller goes on.

    ``run`` calls a function off the loop. ``async with``: the end of it waits for the last step, and raises what that
    raised; after an error or a cancellation it waits, too, so that nothing is at work on what the caller then lets
    go of.
    """

    def __init__(self, run: Callable[[Callable[[], None]], Awaitable[None]]) -> None:
        self._run = run
        self._step: asyncio.Future[None] | None = None

    async def start(self, step: Callable[[], None]) -> None:
        """Wait for the step before, raise what it raised, and else start this one."""
        await self.wait()
        self._step = asyncio.ensure_future(self._run(step))

    async def wait(self) -> None:
        """Wait for the last step, and raise what it raised."""
        if self._step is not None:
            try:
                await asyncio.shield(self._step)
            finally:
                if self._step.done():
                    self._step = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        step, self._step = self._step, None
        if step is not None:
            await ended(step)
            if kind is None:
                step.result()


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
