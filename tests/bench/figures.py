"""The figures: what each one means, what it is held against, and what it has to reach.

A limit is what the parts cost alone, measured in the same run; goals are absolute, or a ratio to that limit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    Get = Callable[[str], float]


@dataclass(frozen=True)
class Figure:
    """One line of the table."""

    key: str
    unit: str
    meaning: str
    must: float
    aim: float
    limit: Callable[[Get], float] | None = None
    """What it is held against, out of other figures; None: the goals stand alone."""
    ratio: bool = False
    """Whether the goals are multiples of the limit."""
    more_is_better: bool = False

    def reaches(self, value: float, goal: float, get: Get) -> bool:
        """Whether a value is at least as good as a goal."""
        bound = goal * self.limit(get) if self.ratio and self.limit is not None else goal
        return value >= bound if self.more_is_better else value <= bound


def _create(get: Get) -> float:
    return get("limit_fork_ms") + get("limit_commit_ms")


def _client(get: Get) -> float:
    return get("limit_tls_echo_us") + get("limit_unix_hop_us")


def _local(get: Get) -> float:
    return 2 * get("limit_unix_hop_us")


def _remote(get: Get) -> float:
    return 2 * get("limit_unix_hop_us") + get("limit_tls_echo_us")


def _move(get: Get) -> float:
    return get("limit_fork_ms") + get("limit_tls_echo_us") / 1e3 + 3 * get("limit_commit_ms")


def _move_64m(get: Get) -> float:
    """Pickling, then the slower of sending and writing, then the target's write; hashing is faster than both."""
    written = 64 / get("limit_lmdb_write_mb_s") * 1e3
    return get("limit_pickle_64m_ms") + max(64 / get("limit_tls_mb_s") * 1e3, written) + written


def _artifact(get: Get) -> float:
    return min(get("limit_tls_mb_s"), get("limit_lmdb_write_mb_s"))


FIGURES = (
    Figure("create_ms", "ms", "create a paglet in a process of its own, durable, until its first reply", 8, 4, _create),
    Figure("rtt_client_local_us", "µs", "message and reply, program to paglet", 2.0, 1.3, _client, ratio=True),
    Figure("rtt_paglets_local_us", "µs", "message and reply, paglet to paglet, one host", 2.0, 1.5, _local, ratio=True),
    Figure("rtt_paglets_remote_us", "µs", "the same, to a paglet on another host", 2.0, 1.3, _remote, ratio=True),
    Figure(
        "rtt_64m_state_us", "µs", "program to a paglet with 64 MB of state; held against one without",
        1.1, 1.0, lambda get: get("rtt_client_local_us"), ratio=True,
    ),
    Figure("messages_per_s_16", "/s", "messages handled, program to paglet, 16 in flight", 10_000, 20_000,
           more_is_better=True),
    Figure("move_1k_ms", "ms", "move with 1 KB of state, durable at both ends, until its first reply", 15, 7, _move),
    Figure("move_nested_1m_ms", "ms", "the same with a nested dict of 1 MB", 70, 40),
    Figure("move_64m_ms", "ms", "the same with 64 MB of bytes", 700, 400, _move_64m),
    Figure("artifact_push_mb_s", "MB/s", "256 MB from a file into a host, durable", 0.6, 0.85, _artifact,
           ratio=True, more_is_better=True),
    Figure("artifact_pull_mb_s", "MB/s", "256 MB from a host into a file, checked and durable", 0.6, 0.85, _artifact,
           ratio=True, more_is_better=True),
    Figure("deactivate_ms", "ms", "park a paglet with 1 KB of state", 5, 2, lambda get: get("limit_commit_ms")),
    Figure("activate_ms", "ms", "wake it, until its first reply", 8, 4, lambda get: get("limit_fork_ms")),
    Figure("host_ready_ms", "ms", "in a program: import the library and start a host", 300, 200),
    Figure("host_ready_frozen_ms", "ms", "start the frozen program until its host is ready", 600, 400),
    Figure("discovery_ms", "ms", "start a second host (frozen) until both know each other", 1500, 700),
    Figure("host_idle_pss_mib", "MiB", "a host in a mesh of 3, frozen: all its processes, with all services", 60, 40),
    Figure("paglet_pss_mib", "MiB", "memory of one more idle paglet there", 4, 2.5),
    Figure("idle_cpu_percent", "%", "of one core, by all processes of an idle host in a mesh of 3", 0.3, 0.1),
    Figure("idle_bytes_written", "B", "written to disk by it meanwhile", 0, 0),
    Figure("version_frozen_ms", "ms", "`paglets --version`, frozen", 120, 60),
    Figure("single_file_mb", "MB", "the single file", 30, 25),
    Figure("tree_mb", "MB", "the installed tree", 60, 50),
)  # fmt: skip

LIMITS = {
    "limit_fork_ms": ("ms", "fork a Python that has the library loaded, until the new process replies"),
    "limit_unix_hop_us": ("µs", "100 bytes to a blocking process and back, Unix socket, asyncio at this end"),
    "limit_tls_echo_us": ("µs", "100 bytes to another process and back, WebSocket over TLS 1.3"),
    "limit_commit_ms": ("ms", "1 KB into LMDB, durable"),
    "limit_tls_mb_s": ("MB/s", "frames of 256 KiB, WebSocket over TLS 1.3, to a process that drops them"),
    "limit_lmdb_write_mb_s": ("MB/s", "into LMDB in chunks of 256 KiB, 1 MB a durable transaction"),
    "limit_pickle_64m_ms": ("ms", "64 MB of bytes into a pickle and back"),
}
"""The limits: unit and meaning."""
