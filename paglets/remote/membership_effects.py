"""What the membership machine asks of the world, and what it tells."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TypeAlias

import msgspec

from paglets.remote.members import Gossip, HostFacts


@dataclass(frozen=True, slots=True)
class MembershipSettings:
    """How fast and how large. Times in seconds."""

    period: float = 1.0
    """One random member is probed in each."""
    offline_after: float = 10.0
    """A member that stopped is failed about this long after its last sign of life."""
    indirect: int = 3
    """Members that are asked to try what this host cannot reach."""
    max_members: int = 1024
    max_dials: int = 8
    """Hints tried at the same time."""
    dials_per_second: float = 10.0
    """Hints tried in the long run, however many come."""
    failed_memory: float = 24 * 3600.0
    """A failed member is shown, and tried again now and then, for this long."""
    left_memory: float = 3600.0
    """A member that said goodbye is shown for this long."""
    retry_limit: float = 30.0
    """The longest pause between two tries of a failed member."""

    @property
    def call_timeout(self) -> float:
        """How long one probe, direct or indirect, may take."""
        return max(self.offline_after / 8, min(self.period, 0.25))

    @property
    def suspicion(self) -> float:
        """How long a suspected member has to say that it lives."""
        return max(self.offline_after / 2, 2 * self.period)


class Ping(msgspec.Struct, frozen=True):
    """Send a heartbeat; give the answer to ``answered``, or the failure to ``unanswered``."""

    token: int
    host_id: str
    """Whom to insist on; empty: whoever of the mesh answers at the URL."""
    urls: tuple[str, ...]
    gossip: Gossip
    timeout: float


class PingVia(msgspec.Struct, frozen=True):
    """Ask a member to ping another one; the outcome goes to ``probed_via``."""

    token: int
    host_id: str
    """Who is asked."""
    urls: tuple[str, ...]
    target: str
    timeout: float


class Goodbye(msgspec.Struct, frozen=True):
    """Tell a member that this host leaves. No outcome is wanted."""

    host_id: str
    urls: tuple[str, ...]
    timeout: float


class MeshEventKind(enum.StrEnum):
    """What happened in the mesh, as this host sees it."""

    JOINED = "joined"
    LEFT = "left"
    FAILED = "failed"
    ADDRESS_CHANGED = "address-changed"
    NAME_CLASH = "name-clash"
    KEY_CLASH = "key-clash"
    """Another host has this host's key."""


class MeshEvent(msgspec.Struct, frozen=True):
    """Something a person or a paglet may want to know."""

    kind: MeshEventKind
    host: HostFacts
    compatible: bool = True
    """Whether the host runs the same mesh code version."""
    detail: str = ""
    """A sentence for people: why it failed, which other host has the name, the old URL."""


Effect: TypeAlias = Ping | PingVia | Goodbye | MeshEvent
