"""Lets go of artifacts whose time is over, and of what came in and was never completed."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from paglets.persistence.errors import StoreError

if TYPE_CHECKING:
    from paglets.artifacts.store import ArtifactStore
    from paglets.runtime.artifacts.workers import Workers
    from paglets.runtime.files.arriving import ArrivingFiles
    from paglets.runtime.files.places import FilePlaces

logger = logging.getLogger(__name__)

INTERVAL = 60.0
"""Seconds between two looks. Looking reads; only what is over is written."""
STAGED_LIFETIME = 3600.0
"""Seconds that files wait for their paglet's envelope."""


class ArtifactSweeper:
    """Looks once a minute."""

    def __init__(
        self, artifacts: ArtifactStore, arriving: ArrivingFiles, places: FilePlaces, workers: Workers
    ) -> None:
        self._artifacts = artifacts
        self._arriving = arriving
        self._places = places
        self._workers = workers
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Look now, and from now on every minute; what an earlier life of the host left is nobody's."""
        self._places.tidy()
        self._task = asyncio.create_task(self._run(), name="sweeping artifacts")

    async def aclose(self) -> None:
        """Stop looking."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            try:
                await self._workers.undivided(self._artifacts.cleanup_temporary)
            except StoreError as error:
                logger.warning("artifacts could not be swept", extra={"error": str(error)})
            self._arriving.forget_before(STAGED_LIFETIME)
            await asyncio.sleep(INTERVAL)
