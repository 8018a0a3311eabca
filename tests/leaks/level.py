"""Whether what was seen again and again stays level: by regression over the run, without its beginning."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

WARM_UP = 0.25
"""Share of a run in which caches fill and allocators find their size."""


@dataclass(frozen=True)
class Trend:
    """How a figure went."""

    level: float
    """Its middle value."""
    growth: float
    """Along the fitted line, over what was looked at."""
    per_cycle: float


def trend(cycles: Sequence[int], values: Sequence[float]) -> Trend:
    """The line through a figure, its warm-up left out."""
    first = sum(cycle <= WARM_UP * cycles[-1] for cycle in cycles)
    xs, ys = list(map(float, cycles[first:])), list(values[first:])
    slope, _ = statistics.linear_regression(xs, ys)
    return Trend(statistics.median(ys), slope * (xs[-1] - xs[0]), slope)
