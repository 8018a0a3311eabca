"""Threads for what blocks: reading, writing, hashing and compressing content."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from paglets.remote.bulk.overlap import ended

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
T = TypeVar("T")

_THREADS = 4


class Workers:
    """A few threads of a host's own, so that slow disks do not hold up its other threads."""

    def __init__(self, name: str) -> None:
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix=name)

    async def run(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function on one of them. Cancelled, the function runs to its end all the same."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, lambda: function(*args, **kwargs))

    async def undivided(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """The same; a caller that is cancelled waits for the end of it first."""
        work = asyncio.ensure_future(self.run(function, *args, **kwargs))
        try:
            return await asyncio.shield(work)
        finally:
            await ended(work)  # however often it is cancelled: what the function works on is let go of then

    async def aclose(self) -> None:
        """Wait for what is being done; nothing more is."""
        await asyncio.to_thread(self._pool.shutdown, cancel_futures=True)
