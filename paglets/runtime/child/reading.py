"""Who reads a child's link: whoever has nothing else to do.

The thread that handles messages reads them itself while it has none, and the one that waits for the answer to a
call reads until it is there: so neither a message nor an answer is handed from thread to thread, which would cost
more than all else that is done for it in this process. A thread stands by. It takes over when the others are at
work for longer than a moment, and at once when somebody waits who cannot read.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Hashable

    from paglets.runtime.child.link import ChildLink
    from paglets.runtime.frames import HostFrame

T = TypeVar("T")

_MOMENT = 0.004
"""Seconds that the link may stay unread before the one who stands by takes over."""
_QUIET_LOOKS = 25
"""After so many moments in which nobody stopped reading, the one who stands by sleeps until somebody does."""


class Reading:
    """One reader at a time; ``take`` gets each frame on the reader's thread, and must not wait for anything.

    ``end`` is called when the host has gone, or let go of this child. If it returns, nobody reads any more.
    """

    def __init__(self, link: ChildLink, take: Callable[[HostFrame], None], end: Callable[[], None]) -> None:
        self._link = link
        self._take = take
        self._end = end
        self._role = threading.Lock()  # held by the reader
        self._without: list[SimpleQueue[Any]] = []  # what those wait for who could not become the reader
        self._expected: set[Hashable] = set()
        self._stops = 0
        """How often somebody has stopped reading."""
        self._alarm = threading.Lock()  # let go of to wake the one who stands by
        self._alarm.acquire()
        self._awake = True
        self._ended = False

    def start(self) -> threading.Thread:
        """Have somebody stand by."""
        thread = threading.Thread(target=self._stand_by, name="paglets-link", daemon=True)
        thread.start()
        return thread

    def next_of(self, inbox: SimpleQueue[T]) -> T:
        """The next thing in that queue, into which ``take`` or another thread puts it; reads meanwhile."""
        while True:
            try:
                return inbox.get_nowait()
            except Empty:
                pass
            self._without.append(inbox)  # first: a reader that stops sees it, or leaves the role
            if not self._role.acquire(blocking=False):
                try:
                    return inbox.get()
                finally:
                    self._without.remove(inbox)
            self._without.remove(inbox)
            try:
                while inbox.empty():
                    if self._ended:
                        raise EOFError("the link has ended")
                    self._read()
            finally:
                self._stop()

    @contextmanager
    def expecting(self, what: Hashable) -> Generator[None]:
        """Something is to come for somebody who does not read while he waits."""
        self.expect(what)
        try:
            yield
        finally:
            self.came(what)

    def expect(self, what: Hashable) -> None:
        """Begin of ``expecting``."""
        self._expected.add(what)
        if not self._role.locked():
            self._wake()

    def came(self, what: Hashable) -> None:
        """End of ``expecting``."""
        self._expected.discard(what)

    # --- inside ------------------------------------------------------------------------------------------

    def _read(self) -> None:
        goes_on = False
        try:
            frames = self._link.read()
            for frame in frames:
                self._take(frame)
            goes_on = bool(frames)
        finally:
            if not goes_on:
                self._ended = True
                self._end()

    def _stop(self) -> None:
        self._stops += 1
        self._role.release()
        if not self._awake or self._is_needed():
            self._wake()

    def _is_needed(self) -> bool:
        """Whether somebody waits for a frame who cannot read it."""
        return bool(self._expected) or any(inbox.empty() for inbox in tuple(self._without))

    def _wake(self) -> None:
        with suppress(RuntimeError):  # it is woken already
            self._alarm.release()

    def _stand_by(self) -> None:
        seen, quiet = -1, 0
        while not self._ended:
            unread = not self._role.locked()
            if (self._is_needed() or (unread and seen == self._stops)) and self._role.acquire(blocking=False):
                self._read_for_others()
            quiet = quiet + 1 if seen == self._stops else 0
            seen = self._stops
            if quiet < _QUIET_LOOKS:
                self._alarm.acquire(timeout=_MOMENT)
                continue
            self._awake = False
            if self._role.locked() and seen == self._stops and not self._is_needed():
                self._alarm.acquire()
            self._awake = True
            quiet = 0

    def _read_for_others(self) -> None:
        try:
            self._read()
            while self._is_needed() and not self._ended:
                self._read()
        finally:
            self._stops += 1
            self._role.release()
