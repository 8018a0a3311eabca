"""Tables that fit."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TextIO

from edge.cli.failures import printable
from edge.cli.terminal import wants_colour

if TYPE_CHECKING:
    from collections.abc import Sequence

_UNBOUNDED = 10_000  # columns; nobody looks at it, so nothing is cut
_GAP = 2
_LEAST = 6  # characters; the beginning of an id still names a paglet
STATUS_STYLES = {
    "active": "green",
    "inactive": "dim",
    "queued": "yellow",
    "in-doubt": "yellow",
    "failed": "red",
    "quarantined": "magenta",
    "online": "green",
    "offline": "red",
    "other version": "yellow",
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column. ``keep`` columns are never cut; the others give way when the terminal is narrow.

    ``optional`` ones are left out where no row has anything to say in them.
    """

    title: str
    align: Literal["left", "right"] = "left"
    keep: bool = False
    optional: bool = False


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
    from rich.console import Console  # noqa: PLC0415 - rich takes longer to load than most commands run
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
    table = _worth_showing(table)
    widths = fitted(table, console.width)
    drawn = RichTable(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
    for column, width in zip(table.columns, widths, strict=True):
        drawn.add_column(
            column.title,
            justify=column.align,
            no_wrap=True,
            overflow="ellipsis",
            min_width=width,
            max_width=width,
        )
    for row in table.rows:
        drawn.add_row(*(Text(printable(cell), style=STATUS_STYLES.get(cell, "")) for cell in row))
    console.print(drawn)


def _worth_showing(table: Table) -> Table:
    """The table without the optional columns that are empty."""
    shown = [
        place
        for place, column in enumerate(table.columns)
        if not column.optional or any(row[place] for row in table.rows)
    ]
    rows: list[Sequence[str]] = [[row[place] for place in shown] for row in table.rows]
    return Table([table.columns[place] for place in shown], table.empty, rows)


def fitted(table: Table, available: int) -> list[int]:
    """The width of each column, so that a line has at most ``available`` characters if that can be had.

    The widest of the columns that may be cut gives way first, down to a bound at which it is still useful.
    """
    widths = [
        max(len(column.title), *(len(printable(row[place])) for row in table.rows))
        for place, column in enumerate(table.columns)
    ]
    flexible = [place for place, column in enumerate(table.columns) if not column.keep]
    while sum(widths) + _GAP * (len(widths) - 1) > available:
        widest = max(flexible, key=lambda place: widths[place], default=None)
        if widest is None or widths[widest] <= _LEAST:
            break
        widths[widest] -= 1
    return widths
