"""How a store is sized and bounded, and the map size that fits the machine."""

from __future__ import annotations

import sys
from dataclasses import dataclass

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB

MAP_SIZE_64_BIT = 64 * GIB
MAP_SIZE_32_BIT = 512 * MIB
MAP_SIZE_MINIMUM = 64 * MIB


if sys.platform == "win32":

    def _address_space_limit() -> int | None:
        return None
else:
    import resource

    def _address_space_limit() -> int | None:
        soft, _hard = resource.getrlimit(resource.RLIMIT_AS)
        return None if soft == resource.RLIM_INFINITY else soft


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """Sizes are bytes, times are seconds."""

    map_size: int | None = None
    """The most that the store can ever hold; None: by platform and address space limit."""
    arrival_limit: float = 0.8
    """Share of the map beyond which new arrivals are refused."""
    disk_reserve: int = 32 * MIB
    """Free space on the file system below which new arrivals are refused."""
    max_waiting: int = 8192
    """Commits that may wait; one more is refused."""
    max_batch: int = 512
    """Commits that share one fsync."""
    max_uploads: int = 256
    """Blobs that may be staged at the same time."""
    bulk_bytes: int = 2 * MIB
    """Blob bytes in one bulk transaction."""
    small_blob: int = 64 * KIB
    """Blobs up to this size stay in memory until the commit that adopts them."""
    max_queued_messages: int = 10_000
    """Messages that may wait for one paglet."""
    max_queued_bytes: int = 64 * MIB
    """Bytes of messages that may wait for one paglet."""
    reader_threads: int = 2
    close_timeout: float = 10.0
    """How long ``close`` waits for writes and reads under way."""


def default_map_size(file_size: int) -> int:
    """The map to ask for: large, but within the address space this process may use, and above the file.

    A map only reserves addresses, so a large one costs nothing on 64 bits; on 32 bits, and under
    ``RLIMIT_AS``, a large one makes the open fail.
    """
    size = MAP_SIZE_64_BIT if sys.maxsize > 2**32 else MAP_SIZE_32_BIT
    limit = _address_space_limit()
    if limit is not None:
        size = min(size, limit // 4)
    return max(size, MAP_SIZE_MINIMUM, file_size * 2)
