"""Those outside a paglet's process who wait until somebody notifies it."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from paglets.core.errors import PagletError


class Notices:
    """A condition without a lock: what is notified while nobody waits is forgotten."""

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def wait(self, timeout: float | None) -> bool:
        """Wait for a notice; False when ``timeout`` seconds pass first. Raises what ``end`` was given."""
        notice: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(notice)
        try:
            async with asyncio.timeout(timeout):
                await notice
        except TimeoutError:
            return False
        finally:
            if notice in self._waiting:
                self._waiting.remove(notice)
        return True

    def notify(self, *, everyone: bool) -> bool:
        """Wake the one that has waited longest, or all; whether there was any."""
        woken = False
        while self._waiting and (everyone or not woken):
            notice = self._waiting.popleft()
            if not notice.done():
                notice.set_result(None)
                woken = True
        return woken

    def end(self, error: PagletError) -> None:
        """There will be no more notices."""
        while self._waiting:
            notice = self._waiting.popleft()
            if not notice.done():
                notice.set_exception(error)
