"""The mesh directory: the files by which hosts of one user belong to a mesh.

::

    authority.crt      the authority's certificate; with this file the mesh exists
    authority.key      its private key; absent when the authority lives elsewhere
    issuer.crt .key    an issuer's certificate and key, if this place may admit members
    admin.crt .key     this user's own admin certificate (written by joining) and key
    hosts/ID.crt       certificates of hosts (written by joining): leaf, then issuer if there is one
    mesh.lock          held while anything here is made

A first use of an empty directory makes a mesh of one. Where there is a key that can sign, certificates are
issued at each start and not kept; where there is none, they have to lie here.

Everything here blocks: never call it on an event loop.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from paglets.remote.trust.certificates import Authority, CertificateChain, PeerIdentity, Role
from paglets.remote.trust.errors import BadCertificateError, MeshDirectoryError, NotEnrolledError
from paglets.remote.trust.files import check_directory, locked, read_public, write_file
from paglets.remote.trust.host_ids import check_host_id
from paglets.remote.trust.issuing import issue_issuer, issue_member, make_authority
from paglets.remote.trust.keys import HostKey
from paglets.remote.trust.reading import read_authority, read_issuer, verify_chain

if TYPE_CHECKING:
    from pathlib import Path


class MeshDirectory:
    """A mesh directory at ``path``; nothing is read or made before it is asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def authority(self) -> Authority:
        """The mesh's authority; makes a mesh of one in an empty directory.

        Raises:
            MeshDirectoryError: the files there are damaged or do not fit together.
            KeyFileError: a file cannot be read or written, or a key is open to others.
        """
        found = self._read_authority()
        if found is not None:
            return found
        with locked(self.path / "mesh.lock"):
            return self._read_authority() or self._create()

    @property
    def mesh_id(self) -> str:
        """The key id of the authority."""
        return self.authority.mesh_id

    @property
    def can_issue(self) -> bool:
        """Whether a key that can sign members lies here."""
        return self._signer() is not None

    def issue_host_certificate(self, public_bytes: bytes, name: str) -> CertificateChain:
        """A host's certificate; ``NotEnrolledError`` where nothing can sign."""
        return self._issue(public_bytes, Role.HOST, name)

    def issue_admin_certificate(self, public_bytes: bytes, name: str) -> CertificateChain:
        """An admin's certificate; ``NotEnrolledError`` where nothing can sign."""
        return self._issue(public_bytes, Role.ADMIN, name)

    def issue_issuer_certificate(self, public_bytes: bytes) -> bytes:
        """An issuer's certificate (DER); only the authority itself can sign one."""
        key = self._authority_key()
        if key is None:
            raise NotEnrolledError(
                f"only the mesh's authority makes issuers, and its key is not in {self.path}"
            )
        return issue_issuer(key, public_bytes)

    def host_chain(self, key: HostKey, name: str) -> CertificateChain:
        """The chain that a host shows: the one that lies here, else a fresh one.

        Raises:
            NotEnrolledError: none lies here, and nothing here can sign one.
            MeshDirectoryError: the one that lies here is damaged, or not this host's.
        """
        path = self.path / "hosts" / f"{check_host_id(key.host_id)}.crt"
        return self._stored(path, key, Role.HOST) or self.issue_host_certificate(key.public_bytes, name)

    def admin_chain(self, key: HostKey, name: str) -> CertificateChain:
        """The chain that this user shows as an admin; as :meth:`host_chain`."""
        return self._stored(self.path / "admin.crt", key, Role.ADMIN) or self.issue_admin_certificate(
            key.public_bytes, name
        )

    def admin_key(self) -> HostKey:
        """This user's admin key, made at first use."""
        return HostKey.load_or_create(self.path / "admin.key")

    def store_host_chain(self, chain: CertificateChain) -> PeerIdentity:
        """Keep a chain that a host got by joining; it is verified first (``BadCertificateError``)."""
        identity = verify_chain(chain, self.authority)
        write_file(self.path / "hosts" / f"{identity.host_id}.crt", chain.to_pem(), mode=0o644)
        return identity

    def signing_key(self) -> tuple[HostKey, bytes | None]:
        """The key that signs for the mesh here, and the issuer's certificate (DER) if it is an issuer's."""
        signer = self._signer()
        if signer is None:
            raise NotEnrolledError(
                f"no key in {self.path} can sign for mesh {self.mesh_id}; do this on the host that has one"
            )
        return signer

    def _issue(self, public_bytes: bytes, role: Role, name: str) -> CertificateChain:
        signer = self._signer()
        if signer is None:
            raise NotEnrolledError(
                f"this {role.value} has no certificate of mesh {self.mesh_id}, and no key in {self.path} can "
                "sign one; join the mesh with a code from one of its issuers"
            )
        key, issuer_certificate = signer
        leaf = issue_member(key, self.mesh_id, public_bytes, role=role, name=name)
        return CertificateChain(leaf, issuer_certificate)

    def _signer(self) -> tuple[HostKey, bytes | None] | None:
        key = self._authority_key()
        if key is not None:
            return key, None
        try:
            certificate = CertificateChain.from_pem(read_public(self.path / "issuer.crt")).leaf
            issuer = HostKey.load(self.path / "issuer.key")
        except FileNotFoundError:
            return None
        except BadCertificateError as error:
            raise MeshDirectoryError(f"{self.path / 'issuer.crt'} is damaged: {error}") from error
        try:
            fits = read_issuer(certificate, self.authority) == issuer.public_bytes
        except BadCertificateError as error:
            raise MeshDirectoryError(
                f"{self.path / 'issuer.crt'} is no issuer's of this mesh: {error}"
            ) from error
        if not fits:
            raise MeshDirectoryError(f"issuer.key and issuer.crt in {self.path} do not belong together")
        return issuer, certificate

    def _authority_key(self) -> HostKey | None:
        authority = self.authority
        try:
            key = HostKey.load(self.path / "authority.key")
        except FileNotFoundError:
            return None
        if key.public_bytes != authority.public_bytes:
            raise MeshDirectoryError(f"authority.key and authority.crt in {self.path} do not belong together")
        return key

    def _stored(self, path: Path, key: HostKey, role: Role) -> CertificateChain | None:
        try:
            pem = read_public(path)
        except FileNotFoundError:
            return None
        try:
            chain = CertificateChain.from_pem(pem)
            identity = verify_chain(chain, self.authority)
        except BadCertificateError as error:
            raise MeshDirectoryError(
                f"{path} is no certificate of mesh {self.mesh_id}: {error}; join again"
            ) from error
        if identity.public_bytes != key.public_bytes or identity.role is not role:
            raise MeshDirectoryError(f"{path} belongs to another key or role; join again")
        return chain

    def _read_authority(self) -> Authority | None:
        path = self.path / "authority.crt"
        check_directory(self.path)
        try:
            return read_authority(CertificateChain.from_pem(read_public(path)).leaf)
        except FileNotFoundError:
            return None
        except BadCertificateError as error:
            raise MeshDirectoryError(
                f"{path} is damaged: {error}; put back a copy, or start a new mesh in another directory"
            ) from error

    def _create(self) -> Authority:
        """Called under the lock, without ``authority.crt``: the mesh exists once that is written, last."""
        left = [
            name for name in ("issuer.crt", "issuer.key", "admin.crt", "hosts") if (self.path / name).exists()
        ]
        if left:
            raise MeshDirectoryError(
                f"{self.path} holds {left[0]} but no authority.crt: put that back, or use another directory"
            )
        # A key without a certificate is what a power cut between the two leaves; it is as good as a new one.
        key = HostKey.load_or_create(self.path / "authority.key")
        authority = make_authority(key)
        write_file(self.path / "authority.crt", CertificateChain(authority.certificate).to_pem(), mode=0o644)
        return authority
