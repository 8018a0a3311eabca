"""Where a paglet shall go, and on what terms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from paglets.core.errors import SerializationError
from paglets.core.runtime_values import ArrivalMode, enum_from_wire, require_enum
from paglets.core.wire_fields import checked
from paglets.persistence.journal.forgetting import MAX_TICKET_TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_SECONDS = MAX_TICKET_TIMEOUT
"""The longest timeout and interval of a ticket: what remembers moves has to outlive them."""
MAX_RETRIES = 1000

_KINDS: dict[str, tuple[type, ...]] = {
    "destination": (str,),
    "timeout": (float, int),
    "retries": (int,),
    "retry_interval": (float, int),
    "required_capabilities": (tuple, list, set, frozenset),
    "expected_code_version": (str, type(None)),
    "queue": (bool,),
}


@dataclass(frozen=True, slots=True)
class TransferTicket:
    """A destination with terms. ``ValueError`` or ``TypeError`` for terms that make no sense."""

    destination: str
    """Host URL or mesh name."""
    timeout: float = 10.0
    """Seconds until a move without an answer is in doubt; so long ``dispatch`` waits for the arrival, too."""
    retries: int = 0
    """How often a move that certainly did not happen is tried again."""
    retry_interval: float = 0.25
    """Seconds between two tries."""
    required_capabilities: tuple[str, ...] = ()
    """What the target must be able to do."""
    expected_code_version: str | None = None
    """Move only to a host of this code version; None: only to one of our own."""
    arrival_mode: ArrivalMode = ArrivalMode.ACTIVATE
    queue: bool = False
    """When the target is away, park the paglet and move it when the target is back."""

    def __post_init__(self) -> None:
        for name, kind in _KINDS.items():
            _require_kind(name, getattr(self, name), kind)
        capabilities = tuple(self.required_capabilities)
        for capability in capabilities:
            _require_kind("required_capabilities", capability, (str,))
        require_enum(self.arrival_mode, ArrivalMode, "arrival_mode")
        _require_value("destination", self.destination, bool(self.destination.strip()))
        _require_value("timeout", self.timeout, 0 < self.timeout <= MAX_SECONDS)
        _require_value("retry_interval", self.retry_interval, 0 <= self.retry_interval <= MAX_SECONDS)
        _require_value("retries", self.retries, 0 <= self.retries <= MAX_RETRIES)
        object.__setattr__(self, "required_capabilities", capabilities)

    @classmethod
    def from_target(cls, target: str | TransferTicket) -> TransferTicket:
        """The ticket itself, or one on default terms to a host URL or mesh name."""
        return target if isinstance(target, TransferTicket) else cls(target)

    def to_wire(self) -> dict[str, Any]:
        """All fields by name, as JSON values."""
        return {
            "destination": self.destination,
            "timeout": self.timeout,
            "retries": self.retries,
            "retry_interval": self.retry_interval,
            "required_capabilities": list(self.required_capabilities),
            "expected_code_version": self.expected_code_version,
            "arrival_mode": self.arrival_mode.value,
            "queue": self.queue,
        }

    @classmethod
    def from_wire(cls, payload: Mapping[str, Any]) -> TransferTicket:
        """Read what ``to_wire`` wrote. Only the destination has to be there; unknown fields are ignored.

        ``SerializationError`` for what makes no ticket.
        """
        values = checked(
            "TransferTicket",
            payload,
            {
                "destination": str,
                "timeout": (float, int),
                "retries": int,
                "retry_interval": (float, int),
                "required_capabilities": (list, tuple),
                "expected_code_version": (str, type(None)),
                "queue": bool,
            },
            required=("destination",),
        )
        try:
            if "arrival_mode" in payload:
                values["arrival_mode"] = enum_from_wire(payload["arrival_mode"], ArrivalMode, "arrival_mode")
            return cls(**values)
        except (TypeError, ValueError) as error:
            raise SerializationError(f"TransferTicket: {error}") from None


def _require_kind(name: str, value: object, kinds: tuple[type, ...]) -> None:
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        names = " or ".join(kind.__name__ for kind in kinds)
        raise TypeError(f"a ticket's {name} must be of type {names}, not {type(value).__name__}")


def _require_value(name: str, value: object, holds: bool) -> None:  # noqa: FBT001 - private, reads as a sentence
    if not holds:
        raise ValueError(f"a ticket's {name} cannot be {value!r}")
