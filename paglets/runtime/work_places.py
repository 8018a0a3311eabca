"""Work directories as the host's loop handles them: handed on and cleared on threads, behind its back."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from paglets.core.incarnation import Incarnation
    from paglets.runtime.files.places import FilePlaces
    from paglets.runtime.work_dirs import WorkDirs

logger = logging.getLogger(__name__)


class WorkPlaces:
    """What becomes of a paglet's work directory when its life on this host changes."""

    def __init__(self, work_dirs: WorkDirs, files: FilePlaces) -> None:
        self._work_dirs = work_dirs
        self.files = files
        """Where the files are that have come with paglets."""
        self._removals: set[asyncio.Task[None]] = set()

    async def hand_on(self, agent_id: str, earlier: Incarnation, later: Incarnation) -> None:
        """It goes on here in its next life, and finds its files there; without them when the disk does not let it."""
        try:
            await asyncio.to_thread(self._work_dirs.hand_on, agent_id, earlier, later)
        except OSError:  # its next life has begun durably, and is not to stay without a process for that
            logger.exception("a paglet goes on without its work directory", extra={"agent_id": agent_id})

    async def clear(self, agent_id: str, incarnation: Incarnation) -> None:
        """It is here no more. The directory is gone when this returns; its files are removed beside that.

        Only that life's directory: a paglet that has come back meanwhile keeps its own.
        """
        aside = await asyncio.to_thread(self._work_dirs.set_aside, agent_id, incarnation)
        if aside is not None:
            task = asyncio.create_task(self._remove(aside))
            self._removals.add(task)
            task.add_done_callback(self._removals.discard)

    async def _remove(self, aside: Path) -> None:
        await asyncio.to_thread(self._work_dirs.remove, aside)

    async def aclose(self) -> None:
        """Wait no longer; what is left is cleared at the next start."""
        removals = list(self._removals)
        for removal in removals:
            removal.cancel()
        await asyncio.gather(*removals, return_exceptions=True)
        await self.files.aclose()
