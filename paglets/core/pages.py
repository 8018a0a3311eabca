"""Pages of memory that a process shares with those that were forked from it, also after they were written to.

A fork shares memory until somebody writes to it, and Python writes where it only reads: it counts references. Most of
that is taken back at once, so many pages that a child has copied hold what they held before. Where their originals are
kept it can give those back when it is at rest, and share them again. And what one child has copied in its first moments
the next one can copy at once, before anybody waits for it.

Linux only, and only where ``_pages`` could be built; elsewhere these functions do nothing.
"""

from __future__ import annotations

import logging

try:
    from paglets.core import _pages
except ImportError:
    _pages = None

logger = logging.getLogger(__name__)


def keep_originals() -> int:
    """Keep all that is in this process's heaps as it is now, for those that are forked from it; how many bytes.

    They are in a memory file, which takes the place of what they were in. 0 when some are kept already, when this
    process has other threads or an allocator of its own, or when the system refuses: nothing has changed then.
    """
    if _pages is None:
        return 0
    try:
        return _pages.keep_originals()
    except OSError as error:
        logger.warning("the processes of paglets will share less memory: %s", error)
        return 0


def give_back(sleeper: int = 0) -> int:
    """Share again what this process has copied and holds what its original holds; how many pages.

    Some milliseconds, and a copy of each of these pages that is written to again: for a process at rest. ``sleeper``:
    the native id of the one other thread that there may be, which waits for a lock of Python's without a time limit.
    Nothing is given back when it does not, when there are other threads, or when signals are caught that not every
    child catches.
    """
    if _pages is None:
        return 0
    try:
        return _pages.give_back(sleeper)
    except OSError as error:
        logger.debug("no memory could be given back: %s", error)
        return 0


def own_pages() -> bytes:
    """Which pages this process shares with nobody; ``b""`` when that cannot be told.

    Of a fork: what it has written to. For ``copy_pages`` in later forks of the same process.
    """
    if _pages is None:
        return b""
    try:
        return _pages.own_pages()
    except OSError as error:
        logger.debug("which pages were copied is not known: %s", error)
        return b""


def copy_pages(pages: bytes) -> int:
    """Have those pages copied as if they were written to; how many, counting runs of them that are copied now.

    It changes nothing else. What is not mapped any more is passed over; 0 where the system cannot do it (Linux before
    5.14). ``ValueError``: these are not pages of ``own_pages``.
    """
    return 0 if _pages is None else _pages.copy_pages(pages)
