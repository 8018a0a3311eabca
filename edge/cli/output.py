"""What commands print: tables for people, or one JSON document for programs."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, TextIO

from edge.cli.failures import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edge.cli.tables import Table


class Output:
    """Standard output of one command."""

    def __init__(self, *, as_json: bool, stream: TextIO | None = None) -> None:
        self.as_json = as_json
        self.stream = sys.stdout if stream is None else stream

    def document(self, value: Any) -> None:
        """One JSON document: on one line for programs, indented on a terminal."""
        indent = 2 if self.stream.isatty() else None
        self._write(json.dumps(value, indent=indent))

    def json_line(self, value: Any) -> None:
        """One JSON document of many, on a line of its own, at once."""
        self._write(json.dumps(value))
        self.stream.flush()

    def text(self, text: str) -> None:
        """A line for people."""
        self._write(printable(text))

    def value(self, value: Any) -> None:
        """A value of a paglet's, for people: texts as they are, everything else as indented JSON."""
        self.text(value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False))

    @staticmethod
    def plain(value: object) -> str:
        """A value in the middle of a line."""
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

    def table(self, table: Table) -> None:
        """A table that fits the terminal; all of it where there is none."""
        from edge.cli.tables import print_table  # noqa: PLC0415 - rich is loaded when a table is really drawn

        print_table(table, self.stream)

    def pairs(self, rows: Iterable[tuple[str, object]]) -> None:
        """Names and values below each other."""
        shown = [(name, value) for name, value in rows if value not in ("", None, [], {}, ())]
        width = max((len(name) for name, _ in shown), default=0)
        for name, value in shown:
            self.text(f"{name:<{width}}  {value}")

    def _write(self, text: str) -> None:
        encoding = self.stream.encoding or "utf-8"
        # A terminal without Unicode gets escapes rather than a crash.
        self.stream.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")


def warn(text: str) -> None:
    """A line on stderr that does not end the command."""
    sys.stderr.write(f"paglets: {printable(text)}\n")
