"""Operations that are carried out whole, even when those who asked for them do not wait for the end."""

from __future__ import annotations

import asyncio
import functools
import logging
from typing import TYPE_CHECKING, Concatenate, ParamSpec, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

logger = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")


class Undivided:
    """Owns operations that must not stop half-way: only ``aclose`` cancels them.

    A peer that hangs up, a child that dies and a caller whose time is over cancel what waits for their answer.
    Between two durable steps that would leave a record without a process, or a process without its record.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[object]] = set()

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Carry the work out; what it gives or raises. Cancelling this call lets the work go on."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return await asyncio.shield(task)

    def _done(self, task: asyncio.Task[object]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            # Whoever still waits gets it raised; this is for those who do not.
            logger.debug("an operation ended with an error", exc_info=error)

    async def aclose(self) -> None:
        """Cancel what is under way: the host stops, and its journal says how far each came."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class HasUndivided(Protocol):
    """A part of the host with operations of that kind."""

    @property
    def undivided(self) -> Undivided:
        """Who owns them."""
        ...


Part = TypeVar("Part", bound=HasUndivided)


def undivided(
    method: Callable[Concatenate[Part, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[Part, P], Coroutine[Any, Any, T]]:
    """Decorate a method that is to be carried out whole."""

    @functools.wraps(method)
    async def carried_out(part: Part, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await part.undivided.run(method(part, *args, **kwargs))

    return carried_out
