"""What a test looks at while a host is under pressure: whether it serves others, and what it holds."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psutil

from paglets.core.messages import Message
from tests.overload.agents import Bystander

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from paglets.runtime.host import Host

PATIENCE = 10.0
"""Seconds in which another paglet has to answer, and a host to tell how it is, on a machine with much else to do."""


def pressure(host: Host, name: str) -> dict[str, Any]:
    """One of the bounds that ``status`` shows."""
    return host.status()["pressure"][name]


def eventually(condition: Callable[[], Any], what: str, *, within: float = 30.0) -> Any:
    """Wait until a condition gives something true; what it gave."""
    deadline = time.monotonic() + within
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.02)
    return value


class Watch:
    """What was seen meanwhile."""

    def __init__(self) -> None:
        self.slowest = 0.0
        """Seconds of the slowest answer of the bystander and the host itself."""
        self.rounds = 0
        self.most_memory = 0
        """Resident bytes of this process, which is the hosts'."""
        self.error: Exception | None = None


@contextmanager
def bystander_served(host: Host) -> Generator[Watch]:
    """While the block runs, a paglet answers and the host tells its status, again and again, or the test fails."""
    proxy = host.create(Bystander)
    watch, over = Watch(), threading.Event()

    def look() -> None:
        process = psutil.Process()
        while not over.is_set():
            begun = time.monotonic()
            try:
                proxy.send(Message("note"), timeout=PATIENCE)
                host.status()
            except Exception as error:  # noqa: BLE001 - raised again where the test sees it
                watch.error = error
                return
            watch.slowest = max(watch.slowest, time.monotonic() - begun)
            watch.most_memory = max(watch.most_memory, process.memory_info().rss)
            watch.rounds += 1
            over.wait(0.01)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield watch
    finally:
        over.set()
        thread.join()
    if watch.error is not None:
        raise watch.error
    assert watch.rounds
    assert watch.slowest < PATIENCE
    proxy.dispose()
