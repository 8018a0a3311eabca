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
    receiving: ReceivingT | None = None
    """None until ``fill``."""
    busy: bool = True
    touched: float = field(default_factory=time.time)


class Spool(Generic[ReceivingT]):
    """Uploads by peer and id: under way, interrupted, or done a moment ago. For any thread.

    Bounded in number: the oldest interrupted one goes when a new one needs its place. One that is under way is
    its receiver's alone, and nobody else's to drop.
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

    def claim(self, peer: str, upload_id: str) -> ReceivingT | None:
        """Begin on an upload, or go on with it: what is here of it, None when that is nothing.

        It is the caller's until ``interrupt`` or ``remove``; of a new one it says with ``fill`` what receives it.

        ``RemoteHostError``, which senders try again after, while its earlier connection is not known to be gone;
        ``HostError`` when all places are taken by uploads under way.
        """
        with self._lock:
            entry = self._open.get((peer, upload_id))
            if entry is not None:
                if entry.busy:
                    raise RemoteHostError(f"upload {upload_id} is coming in over another connection still")
                entry.busy = True
                return entry.receiving
            gone = self._make_room(peer)
            self._open[peer, upload_id] = _Entry()
        for receiving in gone:
            receiving.discard()
        return None

    def fill(self, peer: str, upload_id: str, receiving: ReceivingT) -> None:
        """What receives an upload that was claimed as a new one."""
        with self._lock:
            self._open[peer, upload_id].receiving = receiving

    def interrupt(self, peer: str, upload_id: str) -> None:
        """The sender is gone; it may come back."""
        with self._lock:
            entry = self._open.get((peer, upload_id))
            if entry is not None:
                entry.busy, entry.touched = False, time.time()

    def abandon(self, peer: str, upload_id: str) -> None:
        """Drop an upload that nobody will go on with, unless it is under way."""
        with self._lock:
            entry = self._open.get((peer, upload_id))
            dropped = [] if entry is None or entry.busy else self._pop([(peer, upload_id)])
            self._done.pop((peer, upload_id), None)
        for receiving in dropped:
            receiving.discard()

    def drop_oldest(self) -> bool:
        """Drop the upload that was interrupted first; whether there was one."""
        with self._lock:
            idle = self._idle(list(self._open))
            dropped = self._pop(idle[:1])
        for receiving in dropped:
            receiving.discard()
        return bool(idle)

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
            old = [key for key in self._idle(list(self._open)) if self._open[key].touched <= moment]
            dropped = self._pop(old)
        for receiving in dropped:
            receiving.discard()
        return len(old)

    # --- under the lock

    def _make_room(self, peer: str) -> list[ReceivingT]:
        """Have a place free for one more of that peer; what had to go for it."""
        gone: list[ReceivingT] = []
        mine = [key for key in self._open if key[0] == peer]
        if len(mine) >= self._max_open_per_peer:
            gone += self._pop([self._oldest(mine, f"{len(mine)} uploads of this peer")])
        if len(self._open) >= self._max_open:
            gone += self._pop([self._oldest(list(self._open), f"{len(self._open)} uploads")])
        return gone

    def _oldest(self, keys: list[tuple[str, str]], what: str) -> tuple[str, str]:
        idle = self._idle(keys)
        if not idle:
            raise HostError(f"{what} are under way already; try again when some are done")
        return idle[0]

    def _idle(self, keys: list[tuple[str, str]]) -> list[tuple[str, str]]:
        """Those that were interrupted, the first of them first."""
        idle = [key for key in keys if not self._open[key].busy]
        return sorted(idle, key=lambda key: self._open[key].touched)

    def _pop(self, keys: list[tuple[str, str]]) -> list[ReceivingT]:
        popped = [self._open.pop(key).receiving for key in keys]
        return [receiving for receiving in popped if receiving is not None]
