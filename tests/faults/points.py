"""Places where a process of these tests can be held: it says that it is there, and waits to be killed or let go.

A point is a file that moves: ``armed/NAME`` is put there by the test, moved to ``reached/NAME`` by the process that
comes by, which then waits for ``released/NAME``. So nothing depends on who is faster, and it works in hosts
and children alike.
"""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import suppress
from pathlib import Path

VARIABLE = "PAGLETS_FAULT_POINTS"
_POLL = 0.002
_ALL = ".all"


class Points:
    """All points of one host and its children."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._armed, self._reached, self._released = (
            directory / each for each in ("armed", "reached", "released")
        )

    # --- for the test

    def prepare(self) -> None:
        """Make the directories."""
        for directory in (self._armed, self._reached, self._released):
            directory.mkdir(parents=True, exist_ok=True)

    def arm(self, name: str, *, error: int = 0) -> None:
        """Hold whoever comes by that point next, or have it fail there with an ``OSError`` of that number."""
        (self._reached / name).unlink(missing_ok=True)
        (self._released / name).unlink(missing_ok=True)
        if error:
            (self._released / name).touch()
        (self._armed / name).write_text(str(error))

    def arm_for_all(self, name: str) -> None:
        """Hold everybody who comes by, until the point is released."""
        (self._reached / name).unlink(missing_ok=True)
        (self._released / name).unlink(missing_ok=True)
        (self._armed / f"{name}{_ALL}").touch()

    def is_reached(self, name: str) -> bool:
        """Whether somebody waits there."""
        return (self._reached / name).exists()

    def release(self, name: str) -> None:
        """Let who waits there go on."""
        (self._released / name).touch()

    def clear(self) -> None:
        """Disarm all, and let everybody go."""
        for directory in (self._armed, self._reached):
            for path in directory.iterdir():
                (self._released / path.name.removesuffix(_ALL)).touch()
                path.unlink(missing_ok=True)

    # --- for those who come by

    def at(self, name: str) -> None:
        """Wait here, if the point is armed, or fail if that was asked for."""
        if self._comes_by(name):
            # Read first: whoever clears the points takes the file away.
            error = int((self._reached / name).read_text() or "0")
            while not self._may_go(name):
                time.sleep(_POLL)
            if error:
                raise OSError(error, os.strerror(error))

    async def pause(self, name: str) -> None:
        """The same for a task: the rest of its process goes on."""
        if self._comes_by(name):
            while not self._may_go(name):  # noqa: ASYNC110 - it is a file, which no event tells of
                await asyncio.sleep(_POLL)

    def _comes_by(self, name: str) -> bool:
        with suppress(FileNotFoundError):
            (self._armed / name).rename(self._reached / name)
            return True
        if (self._armed / f"{name}{_ALL}").exists():
            (self._reached / name).touch()
            return True
        return False

    def _may_go(self, name: str) -> bool:
        return (self._released / name).exists()


def here() -> Points:
    """The points of the host that this process is, or belongs to."""
    return Points(Path(os.environ[VARIABLE]))
