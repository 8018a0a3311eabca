"""Where a paglet's context takes artifacts and files to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping
    from pathlib import Path

    from paglets.artifacts.file_refs import PagletFileRef
    from paglets.artifacts.refs import ArtifactRef


class ArtifactDesk(Protocol):
    """What a host does with artifacts and files for one paglet, or for a program."""

    def upload(
        self,
        path: str | os.PathLike[str],
        *,
        host_url: str | None = None,
        owner_agent_id: str = "",
        name: str | None = None,
        compression: str = "",
        expires_at: float = 0.0,
    ) -> ArtifactRef:
        """Store a copy of a file as an artifact, here or on another host."""
        ...

    def download(
        self, artifact: ArtifactRef | Mapping[str, Any], target: str | os.PathLike[str], *, move: bool = False
    ) -> ArtifactRef:
        """Write an artifact to a file, wherever it is; ``move``: and delete it there afterwards."""
        ...

    def delete(self, artifact: ArtifactRef | Mapping[str, Any]) -> bool:
        """Delete an artifact, wherever it is; whether it was there."""
        ...

    def register_file(
        self, agent_id: str, path: str | os.PathLike[str], *, name: str | None = None, mode: str = "copy"
    ) -> PagletFileRef:
        """Have a file travel with the paglet."""
        ...

    def registered_files(self, agent_id: str) -> list[PagletFileRef]:
        """What travels with the paglet."""
        ...

    def unregister_file(self, agent_id: str, name: str) -> bool:
        """Let a file stay behind; whether it was registered."""
        ...

    def file_path(self, agent_id: str, name: str) -> Path:
        """Where a registered file is on this host."""
        ...
