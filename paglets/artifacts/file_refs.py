"""Files that are registered to travel with a paglet, as values."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paglets.artifacts.checksums import file_sha256
from paglets.artifacts.file_names import check_label
from paglets.core.wire_fields import checked

if TYPE_CHECKING:
    from collections.abc import Mapping

COPY = "copy"
MOVE = "move"
MODES = (COPY, MOVE)
REGISTERED = "registered"
AVAILABLE = "available"
FAILED = "failed"

_NUMBER = (int, float)
_KINDS: dict[str, Any] = {
    "name": str,
    "mode": str,
    "source_host_name": str,
    "source_host_url": str,
    "source_path": str,
    "source_created_at": _NUMBER,
    "source_modified_at": _NUMBER,
    "size_bytes": int,
    "sha256": str,
    "current_host_name": str,
    "current_host_url": str,
    "current_path": str,
    "status": str,
    "last_error": str,
}


@dataclass(frozen=True, slots=True)
class PagletFileRef:
    """A registered file: where it came from, and where the paglet finds it now."""

    name: str
    mode: str = COPY
    """``copy``, or ``move``: the file is deleted where it was once the paglet has arrived elsewhere."""
    source_host_name: str = ""
    source_host_url: str = ""
    source_path: str = ""
    source_created_at: float = 0.0
    source_modified_at: float = 0.0
    """Wall clock of the host where it was registered."""
    size_bytes: int = 0
    sha256: str = ""
    current_host_name: str = ""
    current_host_url: str = ""
    current_path: str = ""
    status: str = REGISTERED
    """``registered``: where it was registered; ``available``: it has travelled; ``failed``: it is not there."""
    last_error: str = ""

    def to_wire(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)

    @classmethod
    def from_wire(cls, payload: Mapping[str, Any]) -> PagletFileRef:
        """Read what ``to_wire`` wrote; ``SerializationError`` for anything else."""
        return cls(**checked("PagletFileRef", payload, _KINDS, required=("name",)))


def check_mode(mode: str) -> str:
    """``ValueError`` for anything but ``copy`` and ``move``."""
    if mode not in MODES:
        raise ValueError(f"the mode of a file must be one of: {', '.join(MODES)} - not {mode!r}")
    return mode


def paglet_file_ref_from_path(
    path: str | os.PathLike[str],
    *,
    name: str | None = None,
    mode: str = COPY,
    host_name: str = "",
    host_url: str = "",
) -> PagletFileRef:
    """Describe a regular file on this host. Reads all of it, for its digest.

    ``FileNotFoundError`` when it is not there, ``ValueError`` for what is no regular file, for a bad name (by
    default the file's own) and for an unknown mode.
    """
    place = Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would name another file behind a link
    info = place.stat()
    if not place.is_file():
        raise ValueError(f"{place} is no regular file; only those can travel with a paglet")
    return PagletFileRef(
        name=check_label(place.name if name is None else name),
        mode=check_mode(mode),
        source_host_name=host_name,
        source_host_url=host_url,
        source_path=str(place),
        source_created_at=info.st_ctime,
        source_modified_at=info.st_mtime,
        size_bytes=info.st_size,
        sha256=file_sha256(place),
        current_host_name=host_name,
        current_host_url=host_url,
        current_path=str(place),
    )
