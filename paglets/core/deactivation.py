"""How a paglet is parked: what was asked for, and what shall wake it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from paglets.core.wire_fields import checked

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(slots=True)
class DeactivationPolicy:
    """What happens to a parked paglet."""

    activate_on_message: bool = True
    """A message wakes it. If not, messages wait or are refused, as the next field says."""
    queue_messages_when_inactive: bool = True
    activate_on_startup: bool = False
    """It is woken when its host starts."""
    activate_at: float | None = None
    """It is woken at that time (wall clock, seconds)."""

    @classmethod
    def after(
        cls,
        seconds: float,
        *,
        activate_on_message: bool = True,
        queue_messages_when_inactive: bool = True,
        activate_on_startup: bool = False,
    ) -> DeactivationPolicy:
        """A policy that wakes the paglet that many seconds from now; the rest as in the constructor."""
        return cls(
            activate_on_message=activate_on_message,
            queue_messages_when_inactive=queue_messages_when_inactive,
            activate_on_startup=activate_on_startup,
            activate_at=time.time() + seconds,
        )

    def to_wire(self) -> dict[str, Any]:
        """All fields by name."""
        return {
            "activate_on_message": self.activate_on_message,
            "queue_messages_when_inactive": self.queue_messages_when_inactive,
            "activate_on_startup": self.activate_on_startup,
            "activate_at": self.activate_at,
        }

    @classmethod
    def from_wire(cls, payload: Mapping[str, Any]) -> DeactivationPolicy:
        """Read what ``to_wire`` wrote; missing fields take defaults, wrong types ``SerializationError``."""
        return cls(
            **checked(
                "DeactivationPolicy",
                payload,
                {
                    "activate_on_message": bool,
                    "queue_messages_when_inactive": bool,
                    "activate_on_startup": bool,
                    "activate_at": (float, int, type(None)),
                },
            )
        )


@dataclass(slots=True)
class DeactivationRequest:
    """Who wants a paglet parked, and why."""

    reason: str = "deactivate"
    source: str = "external"
    """``external``, or ``self`` when the paglet asked for it."""
    policy: DeactivationPolicy | None = None
    """None: the paglet's ``deactivation_policy`` decides."""
    metadata: dict[str, Any] = field(default_factory=dict[str, Any])

    def to_wire(self) -> dict[str, Any]:
        """All fields by name, the policy in its own wire form."""
        return {
            "reason": self.reason,
            "source": self.source,
            "policy": None if self.policy is None else self.policy.to_wire(),
            "metadata": dict(self.metadata),
        }

    @classmethod
    def from_wire(cls, payload: Mapping[str, Any]) -> DeactivationRequest:
        """Read what ``to_wire`` wrote; missing fields take defaults, wrong types ``SerializationError``."""
        values = checked(
            "DeactivationRequest",
            payload,
            {"reason": str, "source": str, "policy": (dict, type(None)), "metadata": dict},
        )
        if values.get("policy") is not None:
            values["policy"] = DeactivationPolicy.from_wire(values["policy"])
        if "metadata" in values:
            values["metadata"] = dict(values["metadata"])
        return cls(**values)
