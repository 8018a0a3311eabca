"""The table: each figure beside its limit, the ratio of the two, and whether it reaches its goals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from tests.bench.figures import FIGURES, LIMITS

if TYPE_CHECKING:
    from tests.bench.figures import Figure
    from tests.bench.samples import Samples


def table(samples: Samples) -> Table:
    """What was measured, for people."""
    drawn = Table(title="Figures, medians, against limits of the same run", title_justify="left")
    for name in ("figure", "value", "limit", "ratio", "must", "aim", "reaches", "what it is"):
        drawn.add_column(
            name, justify="left" if name in {"figure", "reaches", "what it is"} else "right", no_wrap=name == "figure"
        )  # fmt: skip
    for figure in FIGURES:
        if figure.key in samples:
            drawn.add_row(*_row(figure, samples))
    drawn.add_section()
    for key, (unit, meaning) in LIMITS.items():
        if key in samples:
            drawn.add_row(key, _number(samples.median(key), unit), "", "", "", "", "", meaning)
    return drawn


def reached(figure: Figure, samples: Samples) -> str:
    """``aim``, ``must`` or ``-``."""
    value = samples.median(figure.key)
    for name, goal in (("aim", figure.aim), ("must", figure.must)):
        if figure.reaches(value, goal, samples.median):
            return name
    return "-"


def _row(figure: Figure, samples: Samples) -> tuple[str, ...]:
    value = samples.median(figure.key)
    limit = None if figure.limit is None else figure.limit(samples.median)
    return (
        figure.key,
        _number(value, figure.unit),
        "" if limit is None else _number(limit, figure.unit),
        "" if not limit else f"{value / limit:.2f}",
        _goal(figure, figure.must),
        _goal(figure, figure.aim),
        reached(figure, samples),
        figure.meaning,
    )


def _goal(figure: Figure, goal: float) -> str:
    return f"{goal:g} x" if figure.ratio else _number(goal, figure.unit)


def _number(value: float, unit: str) -> str:
    digits = 0 if value >= 100 or value == int(value) else 1 if value >= 10 else 2
    return f"{value:,.{digits}f} {unit}"
