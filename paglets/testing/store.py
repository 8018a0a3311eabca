"""Stores for tests: a journal in memory, and a real store that fails or holds at a named step.

`MemoryJournal` applies the same rules as a store, without a disk: for the rules themselves, and for exploring what
they do together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from paglets.persistence.memory import MemoryJournal
from paglets.persistence.store import CommitStep, Store

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from paglets.persistence.lmdb_transaction import LmdbTransaction
    from paglets.persistence.records import PagletRecord, VerdictRecord
    from paglets.persistence.store import StagedBlob
    from paglets.testing.points import Points

__all__ = ["FaultyStore", "MemoryJournal"]

T = TypeVar("T")


class FaultyStore(Store):
    """A store with the points ``before:WHAT`` and ``after:WHAT`` around each commit, by what it writes.

    WHAT is the phase of a paglet's record (``active``, ``inactive``, ``prepared``, ``departed``, ``tombstone``),
    with the hook that is then pending if its class has one (``active:creation``, ``active:arrival``), ``deleted``, or a
    verdict on a move (``verdict:arrived``, ``verdict:fenced``); ``commit`` stands for every commit. Before: nothing
    is written yet, and an error there (``points.arm("before:prepared", error=errno.ENOSPC)``) is what a full disk
    is. After: it is durable, and nobody has been told.

    Nothing is replaced: it does what a store does, on the disk, and the points hold its writer's thread.
    """

    def __init__(self, directory: Path, points: Points) -> None:
        self._points = points
        self._written: list[str] = []
        points.prepare()
        super().__init__(directory, fault=self._at_commit)

    async def commit(
        self,
        rule: Callable[[LmdbTransaction], T],
        *,
        blobs: Sequence[StagedBlob] = (),
        then: Callable[[T], None] | None = None,
    ) -> T:
        """See ``Store.commit``; what it writes is noted, for the points."""
        return await super().commit(self._noting(rule), blobs=blobs, then=then)

    def commit_sync(
        self,
        rule: Callable[[LmdbTransaction], T],
        *,
        timeout: float | None = None,
        blobs: Sequence[StagedBlob] = (),
    ) -> T:
        """See ``Store.commit_sync``; what it writes is noted, for the points."""
        return super().commit_sync(self._noting(rule), timeout=timeout, blobs=blobs)

    def _noting(self, rule: Callable[[LmdbTransaction], T]) -> Callable[[LmdbTransaction], T]:
        def noted(tx: LmdbTransaction) -> T:
            # A view of the transaction that is told what it writes; all of it runs on the writer's thread.
            seen: list[str] = []
            result = rule(_watch(tx, seen))
            self._written += seen
            return result

        return noted

    def _at_commit(self, step: CommitStep) -> None:
        names = list(dict.fromkeys(self._written))
        self._written.clear()
        for name in (*names, "commit"):
            self._points.at(f"{step.value}:{name}")
        if step is CommitStep.BEFORE:  # and unless one of them has failed the commit
            self._written += names


def _watch(tx: LmdbTransaction, seen: list[str]) -> LmdbTransaction:
    put_paglet, put_verdict, delete_paglet = tx.put_paglet, tx.put_verdict, tx.delete_paglet

    def paglet(record: PagletRecord) -> None:
        seen.append(record.phase.value + (f":{record.pending.kind.value}" if record.pending else ""))
        put_paglet(record)

    def verdict(record: VerdictRecord) -> None:
        seen.append(f"verdict:{record.outcome.value}")
        put_verdict(record)

    def delete(agent_id: str) -> None:
        seen.append("deleted")
        delete_paglet(agent_id)

    for name, function in {"put_paglet": paglet, "put_verdict": verdict, "delete_paglet": delete}.items():
        setattr(tx, name, function)
    return tx
