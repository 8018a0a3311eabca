"""How much memory is left for further processes: on the machine, and in the control group that the host runs in."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from paglets.core.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MIB = 1024 * 1024
_LOOK_AGAIN = 0.1
"""Seconds for which what was found is good enough: hundreds of paglets may want to start at once."""
_GROUPS = Path("/sys/fs/cgroup")
_UNLIMITED = 1 << 60  # version 1 of control groups writes a number about that large when there is no limit


class NoMemoryLeftError(HostError):
    """There is too little memory to give a paglet a process. Not the paglet's doing, and over when some is free."""


def default_reserve() -> int:
    """Memory to keep free: 64 MiB, or a sixteenth of a small machine's."""
    return min(64 * MIB, total_memory() // 16)


def default_waiting_bytes() -> int:
    """What messages that wait may take: a sixteenth of the memory, between 16 and 256 MiB."""
    return max(16 * MIB, min(256 * MIB, total_memory() // 16))


def total_memory() -> int:
    """Bytes that this process and its children can use at most."""
    return min([psutil.virtual_memory().total, *(limit for limit, _ in _group_limits())])


def free_memory() -> int:
    """Bytes that this process and its children can still take."""
    return min(
        [psutil.virtual_memory().available, *(max(0, limit - used) for limit, used in _group_limits())]
    )


class MemoryRoom:
    """Says whether there is memory for one process more.

    ``reserve``: bytes that have to be free. ``free`` tells how many are.
    """

    def __init__(self, reserve: int, free: Callable[[], int] = free_memory) -> None:
        self.reserve = reserve
        self.refused = 0
        self.refused_at: float | None = None
        """When there was too little the last time, by the monotonic clock."""
        self._read = free
        self._known = 0
        self._known_at: float | None = None

    def free(self) -> int:
        """Bytes that are free, about."""
        now = time.monotonic()
        if self._known_at is None or now - self._known_at > _LOOK_AGAIN:
            self._known, self._known_at = self._read(), now
        return self._known

    def check(self) -> None:
        """``NoMemoryLeftError`` when there is too little for a process more."""
        free = self.free()
        if free < self.reserve:
            self.refused += 1
            self.refused_at = time.monotonic()
            raise NoMemoryLeftError(
                f"only {free // MIB} MiB of memory are free, and {self.reserve // MIB} are kept free, so no further "
                "paglet is given a process; deactivate or move some, or try again later"
            )


def _group_limits() -> Iterator[tuple[int, int]]:
    """Limit and use of each limited control group above this process, page cache that can go not counted."""
    try:
        lines = Path("/proc/self/cgroup").read_text("ascii", "replace").splitlines()
    except OSError:  # no Linux
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        parts = [part for part in path.split("/") if part not in {"", ".."}]
        if not controllers:
            yield from _limits(_GROUPS, parts, "memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            yield from _limits(_GROUPS / "memory", parts, *names)


def _limits(
    root: Path, parts: list[str], limit_name: str, use_name: str, cache: str
) -> Iterator[tuple[int, int]]:
    for depth in range(len(parts), -1, -1):
        group = root.joinpath(*parts[:depth])
        try:
            limit = (group / limit_name).read_text("ascii").strip()
            if not limit.isdecimal() or int(limit) >= _UNLIMITED:
                continue
            used = int((group / use_name).read_text("ascii"))
            stat = dict(
                line.split(" ", 1) for line in (group / "memory.stat").read_text("ascii").splitlines()
            )
        except (OSError, ValueError):  # not to be seen from inside a container
            continue
        yield int(limit), max(0, used - int(stat.get(cache, "0")))
