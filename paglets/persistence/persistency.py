"""Parked paglets as values: what was asked for, what waits, and what is kept."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from paglets.core.deactivation import DeactivationPolicy, DeactivationRequest

if TYPE_CHECKING:
    from paglets.core.messages import Message

__all__ = ["DeactivationPolicy", "DeactivationRequest", "InactiveRecord", "ParkedEnvelope", "QueuedMessage"]


class ParkedEnvelope(Protocol):
    """What an inactive record needs of an envelope; a ``PagletEnvelope`` is one."""

    @property
    def agent_id(self) -> str:
        """Whose envelope it is."""
        ...


@dataclass(slots=True)
class QueuedMessage:
    """A message that waits for a parked paglet."""

    message: Message
    oneway: bool = False
    queued_at: float = field(default_factory=time.time)
    """Wall clock, seconds."""


@dataclass(slots=True)
class InactiveRecord:
    """A parked paglet, with the messages that wait for it, oldest first."""

    envelope: ParkedEnvelope
    policy: DeactivationPolicy
    request: DeactivationRequest
    deactivated_at: float = field(default_factory=time.time)
    """Wall clock, seconds."""
    queued_messages: list[QueuedMessage] = field(default_factory=list[QueuedMessage])

    @property
    def agent_id(self) -> str:
        """Whose record it is."""
        return self.envelope.agent_id
