"""Takes damaged records out of the way, keeps them as they were found, and remembers them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paglets.persistence.errors import StoreError
from paglets.persistence.jobs import LoopJob, ThreadJob

if TYPE_CHECKING:
    from collections.abc import Callable

    from paglets.persistence.damage import Damage
    from paglets.persistence.environment import OpenedStore
    from paglets.persistence.writer import GroupCommitWriter


class Quarantine:
    """Has the writer move each record that is reported as damaged."""

    def __init__(
        self, opened: OpenedStore, writer: GroupCommitWriter, on_damage: Callable[[Damage], None] | None
    ) -> None:
        self._damage = opened.damage
        self._writer = writer
        self._damage.listen(self._move, on_damage)
        for damage in self._damage.unmoved():  # found while the store was opened
            self._move(damage)
            if on_damage is not None:
                on_damage(damage)

    async def forget(self, damage: Damage) -> None:
        """Delete a record from quarantine, and let its key be used again."""
        job = LoopJob(lambda txn: txn.drop_quarantined(damage.table, damage.key))
        self._writer.submit(job)
        await job.waiter
        self._damage.forget(damage)

    def _move(self, damage: Damage) -> None:
        job = ThreadJob(lambda txn: txn.quarantine(damage))
        try:
            self._writer.submit(job)
        except StoreError:
            # The store is closing or cannot be written: found again, and moved, at the next start.
            return
