"""Logs of the appliance, on stderr: plain for the journal, readable on a terminal."""

from __future__ import annotations

import logging
import os
import sys
import time
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Mapping

LEVEL_VARIABLE = "PAGLETS_LOG"

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_MAX_FIELD = 2000
_COLOURS = {"DEBUG": "2", "WARNING": "33", "ERROR": "31", "CRITICAL": "1;31"}
# sd-daemon(3): a line that begins with <N> has that priority.
_PRIORITIES = {"DEBUG": 7, "INFO": 6, "WARNING": 4, "ERROR": 3, "CRITICAL": 2}


def configure(environ: Mapping[str, str] | None = None, stream: TextIO | None = None) -> None:
    """Send all logs to ``stream`` (stderr, when none is given), in the form that fits who reads it.

    ``PAGLETS_LOG`` names the level (``debug``, ``info``, ``warning``, ``error``), ``info`` by default.
    """
    environ = os.environ if environ is None else environ
    target: TextIO = sys.stderr if stream is None else stream
    handler = logging.StreamHandler(target)
    handler.setFormatter(_formatter(target, environ))
    level = logging.getLevelNamesMapping().get(environ.get(LEVEL_VARIABLE, "info").upper(), logging.INFO)
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # Libraries tell of every connection at INFO; what matters of that, the host says itself.
    for library in ("websockets", "zeroconf", "asyncio"):
        logging.getLogger(library).setLevel(max(level, logging.WARNING))


def _formatter(stream: TextIO, environ: Mapping[str, str]) -> logging.Formatter:
    if _is_journal(stream, environ):
        return JournalFormatter()
    return LineFormatter(colour=stream.isatty() and not environ.get("NO_COLOR"))


def _is_journal(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether the stream is the journal's: ``JOURNAL_STREAM`` is its device and inode, systemd.exec(5)."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def message_with_fields(record: logging.LogRecord) -> str:
    """The message, then its fields as ``key=value``, on one line, without control characters."""
    fields = [f"{name}={value}" for name, value in vars(record).items() if name not in _STANDARD]
    text = " ".join([record.getMessage(), *(field[:_MAX_FIELD] for field in fields)])
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)


class LineFormatter(logging.Formatter):
    """``2026-11-23 05:26:08 INFO  message key=value``, tracebacks below it."""

    def __init__(self, *, colour: bool = False) -> None:
        super().__init__()
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        """One record."""
        stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.created))
        line = f"{stamp} {record.levelname:<7} {message_with_fields(record)}"
        code = _COLOURS.get(record.levelname) if self._colour else None
        line = f"\033[{code}m{line}\033[0m" if code else line
        return "\n".join([line, *_traceback(self, record)])


class JournalFormatter(logging.Formatter):
    """``<6>message key=value``: the journal knows the time, and reads the level from the number."""

    def format(self, record: logging.LogRecord) -> str:
        """One record; every line of a traceback gets the number, so that it stays with its message."""
        number = _PRIORITIES.get(record.levelname, 6)
        lines = [message_with_fields(record), *_traceback(self, record)]
        return "\n".join(f"<{number}>{line}" for line in lines)


def _traceback(formatter: logging.Formatter, record: logging.LogRecord) -> list[str]:
    if not record.exc_info:
        return []
    return formatter.formatException(record.exc_info).splitlines()
