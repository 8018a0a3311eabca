"""What moves, as a value: for programs that look at it, and for views."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from paglets.core.errors import SerializationError
from paglets.core.runtime_values import EnvelopeKind, enum_from_wire, require_enum
from paglets.core.wire_fields import checked
from paglets.serialization.binary import to_marker, unmarked
from paglets.serialization.mismatch import MismatchError

if TYPE_CHECKING:
    from collections.abc import Mapping

_TEXTS = (
    "agent_id",
    "agent_class_name",
    "state_class_name",
    "source_host_name",
    "source_host_address",
    "target_host_name",
    "target_host_address",
)


@dataclass(slots=True)
class PagletEnvelope:
    """A paglet packed up. ``TypeError`` for a kind that is no ``EnvelopeKind``."""

    kind: EnvelopeKind
    agent_id: str
    agent_class_name: str
    state_class_name: str
    state: Any
    """The payload as bytes, or plain data in JSON views."""
    source_host_name: str
    source_host_address: str
    target_host_name: str
    target_host_address: str
    clone_of: str | None = None
    """The original's id, for clones."""
    metadata: dict[str, Any] = field(default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        require_enum(self.kind, EnvelopeKind, "kind")

    def to_wire(self) -> dict[str, Any]:
        """All fields by name, as JSON values; a payload as marked base64."""
        packed = isinstance(self.state, bytes | bytearray)
        return {
            "kind": self.kind.value,
            **{name: getattr(self, name) for name in _TEXTS},
            "state": to_marker(self.state) if packed else self.state,
            "clone_of": self.clone_of,
            "metadata": dict(self.metadata),
        }

    @classmethod
    def from_wire(cls, payload: Mapping[str, Any]) -> PagletEnvelope:
        """Read what ``to_wire`` wrote; ``SerializationError`` for fields missing or of the wrong type."""
        kinds: dict[str, Any] = {
            **dict.fromkeys(_TEXTS, str),
            "clone_of": (str, type(None)),
            "metadata": dict,
        }
        values = checked("PagletEnvelope", payload, kinds, required=(*_TEXTS, "kind", "state"))
        try:
            kind = enum_from_wire(payload["kind"], EnvelopeKind, "kind")
            return cls(kind=kind, state=unmarked(payload["state"]), **values)
        except (TypeError, ValueError, MismatchError) as error:
            raise SerializationError(f"PagletEnvelope: {error}") from None
