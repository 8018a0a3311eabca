"""One host's look at itself: cheap enough to be taken every few seconds, and it never fails."""

from __future__ import annotations

import os
import platform
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from paglets.core.version import VERSION
from paglets.system.mesh_info.contract import HostFacts

if TYPE_CHECKING:
    from paglets.remote.host_refs import HostRef

_MEMINFO = Path("/proc/meminfo")


def look(host_id: str, own: HostRef, directory: Path) -> HostFacts:
    """What the host ``own`` has to offer now; ``directory``: on the file system that paglets work on."""
    memory_total, memory_available = memory()
    disk_total, disk_free = disk(directory)
    return HostFacts(
        host_id=host_id,
        name=own.name,
        url=own.url,
        cpu_count=cpu_count(),
        load_1=load(),
        memory_total_bytes=memory_total,
        memory_available_bytes=memory_available,
        disk_total_bytes=disk_total,
        disk_free_bytes=disk_free,
        active_count=own.active_count,
        inactive_count=own.inactive_count,
        system=platform.system(),
        architecture=platform.machine(),
        product_version=VERSION,
        tags=own.tags,
        properties=own.properties,
    )


def cpu_count() -> int:
    """Processors that this process, and so its host's paglets, may use."""
    with suppress(AttributeError, OSError):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 0


def load() -> float | None:
    """The one-minute load average; None where there is none."""
    with suppress(AttributeError, OSError):
        return os.getloadavg()[0]
    return None


def memory(meminfo: Path = _MEMINFO) -> tuple[int, int]:
    """Bytes in all, and bytes to be had without swapping; see proc_meminfo(5). Zeros where nothing tells."""
    with suppress(OSError, ValueError, KeyError):
        fields = dict(line.split(":", 1) for line in meminfo.read_text().splitlines() if ":" in line)
        total, free = (_kibibytes(fields[name]) for name in ("MemTotal", "MemAvailable"))
        return total, free
    try:
        # Not on Linux. It costs a few MiB, which every host would pay for as long as it runs.
        import psutil  # noqa: PLC0415

        figures = psutil.virtual_memory()
    except (ImportError, OSError, RuntimeError, NotImplementedError):
        return 0, 0
    return figures.total, figures.available


def disk(directory: Path) -> tuple[int, int]:
    """Bytes in all, and bytes free, of the file system that a directory is, or will be, on."""
    for place in (directory, *directory.parents):
        with suppress(OSError):
            usage = shutil.disk_usage(place)
            return usage.total, usage.free
    return 0, 0


def _kibibytes(text: str) -> int:
    return int(text.split(maxsplit=1)[0]) * 1024
