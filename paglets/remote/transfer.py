"""Where a paglet shall go, and on what terms."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from paglets.core.errors import SerializationError
from paglets.core.runtime_values import ArrivalMode, enum_from_wire, require_enum
from paglets.core.wire_fields import checked

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class TransferTicket:
    """A destination with terms. ``ValueError`` or ``TypeError`` for terms that make no sense."""

    destination: str
    """Host URL or mesh name."""
    timeout: float = 10.0
    """Seconds from the first try until the move is in doubt; also how long ``dispatch`` waits for the arrival."""
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
        _require(isinstance(self.destination, str), TypeError, "destination must be a string")
        _require(bool(self.destination.strip()), ValueError, "destination must name a host or its URL")
        _require_seconds("timeout", self.timeout)
        _require(self.timeout > 0, ValueError, "timeout must be more than 0 seconds")
        _require_seconds("retry_interval", self.retry_interval)
        _require(_is_int(self.retries), TypeError, "retries must be a whole number")
        _require(self.retries >= 0, ValueError, "retries must not be negative")
        _require(isinstance(self.queue, bool), TypeError, "queue must be True or False")
        version = self.expected_code_version
        _require(
            version is None or isinstance(version, str), TypeError, "expected_code_version must be a string"
        )
        capabilities = self.required_capabilities
        _require(
            not isinstance(capabilities, str),
            TypeError,
            "required_capabilities must be a sequence of strings",
        )
        capabilities = tuple(capabilities)
        _require(
            all(isinstance(each, str) for each in capabilities),
            TypeError,
            "required_capabilities must hold strings",
        )
        require_enum(self.arrival_mode, ArrivalMode, "arrival_mode")
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


def _require(holds: object, kind: type[Exception], sentence: str) -> None:
    if not holds:
        raise kind(f"a transfer ticket's {sentence}")


def _require_seconds(name: str, value: object) -> None:
    _require(_is_int(value) or isinstance(value, float), TypeError, f"{name} must be a number of seconds")
    number = float(str(value))
    _require(
        math.isfinite(number) and number >= 0, ValueError, f"{name} must be a number of seconds, not {value}"
    )


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
