"""Who is at the other end of a connection, and what the wire needs to know to find out."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

import msgspec

if TYPE_CHECKING:
    import ssl


class PeerKind(StrEnum):
    """What a peer may be."""

    MEMBER = "member"
    """A host of the mesh, by its certificate."""
    ADMIN = "admin"
    """A person or program with an admin's certificate."""
    LOCAL = "local"
    """A process of the host's own user, or root, on its Unix socket."""


class Peer(msgspec.Struct, frozen=True):
    """An authenticated peer."""

    kind: PeerKind
    host_id: str = ""
    """The id of its key; empty for local peers."""
    name: str = ""
    address: str = ""
    """Where the connection comes from, for logs."""

    @property
    def share_key(self) -> str:
        """Whose share of what is bounded it takes: that of its key, or of its kind when it has none."""
        return self.host_id or self.kind.value


class Trust(Protocol):
    """TLS contexts, and the one decision about certificates."""

    def server_context(self) -> ssl.SSLContext:
        """Context that asks for a certificate of this mesh, lets those without one in (``CERT_OPTIONAL``)."""
        ...

    def client_context(self) -> ssl.SSLContext:
        """Context that shows our certificate and accepts only hosts of this mesh."""
        ...

    def identify(self, certificate: bytes) -> Peer:
        """Who holds this certificate (DER), which the TLS handshake has already found to be of this mesh.

        ``AuthenticationError`` for what is no member's certificate, ``ForbiddenError`` for a revoked one.
        """
        ...
