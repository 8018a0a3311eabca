"""The operations on artifacts and registered files; see ``paglets.remote.api`` for what operations are."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from paglets.remote.api import Params, Text

ARTIFACTS_LIST = "artifacts.list"
"""``ArtifactsListParams`` -> ``{"artifacts": [ArtifactRef fields]}``, with ``"cursor": str`` when there are more."""
ARTIFACTS_INFO = "artifacts.info"
"""``ArtifactParams`` -> the ``ArtifactRef`` fields."""
ARTIFACTS_DELETE = "artifacts.delete"
"""``ArtifactParams`` -> ``{"deleted": bool}``."""
ARTIFACTS_UPLOAD = "artifacts.upload"
"""``UploadParams`` -> the ``ArtifactRef`` fields. For paglets: with an open file beside the call."""
ARTIFACTS_DOWNLOAD = "artifacts.download"
"""``DownloadParams`` -> the ``ArtifactRef`` fields. For paglets: with a file open for writing beside the call."""
FILES_REGISTER = "files.register"
"""``RegisterFileParams`` -> the ``PagletFileRef`` fields. For paglets, of themselves."""
FILES_LIST = "files.list"
"""``FilesParams`` -> ``{"files": [PagletFileRef fields]}``. For paglets, of themselves."""
FILES_UNREGISTER = "files.unregister"
"""``FileParams`` -> ``{"unregistered": bool}``. For paglets, of themselves."""


class ArtifactsListParams(Params, frozen=True):
    """Whose artifacts (null: everybody's), and from where on."""

    owner_agent_id: Text | None = None
    limit: int = 1000
    cursor: Text = ""


class ArtifactParams(Params, frozen=True):
    """Names one artifact."""

    artifact_id: Text


class UploadParams(Params, frozen=True):
    """What to store of the file beside the call, and where."""

    host_url: Text = ""
    """Host URL or mesh name; empty: the host that is asked."""
    owner_agent_id: Text = ""
    name: Text = ""
    compression: Text = ""
    expires_at: float = 0.0


class DownloadParams(Params, frozen=True):
    """What to write into the file beside the call."""

    artifact_id: Text
    host_url: Text = ""
    sha256: Text = ""
    """As the asker knows it; content that has another one is a ``TransferError``."""


class FilesParams(Params, frozen=True):
    """Whose files."""

    agent_id: str


class RegisterFileParams(Params, frozen=True):
    """A file of the asking paglet's host, as the paglet described it."""

    agent_id: str
    name: Annotated[str, Meta(min_length=1, max_length=200)]
    mode: Text
    path: Annotated[str, Meta(max_length=4096)]
    size: Annotated[int, Meta(ge=0)]
    sha256: Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]
    created_at: float
    modified_at: float
    device: int
    inode: int
    modified_ns: int


class FileParams(Params, frozen=True):
    """One of a paglet's files."""

    agent_id: str
    name: Text
