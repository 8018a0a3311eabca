"""Forgets where paglets went and that they were disposed of, when the stated lifetime of that is over."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from paglets.persistence.errors import StoreError
from paglets.persistence.journal.conflict import JournalConflict
from paglets.persistence.journal.forgetting import RECORD_LIFETIME, forget

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from paglets.persistence.lmdb_transaction import LmdbTransaction
    from paglets.persistence.records import PagletRecord
    from paglets.persistence.store import Store

logger = logging.getLogger(__name__)

INTERVAL = 6 * 3600.0
"""Seconds between two looks. Looking reads; only what is to be forgotten is written."""
_PAGE = 200
"""Records that are forgotten in one commit: others have to write in between."""


class Forgetter:
    """Looks now and then for those that are gone for long enough; the others are not looked at."""

    def __init__(
        self, store: Store, *, lifetime: float = RECORD_LIFETIME, clock: Callable[[], float] = time.time
    ) -> None:
        self._store = store
        self._lifetime = lifetime
        self._clock = clock
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Look now, and from now on every six hours."""
        self._task = asyncio.create_task(self._run(), name="forgetting")

    async def aclose(self) -> None:
        """Stop looking."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            try:
                await self.sweep()
            except StoreError as error:
                logger.warning("old records could not be forgotten", extra={"error": str(error)})
            await asyncio.sleep(INTERVAL)

    async def sweep(self) -> int:
        """Forget what is old enough; how many records that were."""
        forgotten, now = 0, self._clock()
        old = await self._store.read(lambda tx: tx.gone(now - self._lifetime))
        for start in range(0, len(old), _PAGE):
            page = old[start : start + _PAGE]
            records = await self._store.read(lambda tx, ids=page: tx.some_paglets(ids))
            forgotten += await self._store.commit(lambda tx, some=records: self._forget(tx, some, now))
        return forgotten

    def _forget(self, tx: LmdbTransaction, records: Sequence[PagletRecord], now: float) -> int:
        forgotten = 0
        for record in records:
            # One that has changed, or is needed, is refused before anything is written of it.
            with suppress(JournalConflict):
                forget(tx, record.agent_id, record.incarnation, now=now, lifetime=self._lifetime)
                forgotten += 1
        return forgotten
