"""A result that is still to come, for those who are told of it at once.

A future of asyncio tells in the next turn of its loop, and a task takes one more to begin and to end: a message
that passes four of them costs more in turns than in work. What needs no waiting of its own uses these instead.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator

logger = logging.getLogger(__name__)

T = TypeVar("T")

_NOTHING: Any = object()
_FAILED = "one who waited for a result failed over it"


class Pending(Generic[T]):
    """One result, or the error or cancellation in its place. Belongs to one loop, like everything that settles it.

    Used like an asyncio future, and can be awaited like one; but those who wait are called before ``set_result``
    returns, in the order in which they came. What they raise is logged, and goes no further.
    """

    __slots__ = ("_cancelled", "_error", "_listeners", "_result")

    def __init__(self) -> None:
        self._result: T = _NOTHING
        self._error: Exception | None = None
        self._cancelled = False
        self._listeners: list[Callable[[Pending[T]], object]] | None = []  # None: it is settled

    def done(self) -> bool:
        """Whether it is settled: with a result, an error, or cancelled."""
        return self._listeners is None

    def cancelled(self) -> bool:
        """Whether nobody wants it any more."""
        return self._cancelled

    def cancel(self) -> bool:
        """Nobody wants it any more; False when it was settled before."""
        if self._listeners is None:
            return False
        self._cancelled = True
        self._settle()
        return True

    def set_result(self, result: T) -> None:
        """Settle it; ``asyncio.InvalidStateError`` when it is settled."""
        if self._listeners is None:
            raise _settled_already()
        self._result = result
        self._settle()

    def set_exception(self, error: Exception) -> None:
        """Settle it with an error; ``asyncio.InvalidStateError`` when it is settled."""
        if self._listeners is None:
            raise _settled_already()
        self._error = error
        self._settle()

    def result(self) -> T:
        """The result; raises the error in its place, ``asyncio.CancelledError`` or ``InvalidStateError``."""
        if (error := self.exception()) is not None:
            raise error
        return self._result

    def exception(self) -> Exception | None:
        """The error in its place; ``asyncio.CancelledError`` or ``InvalidStateError``."""
        if self._cancelled:
            raise asyncio.CancelledError
        if self._listeners is not None:
            raise asyncio.InvalidStateError("this is not settled yet")
        return self._error

    def add_done_callback(self, listener: Callable[[Pending[T]], object]) -> None:
        """Call ``listener(self)`` when it is settled: now, when it is."""
        if self._listeners is not None:
            self._listeners.append(listener)
            return
        try:
            listener(self)
        except Exception:
            logger.exception(_FAILED)

    def follow(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Be settled by what that work ends with, which is cancelled when this is settled otherwise.

        The task is the caller's to own.
        """
        task = asyncio.get_running_loop().create_task(work)
        self.add_done_callback(lambda _: task.cancel())
        task.add_done_callback(self._take)
        return task

    def __await__(self) -> Generator[Any, Any, T]:
        if self._listeners is not None:
            woken = asyncio.get_running_loop().create_future()
            self._listeners.append(lambda _: woken.done() or woken.set_result(None))
            try:
                yield from woken
            except asyncio.CancelledError:
                self.cancel()
                raise
        return self.result()

    def _take(self, task: asyncio.Task[T]) -> None:
        if self._listeners is None:
            if not task.cancelled():
                task.exception()  # nobody waits for it
        elif task.cancelled():
            self.cancel()
        elif (error := task.exception()) is not None:
            self.set_exception(cast("Exception", error))
        else:
            self.set_result(task.result())

    def _settle(self) -> None:
        listeners, self._listeners = self._listeners, None
        for listener in listeners or ():
            try:
                listener(self)
            except Exception:
                logger.exception(_FAILED)


def settled(result: T) -> Pending[T]:
    """One that has its result already."""
    pending: Pending[T] = Pending()
    pending.set_result(result)
    return pending


def _settled_already() -> asyncio.InvalidStateError:
    return asyncio.InvalidStateError("this is settled already")
