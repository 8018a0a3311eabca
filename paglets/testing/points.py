"""Places where a process can be held, or made to fail: it says that it is there, and waits to be killed or let go.

A point is a file that moves: ``armed/NAME`` is put there by the test, moved to ``reached/NAME`` by the process that
comes by, which then waits for ``released/NAME``. So nothing depends on who is faster, it works across processes -
in hosts and in the children that paglets run in - and a process that is killed at a point leaves no lock behind.

In a test::

    points = Points(tmp_path / "points")
    with points.everywhere():
        points.arm("surveying")
        ...
        points.wait_reached("surveying")   # the paglet is now there, and stays
        ...                                # kill it, cut its host off, look at it
        points.release("surveying")

In the code under test, where ``everywhere`` reaches it through the environment::

    points.here().at("surveying")
"""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from paglets.testing.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Generator

VARIABLE = "PAGLETS_FAULT_POINTS"
"""The environment variable that names the directory of the points to ``here``."""

_POLL = 0.002
_ALL = ".all"


class Points:
    """The points below one directory; the names are any that a file can have."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._armed, self._reached, self._released = (
            directory / each for each in ("armed", "reached", "released")
        )

    # --- for the test

    def prepare(self) -> None:
        """Make the directories; no harm when they are there."""
        for directory in (self._armed, self._reached, self._released):
            directory.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def everywhere(self) -> Generator[Points]:
        """Make these the points of this process and of all that it starts meanwhile; at the end, let all go."""
        self.prepare()
        before = os.environ.get(VARIABLE)
        os.environ[VARIABLE] = str(self.directory)
        try:
            yield self
        finally:
            if before is None:
                os.environ.pop(VARIABLE, None)
            else:
                os.environ[VARIABLE] = before
            self.clear()

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

    def wait_reached(self, name: str, *, within: float = 10.0) -> None:
        """Until somebody waits there; ``AssertionError`` when nobody comes ``within`` seconds."""
        wait_until(lambda: self.is_reached(name), within=within, otherwise=lambda: f"at {name!r}")

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
            error = self._wanted(name)
            while not self._may_go(name):
                time.sleep(_POLL)
            if error:
                raise OSError(error, os.strerror(error))

    async def pause(self, name: str) -> None:
        """The same for a task: the rest of its process goes on. It only holds."""
        if self._comes_by(name):
            while not self._may_go(name):  # noqa: ASYNC110 - it is a file, which no event tells of
                await asyncio.sleep(_POLL)

    def _comes_by(self, name: str) -> bool:
        with suppress(FileNotFoundError, NotADirectoryError):  # the second: there are no points at all
            (self._armed / name).rename(self._reached / name)
            return True
        if (self._armed / f"{name}{_ALL}").exists():
            (self._reached / name).touch()
            return True
        return False

    def _wanted(self, name: str) -> int:
        """The error that is to be raised there, or 0."""
        try:
            return int((self._reached / name).read_text() or "0")
        except FileNotFoundError:  # the points were cleared just now
            return 0

    def _may_go(self, name: str) -> bool:
        return (self._released / name).exists()


def here() -> Points:
    """The points that this process was given; without any, points that are never armed."""
    return Points(Path(os.environ.get(VARIABLE, os.devnull)))
