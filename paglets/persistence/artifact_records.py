"""What the store holds about artifacts."""

from __future__ import annotations

import msgspec

from paglets.persistence.records import BlobRef


class ArtifactRecord(msgspec.Struct, frozen=True):
    """A blob that the host owns, under an id of its own. Times are wall clock."""

    artifact_id: str
    blob: BlobRef
    """The bytes as they are kept."""
    size: int
    """Of the content, in bytes."""
    digest: bytes
    """SHA-256 of the content."""
    name: str = ""
    compression: str = ""
    owner: str = ""
    """An agent id, or empty."""
    created_at: float = 0.0
    expires_at: float = 0.0
    """0: never."""

    def expired(self, now: float) -> bool:
        """Whether its time is over."""
        return 0 < self.expires_at <= now
