"""What one member needs to show who it is and to know others: key, certificate, mesh, TLS contexts."""

from __future__ import annotations

import getpass
from functools import cached_property
from typing import TYPE_CHECKING

from paglets.remote.trust.certificates import Role
from paglets.remote.trust.errors import NoCertificateError, RevokedKeyError, WrongRoleError
from paglets.remote.trust.reading import read_member
from paglets.remote.trust.tls import make_client_context, make_server_context, peer_identity

if TYPE_CHECKING:
    import ssl
    from collections.abc import Collection

    from paglets.remote.trust.certificates import Authority, CertificateChain, PeerIdentity
    from paglets.remote.trust.keys import HostKey
    from paglets.remote.trust.mesh_directory import MeshDirectory
    from paglets.remote.trust.revocation import RevocationSet

ANY_ROLE = frozenset(Role)
HOSTS_ONLY = frozenset({Role.HOST})


class MeshCredentials:
    """One member's credentials. The contexts are made once; all its connections may share them."""

    def __init__(
        self, authority: Authority, key: HostKey, chain: CertificateChain, *, role: Role, name: str
    ) -> None:
        self.authority = authority
        """The mesh's authority: what certificates have to lead to."""
        self.key = key
        """The member's own key."""
        self.chain = chain
        """What it shows."""
        self.role = role
        self.name = name
        self.host_id = key.host_id
        """The id of its key; for an admin, the admin's."""
        self.mesh_id = authority.mesh_id

    @classmethod
    def for_host(cls, directory: MeshDirectory, key: HostKey, name: str) -> MeshCredentials:
        """A host's. Blocks; raises ``NotEnrolledError``, ``MeshDirectoryError``, ``KeyFileError``."""
        return cls(directory.authority, key, directory.host_chain(key, name), role=Role.HOST, name=name)

    @classmethod
    def for_admin(cls, directory: MeshDirectory, name: str = "") -> MeshCredentials:
        """This user's, as an admin, for programs outside of hosts; blocks and raises as :meth:`for_host`."""
        key = directory.admin_key()
        shown = name or _user_name()
        return cls(directory.authority, key, directory.admin_chain(key, shown), role=Role.ADMIN, name=shown)

    @cached_property
    def _server_context(self) -> ssl.SSLContext:
        return make_server_context(self.authority, self.key, self.chain)

    @cached_property
    def _client_context(self) -> ssl.SSLContext:
        return make_client_context(self.authority, self.key, self.chain)

    def server_context(self) -> ssl.SSLContext:
        """For accepting: TLS 1.3, client certificates optional and verified when shown, no resumption."""
        return self._server_context

    def client_context(self) -> ssl.SSLContext:
        """For dialling: TLS 1.3, the server must be a host of the mesh; its names are not compared."""
        return self._client_context

    def peer_identity(self, connection: ssl.SSLObject | ssl.SSLSocket) -> PeerIdentity | None:
        """Who is at the other end; see :func:`paglets.remote.trust.tls.peer_identity`."""
        return peer_identity(connection, self.mesh_id)

    def identify(self, certificate: bytes) -> PeerIdentity:
        """Who holds this certificate (DER); a handshake in one of our contexts must have verified it.

        Raises:
            BadCertificateError: it chains to the authority but is not laid out as a member's.
        """
        return read_member(certificate, self.mesh_id)

    def require_peer(
        self,
        connection: ssl.SSLObject | ssl.SSLSocket,
        revocations: RevocationSet | None = None,
        *,
        roles: Collection[Role] = ANY_ROLE,
        host_id: str = "",
    ) -> PeerIdentity:
        """The peer, when it may be there; ``host_id``: when it has to be that very one.

        Raises:
            NoCertificateError: it showed none.
            BadCertificateError: its certificate is not laid out as a member's.
            RevokedKeyError, WrongRoleError: see :func:`check_peer`.
        """
        identity = self.peer_identity(connection)
        if identity is None:
            raise NoCertificateError("the peer showed no certificate of the mesh")
        check_peer(identity, revocations, roles=roles, host_id=host_id)
        return identity


def check_peer(
    identity: PeerIdentity,
    revocations: RevocationSet | None = None,
    *,
    roles: Collection[Role] = ANY_ROLE,
    host_id: str = "",
) -> None:
    """Refuse a member that is revoked, of the wrong role, or not the one that was meant.

    Raises:
        RevokedKeyError: its key or its issuer's is revoked.
        WrongRoleError: its role is not among ``roles``, or it is another member than ``host_id``.
    """
    if revocations is not None and revocations.is_peer_revoked(identity):
        raise RevokedKeyError(
            f"the key of {identity.role.value} {identity.name or '?'} ({identity.host_id}) is revoked"
        )
    if identity.role not in roles:
        raise WrongRoleError(
            f"{identity.role.value} {identity.name or '?'} ({identity.host_id}) may not do this"
        )
    if host_id and identity.host_id != host_id:
        raise WrongRoleError(
            f"{identity.host_id} ({identity.name or '?'}) answers where {host_id} was expected"
        )


def _user_name() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "admin"
