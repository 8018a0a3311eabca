"""How busy a machine is, what it is, and how full its file systems are."""

from __future__ import annotations

import os
import platform
import shutil
import time
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

import psutil

from paglets.core.version import VERSION
from paglets.system.server_info.contract import MAX_FILE_SYSTEMS, FileSystem, FileSystems, Load, Summary
from paglets.system.server_info.readings import reading

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_CPU_SECONDS = 0.1
_IMAGES = frozenset({"squashfs", "iso9660"})
"""Always full, by their nature."""


def read_load() -> Load:
    """Takes a tenth of a second, to see what the processors do."""
    memory = reading(psutil.virtual_memory, None)
    swap = reading(psutil.swap_memory, None)
    averages = reading(os.getloadavg, None)
    boot_time = reading(psutil.boot_time, None)
    return Load(
        cpu_count=reading(psutil.cpu_count, None) or os.cpu_count() or 0,
        cpu_percent=reading(lambda: psutil.cpu_percent(interval=_CPU_SECONDS), None),
        load_1=averages[0] if averages else None,
        load_5=averages[1] if averages else None,
        load_15=averages[2] if averages else None,
        memory_total_bytes=memory.total if memory else 0,
        memory_used_bytes=memory.used if memory else 0,
        memory_available_bytes=memory.available if memory else 0,
        swap_total_bytes=swap.total if swap else 0,
        swap_used_bytes=swap.used if swap else 0,
        boot_time=boot_time,
        uptime_seconds=reading(_uptime, None),
    )


def read_summary(host_name: str, host_url: str) -> Summary:
    """What the machine is; takes as long as ``read_load``."""
    return Summary(
        host_name=host_name,
        host_url=host_url,
        node_name=platform.node(),
        system=platform.system(),
        distribution=reading(lambda: platform.freedesktop_os_release()["PRETTY_NAME"], ""),
        kernel=platform.release(),
        architecture=platform.machine(),
        python_version=platform.python_version(),
        product_version=VERSION,
        process_count=reading(lambda: len(psutil.pids()), 0),
        load=read_load(),
    )


def read_file_systems() -> FileSystems:
    """Those on devices of this machine. One on the network may not answer, and would take the service with it."""
    found: list[FileSystem] = []
    for mount in islice(_mounts(), MAX_FILE_SYSTEMS):
        usage = reading(lambda path=mount.mountpoint: shutil.disk_usage(path), None)
        if usage is not None and usage.total > 0:
            found.append(FileSystem(*mount, usage.total, usage.used, usage.free))
    return FileSystems(found)


class _Mount(NamedTuple):
    device: str
    mountpoint: str
    fstype: str


_NONE: Sequence[_Mount] = ()


def _mounts() -> Iterable[_Mount]:
    """By mountpoint, each device where it is mounted nearest to the root."""
    real = reading(lambda: _partitions(everything=False), _NONE)
    if not any(mount.mountpoint == "/" for mount in real):
        # In a container the root is an overlay, which belongs to no device, and is what programs there have.
        everything = reading(lambda: _partitions(everything=True), _NONE)
        real = [*(mount for mount in everything if mount.mountpoint == "/"), *real]
    nearest: dict[str, _Mount] = {}
    for mount in sorted(real, key=lambda mount: (len(mount.mountpoint), mount.mountpoint)):
        if mount.fstype not in _IMAGES:
            nearest.setdefault(mount.device, mount)
    return sorted(nearest.values(), key=lambda mount: mount.mountpoint)


def _partitions(*, everything: bool) -> Sequence[_Mount]:
    return [
        _Mount(each.device, each.mountpoint, each.fstype) for each in psutil.disk_partitions(all=everything)
    ]


def _uptime() -> float:
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)  # right even where the clock was set since
    return max(0.0, time.time() - psutil.boot_time())
