"""What a paglet's hooks are told about its own life."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from paglets.core.deactivation import DeactivationPolicy, DeactivationRequest


@dataclass(frozen=True, slots=True)
class PagletEvent:
    """What every such event says: which paglet, on which host, when (wall clock, seconds)."""

    agent_id: str
    host_name: str
    host_address: str
    timestamp: float = field(default_factory=time.time)


@dataclass(frozen=True, slots=True)
class CreationEvent(PagletEvent):
    """The paglet was created; ``init`` is what its creator gave for it."""

    init: Any = None


@dataclass(frozen=True, slots=True)
class MobilityEvent(PagletEvent):
    """The paglet leaves, arrives, or did not get away. ``reason`` is ``dispatch`` or ``retract``."""

    source_host_name: str = ""
    source_host_address: str = ""
    target_host_name: str = ""
    target_host_address: str = ""
    reason: str = "dispatch"


@dataclass(frozen=True, slots=True)
class CloneEvent(PagletEvent):
    """A clone is made of a paglet; ``agent_id`` is the one whose hook runs."""

    source_agent_id: str = ""
    clone_agent_id: str = ""
    source_host_name: str = ""
    source_host_address: str = ""
    target_host_name: str = ""
    target_host_address: str = ""


@dataclass(frozen=True, slots=True)
class PersistencyEvent(PagletEvent):
    """The paglet is parked, woken (``reason`` ``recovered`` after a crash or power cut) or disposed of."""

    reason: str = "deactivate"
    request: DeactivationRequest | None = None
    policy: DeactivationPolicy | None = None
