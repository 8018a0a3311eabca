"""Artifacts and files of a paglet, through its link: the files are opened here, and their content passes there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from paglets.artifacts.file_refs import PagletFileRef, paglet_file_ref_from_path
from paglets.artifacts.refs import ArtifactRef, as_ref
from paglets.artifacts.target_files import TargetFile, target_path
from paglets.core.errors import HostError
from paglets.remote import artifact_api as api
from paglets.serialization.values import from_json

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    import msgspec

    from paglets.runtime.child.calls import Calls

_HERE = ""


class ChildArtifactDesk:
    """See ``paglets.core.artifact_desk.ArtifactDesk``."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

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
        """Store a copy of a file."""
        place = Path(path)
        params = api.UploadParams(
            host_url=host_url or "",
            owner_agent_id=owner_agent_id,
            name=place.name if name is None else name,
            compression=compression,
            expires_at=expires_at,
        )
        with place.open("rb") as file:
            return ArtifactRef.from_wire(self._ask(api.ARTIFACTS_UPLOAD, params, file.fileno()))

    def download(
        self, artifact: ArtifactRef | Mapping[str, Any], target: str | os.PathLike[str], *, move: bool = False
    ) -> ArtifactRef:
        """Write an artifact to a file."""
        artifact = as_ref(artifact)
        params = api.DownloadParams(
            artifact_id=artifact.artifact_id, host_url=artifact.host_url, sha256=artifact.sha256
        )
        with TargetFile(target_path(target, artifact.name)) as file:
            ref = ArtifactRef.from_wire(self._ask(api.ARTIFACTS_DOWNLOAD, params, file.descriptor))
            file.complete()
        if move:
            self.delete(artifact)
        return ref

    def delete(self, artifact: ArtifactRef | Mapping[str, Any]) -> bool:
        """Delete an artifact."""
        artifact = as_ref(artifact)
        raw = self._calls.call(
            artifact.host_url, api.ARTIFACTS_DELETE, api.ArtifactParams(artifact_id=artifact.artifact_id)
        )
        return from_json(raw)["deleted"]

    def register_file(
        self, agent_id: str, path: str | os.PathLike[str], *, name: str | None = None, mode: str = "copy"
    ) -> PagletFileRef:
        """Have a file travel with the paglet."""
        described = paglet_file_ref_from_path(path, name=name, mode=mode)
        info = Path(described.source_path).stat()
        params = api.RegisterFileParams(
            agent_id=agent_id,
            name=described.name,
            mode=mode,
            path=described.source_path,
            size=described.size_bytes,
            sha256=described.sha256,
            created_at=described.source_created_at,
            modified_at=described.source_modified_at,
            device=info.st_dev,
            inode=info.st_ino,
            modified_ns=info.st_mtime_ns,
        )
        return PagletFileRef.from_wire(self._ask(api.FILES_REGISTER, params))

    def registered_files(self, agent_id: str) -> list[PagletFileRef]:
        """What travels with the paglet."""
        found = self._ask(api.FILES_LIST, api.FilesParams(agent_id=agent_id))
        return [PagletFileRef.from_wire(each) for each in found["files"]]

    def unregister_file(self, agent_id: str, name: str) -> bool:
        """Let a file stay behind."""
        return self._ask(api.FILES_UNREGISTER, api.FileParams(agent_id=agent_id, name=name))["unregistered"]

    def file_path(self, agent_id: str, name: str) -> Path:
        """Where a registered file is on this host; ``HostError`` when none is registered under that name."""
        for file in self.registered_files(agent_id):
            if file.name == name:
                return Path(file.current_path)
        raise HostError(f"paglet {agent_id} has no registered file {name!r}")

    def _ask(self, method: str, params: msgspec.Struct, descriptor: int | None = None) -> Any:
        return from_json(self._calls.call(_HERE, method, params, descriptor=descriptor))
