"""The wire's view of a member's credentials: TLS contexts, and peers by their certificates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paglets.remote.trust.certificates import Role
from paglets.remote.trust.credentials import check_peer
from paglets.remote.trust.signers import Signer
from paglets.remote.wire.peer import Peer, PeerKind

if TYPE_CHECKING:
    import ssl

    from paglets.remote.trust.credentials import MeshCredentials
    from paglets.remote.trust.revocation import RevocationSet

_KINDS = {Role.HOST: PeerKind.MEMBER, Role.ADMIN: PeerKind.ADMIN}


class MemberTrust:
    """``Trust`` on the grounds of mesh credentials and, when given, a revocation set that may grow."""

    def __init__(self, credentials: MeshCredentials, revocations: RevocationSet | None = None) -> None:
        self._credentials = credentials
        self._revocations = revocations

    @property
    def signer(self) -> Signer:
        """Who signs what this member sends over streams."""
        return Signer(self._credentials.key, self._credentials.mesh_id)

    def server_context(self) -> ssl.SSLContext:
        """For accepting."""
        return self._credentials.server_context()

    def client_context(self) -> ssl.SSLContext:
        """For dialling."""
        return self._credentials.client_context()

    def identify(self, certificate: bytes) -> Peer:
        """Who holds this certificate; ``AuthenticationError``, or ``ForbiddenError`` when it is revoked."""
        identity = self._credentials.identify(certificate)
        check_peer(identity, self._revocations)
        return Peer(_KINDS[identity.role], identity.host_id, identity.name)
