"""What a host needs of whatever makes its child processes: one protocol over zygote and spawn."""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import msgspec

from paglets.core.errors import HostError

if TYPE_CHECKING:
    import asyncio
    import socket
    from collections.abc import Callable


MOST_FIRST_BYTES = 32 * 1024
"""A Unix socket takes as much before anybody reads, with room to spare."""


class LaunchRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a child sees of the program that asks for it, as it is now."""

    sys_path: list[str] = msgspec.field(default_factory=lambda: list(sys.path))
    cwd: str = msgspec.field(default_factory=os.getcwd)
    """A child whose working directory is gone starts in the root directory."""
    environ: dict[str, str] = msgspec.field(default_factory=lambda: dict(os.environ))
    life_file: str = ""
    """A file of the host that its children hold a lock on while they live (``orphans``); empty for none."""


class LauncherDiedError(HostError):
    """The process that children are forked from went while one was asked for; the paglet had no part in it."""


class ExitStatus(msgspec.Struct, frozen=True):
    """How a process ended: exactly one of the two is set, none of them when its launcher was lost first."""

    code: int | None = None
    """The exit code, 0 to 255."""
    signal: int | None = None
    """The number of the signal that ended it."""

    def __str__(self) -> str:
        if self.signal is not None:
            try:
                return f"killed by {signal.Signals(self.signal).name}"
            except ValueError:
                return f"killed by signal {self.signal}"
        return "lost with its launcher" if self.code is None else f"exited with {self.code}"


@dataclass(eq=False, slots=True)
class LaunchedProcess:
    """A running child. Who launched it owns the two descriptors and closes them."""

    pid: int
    socket: socket.socket
    """The host's end of the link: a Unix stream socket, not blocking, close-on-exec."""
    output: int
    """Read end of the pipe that is the child's stdout and stderr: not blocking, close-on-exec."""
    exit: asyncio.Future[ExitStatus]
    """Resolves when the process has ended and was reaped; never fails."""
    send_signal: Callable[[int], None] = field(repr=False)
    """Sends a signal to this very process (never to another that got its pid); nothing when it has ended."""


class Launcher(Protocol):
    """Makes child processes for one host, on the host's loop.

    Construction does nothing and may happen on any thread; all methods belong to one running loop. Children
    that still live when their launcher is closed, or when the program ends, are killed.
    """

    async def start(self) -> None:
        """Get ready, so that the first launch is as fast as the others. ``HostError`` when it cannot."""
        ...

    async def launch(self, request: LaunchRequest, first: bytes = b"") -> LaunchedProcess:
        """Start one child; ``HostError`` when there is none to be had. Safe to cancel: no child is left.

        ``first``: what it finds on its link, at most ``MOST_FIRST_BYTES``.
        """
        ...

    async def aclose(self) -> None:
        """Kill the children that are left, and let go of everything. Harmless when repeated."""
        ...
