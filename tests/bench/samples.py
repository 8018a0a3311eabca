"""What was measured: all values of each figure, in the order in which they were taken."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class Samples:
    """The values of a run, by key. A figure may be taken several times; all of its values count alike."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._values: dict[str, list[float]] = {}
        self._tell = tell

    def add(self, key: str, values: Iterable[float]) -> None:
        """Take down what was measured of one figure."""
        self._values.setdefault(key, []).extend(values)
        self._tell(f"{key}: {self.median(key):.3g}")

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def median(self, key: str) -> float:
        """The middle of the values."""
        return statistics.median(self._values[key])

    def flat(self) -> dict[str, float]:
        """One object for a file: each key with its median, and beside it ``KEY_p95`` and ``KEY_n``."""
        told: dict[str, float] = {}
        for key, values in self._values.items():
            told[key] = statistics.median(values)
            told[f"{key}_p95"] = percentile(values, 0.95)
            told[f"{key}_n"] = len(values)
        return told


def percentile(values: list[float], share: float) -> float:
    """The smallest value that at least this share of all values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * share // 1).__int__() - 1)]


def timed(times: int, work: Callable[[], object], *, scale: float) -> list[float]:
    """How long each of so many calls took; in seconds times ``scale``."""
    taken: list[float] = []
    for _ in range(times):
        begun = time.perf_counter()
        work()
        taken.append((time.perf_counter() - begun) * scale)
    return taken
