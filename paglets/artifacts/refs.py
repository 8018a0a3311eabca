"""What names an artifact: a value that can be kept in a state and sent in a message."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from paglets.core.wire_fields import checked

if TYPE_CHECKING:
    from collections.abc import Mapping

_KINDS: dict[str, Any] = {
    "host_url": str,
    "artifact_id": str,
    "name": str,
    "size_bytes": int,
    "sha256": str,
    "compression": str,
    "created_at": (int, float),
    "expires_at": (int, float),
    "owner_agent_id": str,
}


@dataclass(frozen=True, slots=True)
class ArtifactRef:
    """A blob that a host owns. Size and digest are those of its content, however the host keeps it."""

    host_url: str
    """Where it was when the reference was made."""
    artifact_id: str
    name: str = ""
    """For people, and for whoever saves it; lead it through ``safe_target_filename`` first."""
    size_bytes: int = 0
    sha256: str = ""
    """Lower-case hex."""
    compression: str = ""
    """How the host keeps it: ``""``, ``"zlib"`` or ``"gzip"``. Readers never see it."""
    created_at: float = 0.0
    expires_at: float = 0.0
    """Wall clock; 0: never."""
    owner_agent_id: str = ""

    def to_wire(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)

    @classmethod
    def from_wire(cls, payload: Mapping[str, Any]) -> ArtifactRef:
        """Read what ``to_wire`` wrote; ``SerializationError`` for anything else."""
        return cls(**checked("ArtifactRef", payload, _KINDS, required=("host_url", "artifact_id")))


def as_ref(artifact: ArtifactRef | Mapping[str, Any]) -> ArtifactRef:
    """A reference, or one as plain data, as it comes in a message; ``SerializationError`` for anything else."""
    return artifact if isinstance(artifact, ArtifactRef) else ArtifactRef.from_wire(artifact)
