"""What a child prints: lines out of a pipe, into a bounded ring and the log."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections import deque
from typing import TYPE_CHECKING

from paglets.runtime.child_specs import OutputLine

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)

MAX_LINE = 8 * 1024
"""Bytes; the rest of a longer line is the next line."""
MAX_LINES = 1000
MAX_BYTES = 256 * 1024
"""Kept of each child, whichever is reached first."""
LOG_BURST = 1000
LOG_RATE = 200
"""Lines of one child that go to the log at once, and per second from then on; the ring still gets all."""
_READ = 16 * 1024
_PIPE = 64 * 1024


class OutputRing:
    """The last lines that somebody printed, numbered from 1."""

    def __init__(self, max_lines: int = MAX_LINES, max_bytes: int = MAX_BYTES) -> None:
        self._lines: deque[OutputLine] = deque()
        self._max_lines = max_lines
        self._max_bytes = max_bytes
        self._bytes = 0
        self._seq = 0

    def append(self, line: str) -> OutputLine:
        """Keep a line; the oldest go when there is no room."""
        self._seq += 1
        kept = OutputLine(self._seq, time.time(), line)
        self._lines.append(kept)
        self._bytes += len(line)
        while len(self._lines) > self._max_lines or self._bytes > self._max_bytes:
            self._bytes -= len(self._lines.popleft().line)
        return kept

    def since(self, seq: int = 0, limit: int = MAX_LINES) -> list[OutputLine]:
        """At most ``limit`` of the lines kept whose number is greater than ``seq``, oldest first."""
        return [line for line in self._lines if line.seq > seq][: max(limit, 0)]


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
    """Reads the pipe on the loop; one read a turn, so that a flood from one does not hold up the others."""

    def __init__(self, descriptor: int, agent_id: str, on_lines: Callable[[list[OutputLine]], None]) -> None:
        self._descriptor = descriptor
        self._agent_id = agent_id
        self._on_lines = on_lines
        self._loop = asyncio.get_running_loop()
        self._rest = b""
        self._open = True
        self._budget = _LogBudget(LOG_BURST, LOG_RATE)
        self.ring = OutputRing()
        self._loop.add_reader(descriptor, self._readable)

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
        kept = [self.ring.append(line.decode("utf-8", "backslashreplace").rstrip("\r")) for line in lines]
        for line in kept:
            self._log(line)
        self._on_lines(kept)

    def _log(self, line: OutputLine) -> None:
        if not self._budget.take():
            return
        if dropped := self._budget.take_dropped():
            logger.warning("lines were not logged", extra={"agent_id": self._agent_id, "lines": dropped})
        logger.info("%s: %s", self._agent_id, line.line, extra={"agent_id": self._agent_id, "seq": line.seq})
