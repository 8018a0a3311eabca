"""What a file transfer is asked, plans and answers, as values. Times are seconds since the epoch."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from paglets.patterns.task_protocol import TaskState


class FileTransferMode(Enum):
    """What becomes of the source."""

    COPY = "copy"
    MOVE = "move"
    """It is deleted once the file is at its destination, if it is still the same file."""


@dataclass(slots=True)
class FileTransferRequest:
    """One file to bring to another host."""

    source_path: str
    """On the host where the transfer starts."""
    destination_path: str = ""
    """A file; or a directory (one that exists, or ends with ``/``), which takes the source's name. Directories
    on the way are made. Empty: the source's path."""
    target_host: str = ""
    """Mesh name or URL."""
    mode: FileTransferMode = FileTransferMode.COPY
    dry_run: bool = False
    """Look at the source and the target, and transfer nothing."""
    overwrite: bool = False
    """Replace what is at the destination."""
    transfer_id: str = ""
    """Empty: one is made."""
    source_label: str = ""
    """How people call the source; empty: its path."""
    destination_label: str = ""


@dataclass(slots=True)
class FileTransferEndpoint:
    """A file on a host; times are 0 while they are not known."""

    host_name: str = ""
    host_url: str = ""
    path: str = ""
    created_at: float = 0.0
    modified_at: float = 0.0


@dataclass(slots=True)
class FileTransferResult:
    """What was transferred, or in a dry run would be."""

    transfer_id: str = ""
    mode: FileTransferMode = FileTransferMode.COPY
    dry_run: bool = False
    source: FileTransferEndpoint = field(default_factory=FileTransferEndpoint)
    destination: FileTransferEndpoint = field(default_factory=FileTransferEndpoint)
    file_name: str = ""
    """The file's name at its destination; in a dry run, at its source."""
    size_bytes: int = 0
    size: str = ""
    """``size_bytes`` for people."""


@dataclass(frozen=True, slots=True)
class FileTransferSource:
    """A source as it was when the transfer was planned."""

    endpoint: FileTransferEndpoint = field(default_factory=FileTransferEndpoint)
    file_name: str = ""
    size_bytes: int = 0
    permissions: int = 0o644
    device: int = 0
    inode: int = 0
    modified_ns: int = 0


@dataclass(frozen=True, slots=True)
class FileTransferPlan:
    """A request that can be carried out: its source is there, its target is known."""

    request: FileTransferRequest
    """With its ``transfer_id``."""
    source: FileTransferSource
    target: FileTransferEndpoint
    """The target host, and the path as it was asked for."""


@dataclass(frozen=True, slots=True)
class FileTransferArrival:
    """A planned file that is on its target host, and not at its destination yet."""

    plan: FileTransferPlan
    path: str
    """Where it is."""
    sha256: str = ""


@dataclass
class FileTransferState(TaskState):
    """State of a file transfer."""

    plan: FileTransferPlan | None = None
    source_keeper: str = ""
    """Of a move: the id of the paglet beside the source that deletes it."""


def format_bytes(n: float) -> str:
    """A number of bytes for people: ``0 B``, ``1.5 KiB``, ``20.0 MiB``."""
    if abs(n) < 1024:
        return f"{n:.0f} B"
    size = float(n)
    for unit in ("KiB", "MiB", "GiB", "TiB"):
        size /= 1024
        # Not < 1024: what is rounded up to 1024.0 belongs to the next unit.
        if abs(size) < 1023.95:
            return f"{size:.1f} {unit}"
    return f"{size / 1024:.1f} PiB"
