"""What paglets print, kept for a while: a bounded ring for each paglet, over all its lives on this host."""

from __future__ import annotations

from collections import OrderedDict, deque
from itertools import islice
from typing import TYPE_CHECKING

from paglets.runtime.child_specs import OutputLine

if TYPE_CHECKING:
    from collections.abc import Sequence

LINES_PER_PAGLET = 1000
PAGLETS = 2000


class Outputs:
    """Captured lines by paglet. The paglets that printed longest ago are forgotten first."""

    def __init__(self, *, lines: int = LINES_PER_PAGLET, paglets: int = PAGLETS) -> None:
        self._rings: OrderedDict[str, deque[OutputLine]] = OrderedDict()
        self._lines = lines
        self._paglets = paglets

    def add(self, agent_id: str, lines: Sequence[OutputLine]) -> None:
        """Append lines, numbered on from what the paglet printed in its earlier lives here."""
        ring = self._rings.get(agent_id)
        if ring is None:
            ring = self._rings[agent_id] = deque(maxlen=self._lines)
            if len(self._rings) > self._paglets:
                self._rings.popitem(last=False)
        self._rings.move_to_end(agent_id)
        sequence = ring[-1].seq if ring else 0
        for number, line in enumerate(lines, sequence + 1):
            ring.append(OutputLine(number, line.time, line.line))

    def read(self, agent_id: str, *, since: int = 0, limit: int = 1000) -> list[OutputLine]:
        """Up to ``limit`` lines with a number greater than ``since``, oldest first."""
        ring = self._rings.get(agent_id, ())
        return list(islice((line for line in ring if line.seq > since), limit))
