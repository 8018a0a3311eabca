"""What is particular to artifacts. On the way to another process or host it travels as ``HostError``."""

from __future__ import annotations

from paglets.core.errors import HostError, TransferError


class ArtifactNotFoundError(HostError):
    """There is no artifact of that id, or its time was over."""

    def __init__(self, artifact_id: str, where: str) -> None:
        super().__init__(artifact_id, where)
        self.artifact_id = artifact_id
        self.where = where

    def __str__(self) -> str:
        return (
            f"there is no artifact {self.artifact_id[:80]!r} at {self.where}; it was deleted, or has expired"
        )


class ChecksumError(TransferError):
    """Content that does not have the checksum that it was to have; nothing of it is kept."""
