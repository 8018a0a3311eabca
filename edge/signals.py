"""Stopping a service by signal: the first one politely, the second one at once."""

from __future__ import annotations

import logging
import os
import signal
import threading
from functools import partial
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType, TracebackType

logger = logging.getLogger(__name__)

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopSignals:
    """Takes SIGTERM and SIGINT while entered, on the main thread.

    The first one ends ``wait()``; the second one ends the process at once with 128 + its number. What it owns
    is durable, and its children die with it.
    """

    def __init__(self) -> None:
        self.received: str = ""
        """Name of the first signal; empty while there was none."""
        self._stop = threading.Event()
        self._before: list[Callable[[], object]] = []

    def __enter__(self) -> Self:
        for number in _SIGNALS:
            before = signal.signal(number, self._take)
            self._before.append(partial(signal.signal, number, before))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        while self._before:
            self._before.pop()()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the first signal; False when none came within ``timeout`` seconds."""
        return self._stop.wait(timeout)

    def stop(self) -> None:
        """End ``wait()`` without a signal; any thread."""
        self._stop.set()

    def _take(self, number: int, _frame: FrameType | None) -> None:
        if self.received:
            os.write(2, b"stopped at once by a second signal\n")
            os._exit(128 + number)
        self.received = signal.Signals(number).name
        self._stop.set()
