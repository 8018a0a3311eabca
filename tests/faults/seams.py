"""What the hosts of these tests have beyond a store with points at every durable step: points at every frame of a move.

Nothing is replaced: the wire does what it always does, and waits where a point is armed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from paglets.remote.wire.bulk_stream import BulkStream
from paglets.remote.wire.stream_client import OutgoingStream
from paglets.remote.wire.stream_server import StreamConnection
from paglets.runtime.files.arriving import ArrivingFiles
from paglets.runtime.files.leaving import LeavingFiles
from paglets.runtime.files.places import FilePlaces
from paglets.runtime.transfers.arrivals import Arrivals

if TYPE_CHECKING:
    from paglets.testing.points import Points


def open_seams(points: Points) -> None:
    """Put points on the stream of a move, as its source and its target see it. Once for each process."""
    _around(OutgoingStream, "send_header", points, after="header-sent")
    _around(OutgoingStream, "send_chunk", points, after="chunk-sent")
    _around(OutgoingStream, "send_trailer", points, before="trailer-due", after="trailer-sent")
    _around(OutgoingStream, "verdict", points, after="verdict-received")
    _around(Arrivals, "receive", points, before="header-received", after="verdict-due")
    _around(Arrivals, "_decide", points, before="trailer-received")
    _around(StreamConnection, "_take", points, after="verdict-sent")
    _around(BulkStream, "send_chunk", points, after="file-chunk-sent")
    _around(LeavingFiles, "send", points, before="shipping", after="shipped")
    _around(ArrivingFiles, "receive", points, before="file-due", after="file-staged")
    _around(FilePlaces, "tidy_now", points, before="tidying")
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
