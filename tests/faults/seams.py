"""What the hosts of these tests have beyond ordinary ones: points at every durable step and at every frame.

Nothing is replaced: store and wire do what they always do, and wait where a point is armed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from paglets.persistence.store import CommitStep, Store
from paglets.remote.wire.stream_client import OutgoingStream
from paglets.remote.wire.stream_server import StreamConnection
from paglets.runtime.transfers.arrivals import Arrivals

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from paglets.persistence.lmdb_transaction import LmdbTransaction
    from paglets.persistence.records import PagletRecord, VerdictRecord
    from paglets.persistence.store import StagedBlob
    from tests.faults.points import Points

T = TypeVar("T")


class WatchedStore(Store):
    """A store with the points ``before:WHAT`` and ``after:WHAT`` around each commit, by what it writes.

    WHAT is a record's phase (``prepared``), with the hook that is pending (``active:arrival``), ``deleted``,
    or a verdict (``verdict:arrived``).
    """

    def __init__(self, directory: Path, points: Points) -> None:
        self._points = points
        self._written: list[str] = []
        super().__init__(directory, fault=self._at_commit)

    async def commit(self, rule: Callable[[LmdbTransaction], T], *, blobs: Sequence[StagedBlob] = ()) -> T:
        def watched(tx: LmdbTransaction) -> T:
            # A view of the transaction that is told what it writes; all of it runs on the writer's thread.
            seen: list[str] = []
            result = rule(_watch(tx, seen))
            self._written += seen
            return result

        return await super().commit(watched, blobs=blobs)

    def _at_commit(self, step: CommitStep) -> None:
        names = list(dict.fromkeys(self._written))
        self._written.clear()
        for name in names:
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


def open_seams(points: Points) -> None:
    """Put points on the stream of a move, as its source and its target see it. Once for each process."""
    _around(OutgoingStream, "send_header", points, after="header-sent")
    _around(OutgoingStream, "send_chunk", points, after="chunk-sent")
    _around(OutgoingStream, "send_trailer", points, before="trailer-due", after="trailer-sent")
    _around(OutgoingStream, "verdict", points, after="verdict-received")
    _around(Arrivals, "receive", points, before="header-received", after="verdict-due")
    _around(Arrivals, "_decide", points, before="trailer-received")
    _around(StreamConnection, "_take", points, after="verdict-sent")
    _around(Arrivals, "answer_query", points, before="question-received", after="answer-due")


def _around(owner: type[Any], name: str, points: Points, *, before: str = "", after: str = "") -> None:
    original = getattr(owner, name)

    async def watched(self: Any, *args: Any, **kwargs: Any) -> Any:
        if before:
            await points.pause(before)
        result = await original(self, *args, **kwargs)
        if after:
            await points.pause(after)
        return result

    setattr(owner, name, watched)
