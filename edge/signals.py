"""Stopping a service by signal: the first one politely, the second one at once."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import FrameType, TracebackType

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopSignals:
    """Takes SIGTERM and SIGINT while entered, on the main thread.

    The first one ends ``wait()``; the second one ends the process at once with 128 + its number. What it owns
    is durable, and its children die with it.

    ``wait()`` reads what the interpreter writes for each signal (``signal.set_wakeup_fd``), and does not wait on a
    lock: a signal that comes just before that would be seen to only when the wait is over, which may be never.
    """

    def __init__(self) -> None:
        self.received: str = ""
        """Name of the first signal; empty while there was none."""
        self._stop = threading.Event()
        self._woken, self._waker = socket.socketpair()
        self._entered = ExitStack()
        for end in (self._woken, self._waker):
            self._entered.enter_context(end)
            end.settimeout(0.0)

    def __enter__(self) -> Self:
        before = signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        self._entered.callback(signal.set_wakeup_fd, before)
        for number in _SIGNALS:
            self._entered.callback(signal.signal, number, signal.signal(number, self._take))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._entered.close()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the first signal; False when none came within ``timeout`` seconds."""
        until = None if timeout is None else time.monotonic() + timeout
        while not self._stop.is_set():
            left = None if until is None else max(0.0, until - time.monotonic())
            self._woken.settimeout(left)
            try:
                self._woken.recv(4096)  # the handlers of signals that are written there run now
            except (TimeoutError, BlockingIOError):
                break
        return self._stop.is_set()

    def stop(self) -> None:
        """End ``wait()`` without a signal; any thread."""
        self._stop.set()
        with suppress(OSError):  # full, or closed: nobody waits then
            self._waker.send(b"\0")

    def _take(self, number: int, _frame: FrameType | None) -> None:
        if self.received:
            os.write(2, b"stopped at once by a second signal\n")
            os._exit(128 + number)
        self.received = signal.Signals(number).name
        self._stop.set()
