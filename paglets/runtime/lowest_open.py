"""The lowest of the numbers that are open with each host: what a floor is told from. No I/O."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_SPARE = 16
"""Numbers that are open no more and may stay in a heap, beside as many as are open."""


class LowestOpen:
    """Numbers that come and go, in any order; a number may be open several times.

    The lowest costs the same however many are open, with this host or with others: a floor is told in every envelope
    and with every message.
    """

    def __init__(self, pairs: Iterable[tuple[str, int]] = ()) -> None:
        self._times: dict[str, dict[int, int]] = {}
        self._heaps: dict[str, list[int]] = {}
        """Every open number of a host, and some that are open no more."""
        for host_id, number in pairs:
            self.add(host_id, number)

    def add(self, host_id: str, number: int) -> None:
        """It is open with that host, once more."""
        times = self._times.setdefault(host_id, {})
        if number not in times:
            heapq.heappush(self._heaps.setdefault(host_id, []), number)
        times[number] = times.get(number, 0) + 1

    def discard(self, host_id: str, number: int) -> None:
        """It is open once less; one that is not open is no error."""
        times = self._times.get(host_id, {})
        if number not in times:
            return
        times[number] -= 1
        if not times[number]:
            del times[number]
            if not times:
                del self._times[host_id], self._heaps[host_id]
            elif len(self._heaps[host_id]) > 2 * len(times) + _SPARE:
                self._heaps[host_id] = sorted(times)  # which is a heap

    def lowest(self, host_id: str) -> int | None:
        """The lowest that is open with that host; None when none is."""
        times = self._times.get(host_id)
        if times is None:
            return None
        heap = self._heaps[host_id]
        while heap[0] not in times:
            heapq.heappop(heap)
        return heap[0]
