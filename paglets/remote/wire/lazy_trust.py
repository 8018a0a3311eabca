"""Credentials that are read when they are first needed."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from paglets.remote.trust.credentials import MeshCredentials
from paglets.remote.trust.mesh_directory import MeshDirectory
from paglets.remote.wire.member_trust import MemberTrust

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from pathlib import Path

    from paglets.remote.wire.peer import Peer


class LazyTrust:
    """A user's admin credentials, from ``credentials`` or from the mesh directory."""

    def __init__(
        self, credentials: MeshCredentials | None, path: Path | None, default_path: Callable[[], Path]
    ) -> None:
        self._trust = MemberTrust(credentials) if credentials is not None else None
        self._path = path
        self._default_path = default_path
        self._lock = threading.Lock()

    def load(self) -> MemberTrust:
        """Read what is needed; blocks, so not for the loop. Raises what reading the mesh directory raises."""
        if self._trust is not None:
            return self._trust
        with self._lock:
            if self._trust is None:
                directory = MeshDirectory(self._path or self._default_path())
                self._trust = MemberTrust(MeshCredentials.for_admin(directory))
            return self._trust

    def server_context(self) -> ssl.SSLContext:
        """For accepting."""
        return self.load().server_context()

    def client_context(self) -> ssl.SSLContext:
        """For dialling."""
        return self.load().client_context()

    def identify(self, certificate: bytes) -> Peer:
        """The member that holds this certificate."""
        return self.load().identify(certificate)
