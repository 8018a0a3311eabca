"""Who reads a child's link: whoever has nothing else to do.

The thread that handles messages reads them itself while it has none, and the one that waits for the answer to a
call reads until it is there: so neither a message nor an answer is handed from thread to thread, which would cost
more than most of what is done for it in this process. A thread stands by. It takes over when the others are at
work for longer than a moment, and at once when somebody waits who cannot read.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from paglets.core.role import Role

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Hashable
    from queue import SimpleQueue

    from paglets.runtime.child.link import ChildLink
    from paglets.runtime.frames import HostFrame

T = TypeVar("T")


class Reading:
    """One reader at a time; ``take`` gets each frame on the reader's thread, and must not wait for anything.

    ``end`` is called when the host has gone, or let go of this child. If it returns, nobody reads any more.
    """

    def __init__(self, link: ChildLink, take: Callable[[HostFrame], None], end: Callable[[], None]) -> None:
        self._link = link
        self._take = take
        self._end = end
        self._role = Role(self._is_needed)
        self._without: list[SimpleQueue[Any]] = []  # what those wait for who could not become the reader
        self._expected: set[Hashable] = set()
        self._ended = False

    def start(self) -> threading.Thread:
        """Have somebody stand by."""
        thread = threading.Thread(
            target=self._role.stand_by, args=[self._read_for_others], name="paglets-link", daemon=True
        )
        thread.start()
        return thread

    def next_of(self, inbox: SimpleQueue[T]) -> T:
        """The next thing in that queue, into which ``take`` puts it, on whatever thread; reads meanwhile."""
        while True:
            if not inbox.empty():
                return inbox.get()  # nobody else takes from it
            # First: a reader that leaves sees it, or has left the role to this thread.
            self._without.append(inbox)
            if not self._role.take():
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
                self._role.leave()

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
        if not self._role.taken:
            self._role.wake()

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
                self._role.end()
                self._end()

    def _read_for_others(self) -> None:
        self._read()
        while self._is_needed() and not self._ended:
            self._read()

    def _is_needed(self) -> bool:
        """Whether somebody waits for a frame who cannot read it."""
        if self._expected:
            return True
        return bool(self._without) and any(inbox.empty() for inbox in tuple(self._without))
