"""Forwards and tombstones are forgotten when their lifetime is over, and not before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paglets.core.incarnation import Incarnation
from paglets.persistence.records import Forward, PagletRecord, Phase, QueuedRecord
from paglets.persistence.store import Store
from paglets.runtime.forgetting import Forgetter

if TYPE_CHECKING:
    from pathlib import Path

    from paglets.persistence.transaction import JournalTransaction

DAY = 86_400.0


def record(agent_id: str, phase: Phase, at: float) -> PagletRecord:
    gone = Forward("host", "https://h:1", "h", Incarnation(epoch=2), at) if phase is Phase.DEPARTED else None
    return PagletRecord(agent_id, "birth", phase, Incarnation(), "m:C", "m:S", forward=gone, changed_at=at)


async def test_only_what_is_old_and_gone_is_forgotten(tmp_path: Path) -> None:
    with Store(tmp_path) as store:

        def fill(tx: JournalTransaction) -> None:
            for age in (1, 29, 31, 400):
                for phase in (Phase.DEPARTED, Phase.TOMBSTONE, Phase.INACTIVE):
                    tx.put_paglet(record(f"{phase.value}-{age}", phase, at=1000 * DAY - age * DAY))
            tx.append_queued("departed-400", QueuedRecord("m", b"{}", oneway=True, queued_at=0.0))

        await store.commit(fill)
        forgetter = Forgetter(store, clock=lambda: 1000 * DAY)
        assert await forgetter.sweep() == 3
        left = {kept.agent_id for kept in await store.read(lambda tx: tx.paglets("", 100))}
        assert left == {
            "departed-1", "departed-29", "tombstone-1", "tombstone-29",
            "inactive-1", "inactive-29", "inactive-31", "inactive-400",
            "departed-400",  # a message still waits to follow it
        }  # fmt: skip
        commits = store.commit_number
        assert await forgetter.sweep() == 0
        assert store.commit_number == commits, "a look that finds nothing writes nothing"
