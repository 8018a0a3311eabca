"""Has targets hear the floor again while a link to them stands: its greeting told it once, at the beginning.

A target keeps a verdict until the floor has passed it. Two hosts that never stop talking keep their link for ever.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from paglets.core.errors import PagletError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

logger = logging.getLogger(__name__)

EVERY = 256
"""Transfers to a target that are settled between two greetings: what it may have to keep too long."""
_TIMEOUT = 20.0


class FloorNews:
    """Counts what is settled, and greets a target anew every so often. ``greet`` is given its host id."""

    def __init__(self, greet: Callable[[str], Awaitable[None]], *, own_id: str) -> None:
        self._greet = greet
        self._own_id = own_id
        self._settled: dict[str, int] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def settled(self, host_id: str) -> None:
        """A transfer to that host is settled."""
        if host_id == self._own_id:
            return
        self._settled[host_id] = self._settled.get(host_id, 0) + 1
        if self._settled[host_id] >= EVERY and host_id not in self._tasks:
            del self._settled[host_id]
            task = self._tasks[host_id] = asyncio.create_task(self._tell(host_id))
            task.add_done_callback(lambda _: self._tasks.pop(host_id, None))

    async def _tell(self, host_id: str) -> None:
        try:
            async with asyncio.timeout(_TIMEOUT):
                await self._greet(host_id)
        except (PagletError, OSError, TimeoutError) as error:
            # A new link begins with a greeting; over this one it is tried again after as many transfers.
            logger.debug("a host was not told the floor", extra={"peer": host_id, "error": str(error)})

    async def aclose(self) -> None:
        """Tell nobody any more."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
