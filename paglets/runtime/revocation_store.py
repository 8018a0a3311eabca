"""The revocation set's way to the store."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from paglets.persistence.store import Store

logger = logging.getLogger(__name__)


class RevocationRecords:
    """A ``RevocationStore`` over the host's store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._writes: set[asyncio.Task[bool]] = set()

    def revocations(self) -> Iterable[bytes]:
        """Every entry that was added."""
        return self._store.read_sync(lambda tx: tx.revocations())

    def add_revocation(self, entry: bytes) -> None:
        """Queue an entry for the next commit; it counts in memory at once."""
        task = asyncio.ensure_future(self._store.commit(lambda tx: tx.add_revocation(entry)))
        self._writes.add(task)
        task.add_done_callback(self._stored)

    def _stored(self, task: asyncio.Task[bool]) -> None:
        self._writes.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("a revocation could not be stored; it holds until this host stops", exc_info=error)
