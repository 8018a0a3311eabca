"""Who deletes the source of a moved file.

The file travels as a copy, because only at its destination can be seen whether there is room for it. What is
left to do at the source - nothing, or deleting it - is done by a small paglet that stays behind.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from paglets.artifacts.checksums import file_sha256
from paglets.core.agent import PagletState
from paglets.core.deactivation import DeactivationPolicy
from paglets.patterns.file_transfers import FileTransferSource
from paglets.patterns.operations import OperationHandlers, OperationPaglet
from paglets.services.operations import ServiceOperation

AWAKE_SECONDS = 30.0
"""How long it waits in a process of its own; after that it is parked, and woken by the message."""
KEEP_SECONDS = 24 * 3600.0
"""When nobody has said anything by then, it goes, and the source stays."""


@dataclass(slots=True)
class ReleaseRequest:
    """The transfer has ended."""

    delete: bool = False
    """The file is at its destination: delete the source."""
    sha256: str = ""
    """Of what was transferred."""


@dataclass(slots=True)
class ReleaseReply:
    """Whether the source was deleted; if not, though it should have been, why."""

    deleted: bool = False
    reason: str = ""


RELEASE_SOURCE = ServiceOperation("release", ReleaseRequest, ReleaseReply)


@dataclass
class SourceKeeperState(PagletState):
    """The source, and until when (seconds since the epoch) it is kept."""

    source: FileTransferSource = field(default_factory=FileTransferSource)
    keep_until: float = 0.0
    settled: bool = False


class SourceKeeper(OperationPaglet[SourceKeeperState]):
    """Deletes a source when it is told to, if it is still the same file; then it disposes of itself."""

    State = SourceKeeperState
    Operations: ClassVar[tuple[ServiceOperation[ReleaseRequest, ReleaseReply], ...]] = (RELEASE_SOURCE,)

    def operation_handlers(self) -> OperationHandlers:
        """Release the source."""
        return {RELEASE_SOURCE: self.release}

    def release(self, request: ReleaseRequest) -> ReleaseReply:
        """Delete the source, or not; the answer to ``RELEASE_SOURCE``."""
        reply = ReleaseReply()
        if request.delete:
            reason = delete_source(self.state.source, request.sha256)
            reply = ReleaseReply(deleted=not reason, reason=reason)
        with self.locked_state() as state:
            state.settled = True
        self.notify_all_state_changed()
        return reply

    def run(self) -> None:
        """Wait until the transfer has ended, awake at first, then parked."""
        settled = self.wait_state(lambda state: state.settled, AWAKE_SECONDS)
        if not settled and time.time() < self.state.keep_until:
            self.deactivate(policy=DeactivationPolicy(activate_at=self.state.keep_until))
            return
        own = self.context.get_proxy(self.agent_id)
        if own is not None:
            own.dispose()


def delete_source(source: FileTransferSource, sha256: str) -> str:
    """Delete the file if it is still the one that was planned with; the reason when it is not deleted."""
    path = Path(source.endpoint.path)
    try:
        info = path.stat()
        known = (source.device, source.inode, source.modified_ns, source.size_bytes)
        if (info.st_dev, info.st_ino, info.st_mtime_ns, info.st_size) != known:
            return f"{path} has changed meanwhile"
        if sha256 and file_sha256(path) != sha256:
            return f"{path} has another content by now"
        path.unlink()
    except OSError as error:
        return str(error)
    return ""
