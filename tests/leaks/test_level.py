"""The measure itself: what grows is seen to grow, and what only varies is not."""

from __future__ import annotations

import random

import pytest

from tests.leaks.level import trend

CYCLES = list(range(100, 4100, 100))


@pytest.mark.parametrize("leak", [0.0, 0.25, 1.0])
def test_a_leak_is_told_from_noise(leak: float) -> None:
    rng = random.Random(7)
    found = trend(CYCLES, [500 + leak * cycle + rng.uniform(-20, 20) for cycle in CYCLES])
    assert found.per_cycle == pytest.approx(leak, abs=0.01)
    assert found.growth == pytest.approx(leak * 2900, abs=30)


def test_what_a_warm_up_takes_is_no_leak() -> None:
    found = trend(CYCLES, [min(cycle, 900) for cycle in CYCLES])
    assert (found.level, found.growth) == (900, 0)
