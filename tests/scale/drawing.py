"""Curves as SVG, both axes logarithmic."""

from __future__ import annotations

import importlib
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.scale.curves import Curve


def draw(path: Path, title: str, curves: Sequence[Curve]) -> None:
    """Write one picture; its curves share what grows."""
    # The library has no type hints.
    pygal: Any = importlib.import_module("pygal")
    style: Any = importlib.import_module("pygal.style").CleanStyle
    decades = range(
        math.floor(min(_x(x) for curve in curves for x, _ in curve.points)),
        math.ceil(max(_x(x) for curve in curves for x, _ in curve.points)) + 1,
    )
    chart = pygal.XY(
        title=title, style=style, width=760, height=420, js=(), no_prefix=True, dots_size=3,
        x_title=curves[0].amount, logarithmic=True, legend_at_bottom=True, legend_at_bottom_columns=1,
        truncate_legend=-1, disable_xml_declaration=True, pretty_print=True, show_y_guides=True,
        x_labels=list(decades), x_value_formatter=_amount,
    )  # fmt: skip
    for curve in curves:
        points = [(_x(x), y) for x, y in curve.points]
        chart.add(f"{curve.title}, {curve.unit}: exponent {curve.exponent():.2f}", points)
    path.write_text(chart.render(is_unicode=True) + "\n", encoding="utf-8")


def _x(amount: float) -> float:
    return math.log10(max(amount, 1))


def _amount(power: float) -> str:
    return f"{10**power:,.0f}"
