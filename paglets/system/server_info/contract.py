"""The contract of the server-info service: how the machine of a host is."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from paglets.services.contracts import EmptyPayload, ServiceContract
from paglets.services.operations import ServiceOperation

SERVER_INFO_AGENT_ID = "service.server-info"
"""The id of the provider, the same on every host."""
MAX_PROCESSES = 100
"""The most that ``PLIST`` tells, whatever is asked for."""
MAX_FILE_SYSTEMS = 64
"""The most that ``DF`` tells."""


@dataclass(frozen=True, slots=True)
class Load:
    """How busy a machine is. Sizes in bytes; 0, or None, where the machine cannot tell."""

    cpu_count: int = 0
    """Logical processors."""
    cpu_percent: float | None = None
    """Of all processors together, 0 to 100, over a tenth of a second just now."""
    load_1: float | None = None
    """Processes that wanted to run, averaged over a minute; five; fifteen."""
    load_5: float | None = None
    load_15: float | None = None
    memory_total_bytes: int = 0
    memory_used_bytes: int = 0
    memory_available_bytes: int = 0
    """What can be had without swapping."""
    swap_total_bytes: int = 0
    swap_used_bytes: int = 0
    boot_time: float | None = None
    """Seconds since the epoch, by the machine's clock."""
    uptime_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class FileSystem:
    """A mounted file system on a device of the machine. Sizes in bytes."""

    device: str
    mountpoint: str
    fstype: str
    total_bytes: int
    used_bytes: int
    free_bytes: int
    """What is left for programs that are not root's."""


@dataclass(frozen=True, slots=True)
class FileSystems:
    """By mountpoint; each device once, where it is mounted first. Network file systems are left out."""

    file_systems: list[FileSystem] = field(default_factory=list[FileSystem])


class ProcessOrder(Enum):
    """What ``PLIST`` puts first."""

    CPU = "cpu"
    MEMORY = "memory"


@dataclass(frozen=True, slots=True)
class ProcessListRequest:
    """The processes that use most."""

    limit: int = 10
    """1 to ``MAX_PROCESSES``; what is outside counts as the nearer of the two."""
    sort_by: ProcessOrder = ProcessOrder.CPU


@dataclass(frozen=True, slots=True)
class ProcessInfo:
    """One process. Its arguments and environment are not told: they may hold secrets."""

    pid: int
    name: str
    username: str = ""
    status: str = ""
    """``running``, ``sleeping`` and so on."""
    cpu_percent: float | None = None
    """Of one processor, over a fifth of a second; None unless the list is by processor use."""
    memory_bytes: int = 0
    """Resident in memory, shared pages included."""
    threads: int = 0
    started_at: float | None = None
    """Seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class ProcessList:
    """Those that use most, most first, and how many there are in all."""

    processes: list[ProcessInfo] = field(default_factory=list[ProcessInfo])
    total: int = 0


@dataclass(frozen=True, slots=True)
class Summary:
    """What a machine is, and how busy."""

    host_name: str
    """The name of the host in the mesh."""
    host_url: str
    node_name: str = ""
    """What the machine calls itself."""
    system: str = ""
    """``Linux`` and so on."""
    distribution: str = ""
    """``Debian GNU/Linux 12 (bookworm)`` and so on."""
    kernel: str = ""
    architecture: str = ""
    python_version: str = ""
    product_version: str = ""
    process_count: int = 0
    load: Load = field(default_factory=Load)


LOAD = ServiceOperation("load", EmptyPayload, Load)
DF = ServiceOperation("df", EmptyPayload, FileSystems)
PLIST = ServiceOperation("plist", ProcessListRequest, ProcessList)
SUMMARY = ServiceOperation("summary", EmptyPayload, Summary)
SERVER_INFO = ServiceContract("server-info", (LOAD, DF, PLIST, SUMMARY))
