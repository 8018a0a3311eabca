"""What came of interrupted uploads, kept for a while so that they can go on."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from paglets.core.errors import HostError, RemoteHostError

MAX_OPEN = 64
MAX_OPEN_PER_PEER = 16
_MAX_DONE = 256


class Receiving(Protocol):
    """Something of which a part is here."""

    @property
    def received(self) -> int:
        """Bytes so far."""
        ...

    def discard(self) -> None:
        """Keep nothing."""
        ...


ReceivingT = TypeVar("ReceivingT", bound=Receiving)


@dataclass(slots=True)
class _Entry(Generic[ReceivingT]):
    receiving: ReceivingT
    busy: bool = True
    touched: float = field(default_factory=time.time)


class Spool(Generic[ReceivingT]):
    """Uploads by peer and id: under way, interrupted, or done a moment ago. For any thread.

    Bounded in number: the oldest interrupted one goes when a new one needs its place.
    """

    def __init__(self, *, max_open: int = MAX_OPEN, max_open_per_peer: int = MAX_OPEN_PER_PEER) -> None:
        self._max_open = max_open
        self._max_open_per_peer = max_open_per_peer
        self._lock = threading.Lock()
        self._open: dict[tuple[str, str], _Entry[ReceivingT]] = {}
        self._done: dict[tuple[str, str], bytes] = {}

    def finished(self, peer: str, upload_id: str) -> bytes | None:
        """The verdict on an upload that was completed a moment ago, whose sender did not hear it."""
        with self._lock:
            return self._done.get((peer, upload_id))

    def resume(self, peer: str, upload_id: str) -> ReceivingT | None:
        """What is here of an upload, to go on with.

        ``RemoteHostError``, which senders try again after, while its earlier connection is not known to be gone.
        """
        with self._lock:
            entry = self._open.get((peer, upload_id))
            if entry is None:
                return None
            if entry.busy:
                raise RemoteHostError(f"upload {upload_id} is coming in over another connection still")
            entry.busy = True
            return entry.receiving

    def check_room(self, peer: str) -> None:
        """Make room for one more of that peer; ``HostError`` when all places are taken by uploads under way."""
        with self._lock:
            mine = [key for key in self._open if key[0] == peer]
            if len(mine) >= self._max_open_per_peer:
                self._drop_oldest(mine, f"{len(mine)} uploads of this peer")
            if len(self._open) >= self._max_open:
                self._drop_oldest(list(self._open), f"{len(self._open)} uploads")

    def add(self, peer: str, upload_id: str, receiving: ReceivingT) -> None:
        """A new upload is under way; an older one of that id goes."""
        with self._lock:
            earlier = self._open.pop((peer, upload_id), None)
            self._open[peer, upload_id] = _Entry(receiving)
        if earlier is not None:
            earlier.receiving.discard()

    def interrupt(self, peer: str, upload_id: str) -> None:
        """The sender is gone; it may come back."""
        with self._lock:
            entry = self._open.get((peer, upload_id))
            if entry is not None:
                entry.busy, entry.touched = False, time.time()

    def remove(self, peer: str, upload_id: str, verdict: bytes | None = None) -> None:
        """It is done, with that verdict, or was given up; the caller sees to what it has received."""
        with self._lock:
            self._open.pop((peer, upload_id), None)
            if verdict is not None:
                self._done[peer, upload_id] = verdict
                if len(self._done) > _MAX_DONE:
                    del self._done[next(iter(self._done))]

    def drop_before(self, moment: float) -> int:
        """Drop what was interrupted before that time (wall clock); how many."""
        with self._lock:
            old = [key for key, entry in self._open.items() if not entry.busy and entry.touched <= moment]
            dropped = [self._open.pop(key).receiving for key in old]
        for receiving in dropped:
            receiving.discard()
        return len(dropped)

    def _drop_oldest(self, keys: list[tuple[str, str]], what: str) -> None:
        idle = [key for key in keys if not self._open[key].busy]
        if not idle:
            raise HostError(f"{what} are under way already; try again when some are done")
        self._open.pop(min(idle, key=lambda key: self._open[key].touched)).receiving.discard()
