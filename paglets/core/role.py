"""Work that whoever waits does, and somebody who stands by for when nobody does."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_MOMENT = 0.004
"""Seconds that nobody may have the role before the one who stands by takes it."""
_QUIET_LOOKS = 2
"""After so many moments in which nobody left the role, the one who stands by sleeps until somebody does."""


class Role:
    """What one thread has at a time: reading a socket, running a loop.

    A thread that waits for what that work brings takes the role and does the work itself, so nothing has to be handed
    from thread to thread. When it leaves, the role stays free for a moment, because it will soon be back; then the
    one who stands by takes it, or at once when ``needed()`` says that somebody waits who cannot do the work.
    """

    def __init__(self, needed: Callable[[], bool]) -> None:
        self._needed = needed
        self._lock = threading.Lock()  # held by whoever has the role
        self._alarm = threading.Lock()  # let go of to wake the one who stands by
        self._alarm.acquire()
        self._awake = True
        self._left = 0
        self._ended = False

    def take(self) -> bool:
        """Have the role, if nobody has it."""
        return self._lock.acquire(blocking=False)

    def leave(self, *, worked: bool = True) -> None:
        """Leave it to others. ``worked``: the work was done, so that the one who stands by need not look at it yet."""
        self._left += worked
        self._lock.release()
        if not self._awake or self._needed():
            self.wake()

    @property
    def taken(self) -> bool:
        """Whether somebody has it."""
        return self._lock.locked()

    def wake(self) -> None:
        """Have the one who stands by look now."""
        with suppress(RuntimeError):  # it is woken already
            self._alarm.release()

    @property
    def ended(self) -> bool:
        """Whether nobody has to stand by any more."""
        return self._ended

    def take_for_good(self) -> None:
        """Have the role when whoever has it leaves it, and never leave it."""
        self._lock.acquire()

    def end(self) -> None:
        """Nobody has to stand by any more."""
        self._ended = True
        self.wake()

    def stand_by(self, work: Callable[[], None]) -> None:
        """Do the work whenever the others leave it, until ``end``; ``work`` returns when it may be left to them."""
        seen, quiet = -1, 0
        while not self._ended:
            left_alone = not self.taken and seen == self._left
            if (left_alone or self._needed()) and self.take():
                try:
                    work()
                finally:
                    self._left += 1
                    self._lock.release()
            quiet = quiet + 1 if seen == self._left else 0
            seen = self._left
            if quiet < _QUIET_LOOKS:
                self._alarm.acquire(timeout=_MOMENT)
                continue
            self._awake = False
            if (
                self.taken and seen == self._left and not self._ended
            ):  # whoever has it wakes this one on leaving
                self._alarm.acquire()
            self._awake = True
            quiet = 0
