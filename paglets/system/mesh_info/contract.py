"""The contract of the mesh-info service: what the hosts of a mesh have to offer, and which suit a job."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from paglets.services.contracts import EmptyPayload, ServiceContract
from paglets.services.operations import ServiceOperation

MESH_INFO_AGENT_ID = "service.mesh-info"
"""The id of the provider, the same on every host."""


@dataclass(frozen=True, slots=True)
class HostFacts:
    """What one host has to offer. Sizes in bytes; 0, or None, where the host cannot tell."""

    host_id: str
    """Identifies the host; its name and URL are hints."""
    name: str
    url: str
    cpu_count: int = 0
    """Processors that its paglets may use."""
    load_1: float | None = None
    """Processes that wanted to run, averaged over the last minute."""
    memory_total_bytes: int = 0
    memory_available_bytes: int = 0
    """What can be had without swapping."""
    disk_total_bytes: int = 0
    """Of the file system that holds the paglets' work directories."""
    disk_free_bytes: int = 0
    active_count: int = 0
    """Paglets at work there."""
    inactive_count: int = 0
    """Paglets parked there."""
    system: str = ""
    """``Linux`` and so on."""
    architecture: str = ""
    """``x86_64``, ``aarch64`` and so on."""
    product_version: str = ""
    tags: tuple[str, ...] = ()
    properties: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def load_per_cpu(self) -> float | None:
        """The one-minute load divided by the processors; above 1 somebody has to wait."""
        return None if self.load_1 is None else self.load_1 / max(1, self.cpu_count)


@dataclass(frozen=True, slots=True)
class LandscapeEntry:
    """What the answering host knows of one host."""

    facts: HostFacts
    version: int
    """Grows with each look that the host takes at itself; 0: nothing was heard of its resources yet."""
    age_seconds: float
    """How long ago it looked."""
    stale: bool = False
    """Nothing was heard of it for so long that the figures mean little."""
    online: bool = True
    """Whether the mesh can reach it, as far as the answering host knows."""


@dataclass(frozen=True, slots=True)
class Landscape:
    """Every host that is known, by name, the answering one included."""

    host_name: str
    """Who answers."""
    entries: list[LandscapeEntry] = field(default_factory=list[LandscapeEntry])


@dataclass(frozen=True, slots=True)
class SyncEntry:
    """A host's facts on their way between two mesh-info services."""

    facts: HostFacts
    version: int
    age_seconds: float


@dataclass(frozen=True, slots=True)
class SyncRequest:
    """One round of gossip: news, and what the sender knows, so that the answer holds only what it lacks."""

    sender: str = ""
    """Host id."""
    entries: list[SyncEntry] = field(default_factory=list[SyncEntry])
    versions: dict[str, int] = field(default_factory=dict[str, int])
    """By host id."""
    demand_seconds: float = 0.0
    """For how long somebody will be interested in fresh figures."""


@dataclass(frozen=True, slots=True)
class SyncReply:
    """What the sender of the request lacked."""

    entries: list[SyncEntry] = field(default_factory=list[SyncEntry])
    demand_seconds: float = 0.0


class TargetPreference(Enum):
    """Which of the hosts that will do goes first."""

    FREE_MEMORY = "free-memory"
    """Most memory available."""
    LEAST_LOAD = "least-load"
    """Least load per processor."""
    LOCAL = "local"
    """The answering host, then by free memory."""


@dataclass(frozen=True, slots=True)
class TargetSelectionRequest:
    """What a host must have to be chosen. A request with nothing set takes the best of all that are online."""

    count: int = 1
    """How many hosts at most."""
    min_free_memory_bytes: int = 0
    min_free_disk_bytes: int = 0
    min_cpu_count: int = 0
    max_load: float | None = None
    """Per processor, over the last minute. A host that cannot tell its load does not pass."""
    tags: tuple[str, ...] = ()
    """All of them."""
    properties: dict[str, Any] = field(default_factory=dict[str, Any])
    """All of them, with equal values."""
    exclude_hosts: tuple[str, ...] = ()
    """Names, URLs or host ids."""
    prefer: TargetPreference = TargetPreference.FREE_MEMORY
    include_self: bool = True
    """Whether the answering host may be chosen."""
    max_age_seconds: float = 0.0
    """Older figures do not count; 0: any that are not stale."""


@dataclass(frozen=True, slots=True)
class TargetHost:
    """A host that will do."""

    host_name: str
    host_url: str
    host_id: str
    age_seconds: float
    memory_available_bytes: int
    load_per_cpu: float | None = None


@dataclass(frozen=True, slots=True)
class RejectedHost:
    """A host that will not do, and everything that speaks against it."""

    host_name: str
    host_url: str
    reasons: list[str] = field(default_factory=list[str])


@dataclass(frozen=True, slots=True)
class TargetSelection:
    """The hosts that will do, best first, ``count`` at most; and those that will not."""

    targets: list[TargetHost] = field(default_factory=list[TargetHost])
    rejected: list[RejectedHost] = field(default_factory=list[RejectedHost])


SNAPSHOT = ServiceOperation("snapshot", EmptyPayload, HostFacts)
"""The answering host as it is now."""
LANDSCAPE = ServiceOperation("landscape", EmptyPayload, Landscape)
"""All hosts, as the answering one last heard of them."""
SYNC = ServiceOperation("sync", SyncRequest, SyncReply)
"""Between mesh-info services."""
SELECT_TARGETS = ServiceOperation("select", TargetSelectionRequest, TargetSelection)
"""Which hosts suit a job."""
MESH_INFO = ServiceContract("mesh-info", (SNAPSHOT, LANDSCAPE, SYNC, SELECT_TARGETS))
