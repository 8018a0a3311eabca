"""The bounds of a child, set before it touches a byte of what came from elsewhere."""

from __future__ import annotations

import resource
import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator

    from paglets.runtime.child_specs import Limits

DECODE_BASE_BYTES = 64 * 1024 * 1024
DECODE_FACTOR = 8
"""A pickle of small integers takes about six times its own size when it is loaded and laid out."""


def apply_limits(limits: Limits) -> None:
    """Set the bounds that hold for the whole life of the child."""
    if limits.cpu_seconds:
        _set_soft(resource.RLIMIT_CPU, limits.cpu_seconds)
    if limits.open_files:
        _set_soft(resource.RLIMIT_NOFILE, limits.open_files)


@contextmanager
def decoding(limits: Limits, payload_bytes: int, base: int | None = None) -> Generator[None]:
    """Bound memory and wall time while a class is imported, or a state decoded.

    Memory beyond ``base`` (``address_space()``; None: what is in use now): ``MemoryError`` inside. Time: the process
    is killed, for what takes this long may not come back.
    """
    allowance = limits.decode_bytes or DECODE_BASE_BYTES + DECODE_FACTOR * payload_bytes
    if limits.memory_bytes:
        allowance = min(allowance, limits.memory_bytes)
    if base is None:
        base = address_space()
    before = resource.getrlimit(resource.RLIMIT_AS)
    _set_soft(resource.RLIMIT_AS, base + allowance)
    handler = signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, limits.decode_seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        if handler is not None and signal.getsignal(signal.SIGALRM) is signal.SIG_DFL:
            signal.signal(signal.SIGALRM, handler)  # a module that was imported before may have set it
        resource.setrlimit(resource.RLIMIT_AS, before)
        if limits.memory_bytes:
            _set_soft(resource.RLIMIT_AS, base + limits.memory_bytes)


def address_space() -> int:
    """Bytes of address space in use; a guess on the safe side where the kernel does not tell."""
    if sys.platform == "linux":
        with open("/proc/self/statm", "rb") as file:  # noqa: PTH123 - no need for a path object
            return int(file.read().split(b" ", 1)[0]) * resource.getpagesize()
    return 1 << 34


def _set_soft(which: int, value: int) -> None:
    hard = resource.getrlimit(which)[1]
    resource.setrlimit(which, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))
