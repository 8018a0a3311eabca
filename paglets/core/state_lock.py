"""The one lock of a paglet: re-entrant, with a condition, and it can tell whether the caller holds it."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from paglets.core.errors import LifecycleError

if TYPE_CHECKING:
    from collections.abc import Callable


class StateLock:
    """A re-entrant lock and the condition "the state has changed"."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._owner: int | None = None  # written under the lock only
        self._depth = 0
        self._ended = ""

    def __enter__(self) -> None:
        self._lock.acquire()
        self._owner = threading.get_ident()
        self._depth += 1

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        if not self._depth:
            self._owner = None
        self._lock.release()

    def held(self) -> bool:
        """Whether the calling thread holds the lock."""
        # Only this thread can write its own id here, so the answer cannot be stale.
        return self._owner == threading.get_ident()

    def wait_for(self, predicate: Callable[[], object], timeout: float | None = None) -> bool:
        """Wait until the predicate holds, looking again at each notification, at most ``timeout`` seconds.

        The predicate is called under the lock; the lock is free while this waits, however deep it is held.
        ``LifecycleError`` once waits have been ended.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        with self:
            while not predicate():
                if self._ended:
                    raise LifecycleError(self._ended)
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    return False
                depth, self._depth, self._owner = self._depth, 0, None
                try:
                    self._changed.wait(left)
                finally:
                    self._depth, self._owner = depth, threading.get_ident()
            return True

    def end_waits(self, reason: str, *, blocking: bool = True) -> bool:
        """Nothing will change any more: who waits, or comes to wait, gets a ``LifecycleError``.

        Not ``blocking``: False when that would take waiting for the lock, and nothing is done.
        """
        if not self._lock.acquire(blocking=blocking):
            return False
        try:
            self._ended = reason
            self._changed.notify_all()
        finally:
            self._lock.release()
        return True

    def notify(self) -> None:
        """Wake one that waits."""
        with self:
            self._changed.notify()

    def notify_all(self) -> None:
        """Wake all that wait."""
        with self:
            self._changed.notify_all()
