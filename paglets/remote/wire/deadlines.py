"""Time limits of many things at a time, without a timer for each."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_ROWS = 8
"""Time limits that are remembered while nothing has them, so that the next one finds its timer running."""


class Deadlines(Generic[T]):
    """Calls ``expire(item, seconds)`` for each item that has not been discarded in its time.

    Those with the same limit stand in one row, in the order of their ends, and have one timer. An item is in it once.
    """

    def __init__(self, expire: Callable[[T, float], None]) -> None:
        self._expire = expire
        self._loop = asyncio.get_running_loop()
        self._rows: dict[float, dict[T, float]] = {}  # by limit: when each item ends, the first one first
        self._timers: dict[float, asyncio.TimerHandle] = {}

    @property
    def timers(self) -> int:
        """How many timers run."""
        return len(self._timers)

    def add(self, item: T, seconds: float) -> None:
        """Let it expire in so many seconds."""
        row = self._rows.get(seconds)
        end = self._loop.time() + seconds
        if row is None:
            row = self._rows[seconds] = {}
            self._timers[seconds] = self._loop.call_at(end, self._look, seconds)
        row[item] = end

    def discard(self, item: T, seconds: float) -> None:
        """It came in time; nothing happens when it has expired."""
        row = self._rows.get(seconds)
        if row is not None and row.pop(item, None) is not None and not row and len(self._rows) > _ROWS:
            self._drop(seconds)

    def close(self) -> None:
        """Let nothing expire any more."""
        for seconds in tuple(self._rows):
            self._drop(seconds)

    def _drop(self, seconds: float) -> None:
        del self._rows[seconds]
        self._timers.pop(seconds).cancel()

    def _look(self, seconds: float) -> None:
        row, now = self._rows[seconds], self._loop.time()
        expired: list[T] = []
        for item, end in row.items():
            if end > now:
                break
            expired.append(item)
        for item in expired:
            del row[item]
        if row:
            self._timers[seconds] = self._loop.call_at(next(iter(row.values())), self._look, seconds)
        else:
            self._drop(seconds)
        for item in expired:
            self._expire(item, seconds)
