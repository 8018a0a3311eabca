"""Tables that fit."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TextIO

from edge.cli.failures import printable
from edge.cli.output import wants_colour

if TYPE_CHECKING:
    from collections.abc import Sequence

_UNBOUNDED = 10_000  # columns; nobody looks at it, so nothing is cut
STATUS_STYLES = {
    "active": "green",
    "inactive": "dim",
    "in-doubt": "yellow",
    "failed": "red",
    "quarantined": "magenta",
    "online": "green",
    "offline": "red",
    "other version": "yellow",
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column. ``keep`` columns are never cut; the others give way when the terminal is narrow."""

    title: str
    align: Literal["left", "right"] = "left"
    keep: bool = False


@dataclass(slots=True)
class Table:
    """Columns and rows of text, and what to say when there are no rows."""

    columns: Sequence[Column]
    empty: str
    rows: list[Sequence[str]] = field(default_factory=list["Sequence[str]"])

    def add(self, *cells: str) -> None:
        """One more row."""
        self.rows.append(cells)


def print_table(table: Table, stream: TextIO) -> None:
    """Draw the table on ``stream``: as wide as the terminal (or ``COLUMNS``), cut nowhere when it is none."""
    from rich.box import Box  # noqa: PLC0415 - rich takes longer to load than most commands run
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table as RichTable  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    bounded = stream.isatty() or "COLUMNS" in os.environ
    console = Console(
        file=stream,
        force_terminal=wants_colour(stream),
        no_color=not wants_colour(stream),
        width=None if bounded else _UNBOUNDED,
        highlight=False,
        markup=False,
        emoji=False,
    )
    if not table.rows:
        console.print(Text(table.empty, style="dim"))
        return
    drawn = RichTable(
        box=Box("    \n" * 8), show_edge=False, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold"
    )
    for column in table.columns:
        drawn.add_column(
            column.title, justify=column.align, no_wrap=True, overflow="ellipsis",
            min_width=_min_width(table, column) if column.keep else 4,
        )  # fmt: skip
    for row in table.rows:
        drawn.add_row(*(Text(printable(cell), style=STATUS_STYLES.get(cell, "")) for cell in row))
    console.print(drawn)


def _min_width(table: Table, column: Column) -> int:
    place = list(table.columns).index(column)
    return max(len(column.title), *(len(row[place]) for row in table.rows))
