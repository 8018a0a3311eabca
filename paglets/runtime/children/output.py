"""What a child prints: lines out of a pipe, for its owner to keep and into the log."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)

MAX_LINE = 8 * 1024
"""Bytes; the rest of a longer line is the next line."""
LOG_BURST = 1000
LOG_RATE = 200
"""Lines of one child that go to the log at once, and per second from then on; the owner gets all."""
_READ = 16 * 1024
_PIPE = 64 * 1024


class _LogBudget:
    """How much of what one child prints goes to the log: a flood there is everybody's."""

    def __init__(self, burst: float, rate: float) -> None:
        self._burst = burst
        self._rate = rate
        self._left = burst
        self._since = time.monotonic()
        self._dropped = 0

    def take(self) -> bool:
        """Whether one more line may be logged."""
        now = time.monotonic()
        self._left = min(self._burst, self._left + (now - self._since) * self._rate)
        self._since = now
        if self._left < 1:
            self._dropped += 1
            return False
        self._left -= 1
        return True

    def take_dropped(self) -> int:
        """How many lines were refused since this was last asked."""
        dropped, self._dropped = self._dropped, 0
        return dropped


class OutputReader:
    """Reads the pipe on the loop; one read a turn, so that a flood from one does not hold up the others.

    The descriptor is its own, and closed when it cannot be read on the loop.
    """

    def __init__(self, descriptor: int, agent_id: str, on_lines: Callable[[list[str]], None]) -> None:
        self._descriptor = descriptor
        self._agent_id = agent_id
        self._on_lines = on_lines
        self._loop = asyncio.get_running_loop()
        self._rest = b""
        self._open = True
        self._budget = _LogBudget(LOG_BURST, LOG_RATE)
        try:
            self._loop.add_reader(descriptor, self._readable)
        except BaseException:
            os.close(descriptor)
            raise

    def close(self) -> None:
        """Take what is in the pipe still, at most as much as a pipe holds, and let go of it."""
        if self._open:
            self._take(self._read(_PIPE) or b"")
            self._end()

    def _readable(self) -> None:
        data = self._read()
        if data:
            self._take(data)
        elif data is not None:
            self._end()

    def _read(self, size: int = _READ) -> bytes | None:
        try:
            return os.read(self._descriptor, size)
        except BlockingIOError:
            return None

    def _end(self) -> None:
        self._open = False
        self._loop.remove_reader(self._descriptor)
        os.close(self._descriptor)
        if self._rest:
            self._tell([self._rest])
            self._rest = b""

    def _take(self, data: bytes) -> None:
        *whole, rest = (self._rest + data).split(b"\n")
        lines = [
            line[start : start + MAX_LINE] for line in whole for start in range(0, len(line) or 1, MAX_LINE)
        ]
        while len(rest) > MAX_LINE:
            lines.append(rest[:MAX_LINE])
            rest = rest[MAX_LINE:]
        self._rest = rest
        if lines:
            self._tell(lines)

    def _tell(self, lines: list[bytes]) -> None:
        texts = [line.decode("utf-8", "backslashreplace").rstrip("\r") for line in lines]
        for text in texts:
            self._log(text)
        self._on_lines(texts)

    def _log(self, line: str) -> None:
        if not self._budget.take():
            return
        if dropped := self._budget.take_dropped():
            logger.warning("lines were not logged", extra={"agent_id": self._agent_id, "lines": dropped})
        logger.info("%s: %s", self._agent_id, line, extra={"agent_id": self._agent_id})
