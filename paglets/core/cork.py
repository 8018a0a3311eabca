"""Output that is held back for a moment, so that what belongs together leaves together.

When a host has a lot to do, several messages come in with one read. Passing each of them on at once would cost a system
call each, and wake somebody each time, who then finds one of them. A program that has many calls under way sends the
next ones in the same way.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import selectors
    from collections.abc import Callable, Iterable

logger = logging.getLogger(__name__)

T = TypeVar("T")

_LONGEST = 16 * 1024
"""Bytes of output from which on it is not held back: it is worth a system call, and memory."""
_AT_A_TIME = 16
"""So many pieces of input are worked off before what they led to is written: nobody is to wait for hundreds of them."""
_GATHERED = 8
"""So many are written together of those that ``gather`` holds back."""


class Cork:
    """Holds output back while several pieces of input are worked off that came in together.

    One for all connections of a loop, for what comes in by one leaves by another.
    """

    def __init__(self) -> None:
        self._held: list[Callable[[], object]] | None = None  # None: nothing is held back

    def work_off(self, pieces: Iterable[T], work: Callable[[T], object]) -> None:
        """Call ``work`` with each piece. What the first leads to is not held back, nor anything of a single one."""
        opened = False
        try:
            for number, piece in enumerate(pieces):
                if number == 1 and self._held is None:
                    self._held, opened = [], True
                work(piece)
                if opened and number % _AT_A_TIME == 0:
                    self._write([])
        finally:
            if opened:
                self._write(None)

    def gather(self, work: Callable[[], T]) -> T:
        """Call ``work``. What it leads to is held back, for the next calls of this or until ``release``."""
        if self._held is None:
            self._held = []
        done = work()
        if len(self._held) >= _GATHERED:
            self._write(None)
        return done

    def release(self) -> None:
        """Write what was gathered."""
        if self._held is not None:
            self._write(None)

    def hold(self, size: int, write: Callable[[], object]) -> bool:
        """Whether ``write`` will be called soon, or with ``release``; if not, the caller writes now.

        ``size``: bytes that there are to write; many are never held back.
        It may find that there is nothing left to write. What it raises is logged, and keeps nobody else's output back.
        """
        if self._held is None or size > _LONGEST:
            return False
        self._held.append(write)
        return True

    def _write(self, held: list[Callable[[], object]] | None) -> None:
        writes, self._held = self._held, held
        for write in writes or ():
            try:
                write()
            except Exception:
                logger.exception("what was held back could not be written")


class CorkedLoop(asyncio.SelectorEventLoop):
    """The library's loop, with a cork for all of its connections."""

    def __init__(self, selector: selectors.BaseSelector | None = None) -> None:
        self.cork = Cork()
        super().__init__(selector)


def cork_of(loop: asyncio.AbstractEventLoop) -> Cork:
    """The cork of a loop that has one (``loop.cork``); else a new one, for the caller alone."""
    found: object = getattr(loop, "cork", None)
    return found if isinstance(found, Cork) else Cork()
