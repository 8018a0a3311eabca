"""What people see while a run lasts: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

_EVERY = 15.0


class Progress:
    """Tells how far it is. A context manager."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._bars = Bars(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("moves"),
            TextColumn("{task.fields[faults]} faults"), TimeElapsedColumn(),
            console=self._console, transient=True, disable=not sys.stderr.isatty(),
        )  # fmt: skip
        self._task = self._bars.add_task("", total=None, faults=0)
        self._said = time.monotonic()

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def say(self, what: str) -> None:
        """Something new begins."""
        self._console.print(what, highlight=False)

    def show(self, moves: int, of: int, faults: int) -> None:
        """So many moves of so many, and faults, are done."""
        self._bars.update(self._task, completed=moves, total=of, faults=faults)
        if self._bars.disable and time.monotonic() - self._said > _EVERY:
            self._said = time.monotonic()
            self.say(f"{moves} of {of} moves, {faults} faults")
