"""Locks and places by name, for work that goes in order, or within bounds, for each, and side by side for others."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


class Turns:
    """Who comes first is served first. A name takes no room while nobody uses it."""

    def __init__(self) -> None:
        self._locks: dict[str, tuple[asyncio.Lock, int]] = {}

    def __contains__(self, name: str) -> bool:
        """Whether somebody has the turn, or waits for it."""
        return name in self._locks

    async def acquire(self, name: str) -> None:
        """Wait for the turn; ``release`` ends it."""
        lock, users = self._locks.get(name) or (asyncio.Lock(), 0)
        self._locks[name] = (lock, users + 1)
        try:
            await lock.acquire()
        except BaseException:
            self._leave(name)
            raise

    def release(self, name: str) -> None:
        """Give the turn to the next."""
        self._locks[name][0].release()
        self._leave(name)

    @contextlib.asynccontextmanager
    async def take(self, name: str) -> AsyncGenerator[None]:
        """Have the turn."""
        await self.acquire(name)
        try:
            yield
        finally:
            self.release(name)

    def _leave(self, name: str) -> None:
        lock, users = self._locks[name]
        if users == 1:
            del self._locks[name]
        else:
            self._locks[name] = (lock, users - 1)


class Turnstile:
    """A number of places for each name, so that one who asks for much waits behind himself and not before others."""

    def __init__(self, places: int) -> None:
        self._places = places
        self._names: dict[str, tuple[asyncio.Semaphore, int]] = {}

    @contextlib.asynccontextmanager
    async def take(self, name: str) -> AsyncGenerator[None]:
        """Have one of the places of that name; the empty name has as many as it likes."""
        if not name:
            yield
            return
        places, users = self._names.get(name) or (asyncio.Semaphore(self._places), 0)
        self._names[name] = (places, users + 1)
        try:
            async with places:
                yield
        finally:
            places, users = self._names.pop(name)
            if users > 1:
                self._names[name] = (places, users - 1)
