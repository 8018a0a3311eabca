"""How a cost grows: points, and the exponent of the power law that fits them best."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, field


@dataclass
class Curve:
    """One cost over one amount."""

    key: str
    title: str
    amount: str
    """What grows."""
    unit: str
    """Of the cost."""
    points: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])

    def add(self, amount: float, cost: float) -> None:
        """Take down a point."""
        self.points.append((amount, cost))

    def exponent(self, over: float = 0.0) -> float:
        """By least squares over the logarithms of both: 0 does not grow, 1 is linear. Amounts of ``over`` at least."""
        taken = [(x, y) for x, y in self.points if x >= max(over, 1) and y > 0]
        slope, _ = statistics.linear_regression(
            [math.log(x) for x, _ in taken], [math.log(y) for _, y in taken]
        )
        return slope

    def flat(self) -> dict[str, float]:
        """For a file: each point under its amount, and the exponent."""
        told = {f"{self.key}_{x:g}": y for x, y in self.points}
        return {**told, f"{self.key}_exponent": self.exponent()}
