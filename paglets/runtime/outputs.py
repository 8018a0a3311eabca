"""What paglets print, kept for a while: a bounded ring for each paglet, over all its lives on this host."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from itertools import islice
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

_RING_BYTES = 1000
_LINE_BYTES = 100
LINES_PER_PAGLET = 1000
BYTES_PER_PAGLET = 256 * 1024
BYTES = 64 * 1024**2


class OutputLine(msgspec.Struct, frozen=True):
    """One line that a paglet printed."""

    seq: int
    """Numbered from 1, over all the lives of the paglet on this host."""
    time: float
    """Wall clock."""
    line: str


class Outputs:
    """Captured lines by paglet, bounded for each and in all. Who printed longest ago is forgotten first."""

    def __init__(
        self,
        *,
        lines: int = LINES_PER_PAGLET,
        paglet_bytes: int = BYTES_PER_PAGLET,
        total_bytes: int = BYTES,
    ) -> None:
        self._rings: OrderedDict[str, _Ring] = OrderedDict()
        self._lines = lines
        self._paglet_bytes = paglet_bytes
        self._total_bytes = total_bytes
        self._bytes = 0

    def add(self, agent_id: str, lines: Sequence[str]) -> None:
        """Append lines that were printed now, numbered on from what the paglet printed in its earlier lives here."""
        ring = self._rings.setdefault(agent_id, _Ring())
        self._rings.move_to_end(agent_id)
        self._bytes -= ring.size
        now = time.time()
        for line in lines:
            ring.append(line, now)
        ring.trim(self._lines, self._paglet_bytes)
        self._bytes += ring.size
        while self._bytes > self._total_bytes and len(self._rings) > 1:
            self._bytes -= self._rings.popitem(last=False)[1].size

    def read(self, agent_id: str, *, since: int = 0, limit: int = 1000) -> list[OutputLine]:
        """Up to ``limit`` lines with a number greater than ``since``, oldest first."""
        ring = self._rings.get(agent_id)
        kept = ring.lines if ring is not None else ()
        return list(islice((line for line in kept if line.seq > since), limit))


class _Ring:
    """The lines of one paglet that are kept. ``size`` counts the ring itself, too."""

    def __init__(self) -> None:
        self.lines: deque[OutputLine] = deque()
        self.size = _RING_BYTES
        self._last = 0

    def append(self, line: str, now: float) -> None:
        self._last += 1
        self.lines.append(OutputLine(self._last, now, line))
        self.size += len(line) + _LINE_BYTES

    def trim(self, lines: int, size: int) -> None:
        while len(self.lines) > 1 and (len(self.lines) > lines or self.size > size):
            self.size -= len(self.lines.popleft().line) + _LINE_BYTES
