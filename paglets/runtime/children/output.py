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
_READ = 64 * 1024


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


class OutputReader:
    """Reads the pipe on the loop; one read a turn, so that a flood from one does not hold up the others."""

    def __init__(self, descriptor: int, agent_id: str, on_lines: Callable[[list[OutputLine]], None]) -> None:
        self._descriptor = descriptor
        self._agent_id = agent_id
        self._on_lines = on_lines
        self._loop = asyncio.get_running_loop()
        self._rest = b""
        self._open = True
        self.ring = OutputRing()
        self._loop.add_reader(descriptor, self._readable)

    def close(self) -> None:
        """Take what is in the pipe still, at most one read's worth, and let go of it."""
        if self._open:
            self._take(self._read() or b"")
            self._end()

    def _readable(self) -> None:
        data = self._read()
        if data:
            self._take(data)
        elif data is not None:
            self._end()

    def _read(self) -> bytes | None:
        try:
            return os.read(self._descriptor, _READ)
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
            logger.info(
                "%s: %s", self._agent_id, line.line, extra={"agent_id": self._agent_id, "seq": line.seq}
            )
        self._on_lines(kept)
