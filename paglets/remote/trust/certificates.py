"""X.509 certificates of a mesh: how they are laid out, made and read (RFC 5280, RFC 8410).

::

    authority   CN = mesh id              CA, path length 1, signed by itself
    └── issuer  CN = its key id           CA, path length 0, signed by the authority       (optional)
        └── host, admin  CN = its key id  no CA; one URI: paglets://MESH-ID/ROLE/KEY-ID

Every key is Ed25519. The subject key identifier is the full SHA-256 of the public key, so a leaf's
authority key identifier names the key that signed it: it is the key id of the issuer in another spelling.
A member's name is its subject's pseudonym: a hint for people. Certificates hold for ever (1970 to 9999):
boards without a clock have to accept them, and what ends a membership is the revocation set.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from paglets.remote.trust.errors import BadCertificateError, InvalidKeyIdError
from paglets.remote.trust.host_ids import check_host_id, digest_of_host_id, host_id_of, key_id_of_digest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from paglets.remote.trust.keys import HostKey

MAX_NAME = 64
"""Characters of a member's name that a certificate keeps."""
MAX_CERTIFICATE_BYTES = 4096
"""No certificate of a mesh comes near this."""
URI_SCHEME = "paglets"

_SINCE = dt.datetime(1970, 1, 1)  # noqa: DTZ001 - the library takes naive UTC times
_UNTIL = dt.datetime(9999, 12, 31, 23, 59, 59)  # noqa: DTZ001 - RFC 5280, 4.1.2.5: no well-defined end


class Role(StrEnum):
    """What a member of the mesh is."""

    HOST = "host"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class PeerIdentity:
    """Who a certificate says that a peer is."""

    host_id: str
    """Key id of the peer (a host's id, or an admin's)."""
    role: Role
    name: str
    """A hint for people; may be empty."""
    public_bytes: bytes
    """Its raw Ed25519 public key."""
    issuer_id: str
    """Key id of whoever signed the certificate: the mesh id, or an issuer's."""
    mesh_id: str


@dataclass(frozen=True, slots=True)
class Authority:
    """The public half of a mesh's authority: what every member knows of it."""

    public_bytes: bytes
    certificate: bytes
    """DER."""

    @property
    def mesh_id(self) -> str:
        """The mesh's id: the key id of the authority."""
        return host_id_of(self.public_bytes)


@dataclass(frozen=True, slots=True)
class CertificateChain:
    """A leaf certificate and, when an issuer signed it, the issuer's; each in DER."""

    leaf: bytes
    issuer: bytes | None = None

    def to_pem(self) -> bytes:
        """Leaf first, as TLS wants it."""
        parts = (self.leaf,) if self.issuer is None else (self.leaf, self.issuer)
        return b"".join(x509.load_der_x509_certificate(part).public_bytes(Encoding.PEM) for part in parts)

    @classmethod
    def from_pem(cls, pem: bytes) -> CertificateChain:
        """Read what :meth:`to_pem` wrote; ``BadCertificateError``."""
        try:
            parts = [
                certificate.public_bytes(Encoding.DER) for certificate in x509.load_pem_x509_certificates(pem)
            ]
        except ValueError as error:
            raise BadCertificateError("no certificate can be read") from error
        if not 1 <= len(parts) <= 2:
            raise BadCertificateError(
                f"a chain has a leaf and at most one issuer, not {len(parts)} certificates"
            )
        return cls(parts[0], parts[1] if len(parts) == 2 else None)


def make_authority(key: HostKey) -> Authority:
    """The self-signed certificate of a mesh."""
    builder = _builder(
        key.public_bytes, subject=_name(key.host_id), issuer=_name(key.host_id), issuer_id=key.host_id
    )
    certificate = _as_issuer(builder, path_length=1).sign(key.private(), None)
    return Authority(key.public_bytes, certificate.public_bytes(Encoding.DER))


def read_authority(der: bytes) -> Authority:
    """An authority's certificate; ``BadCertificateError`` when it is none, or not signed by itself."""
    certificate = _load(der)
    public_bytes = _public_bytes(certificate)
    _check_issuer(certificate, public_bytes, path_length=1)
    _check_signed_by(certificate, certificate)
    return Authority(public_bytes, der)


def issue_issuer(authority_key: HostKey, public_bytes: bytes) -> bytes:
    """An issuer's certificate (DER), path length 0: it may sign members, not further issuers."""
    subject = _name(host_id_of(public_bytes))
    mesh_id = authority_key.host_id
    builder = _builder(public_bytes, subject=subject, issuer=_name(mesh_id), issuer_id=mesh_id)
    return _as_issuer(builder, path_length=0).sign(authority_key.private(), None).public_bytes(Encoding.DER)


def read_issuer(der: bytes, authority: Authority) -> bytes:
    """The raw public key of an issuer of that authority; ``BadCertificateError`` for anything else."""
    certificate = _load(der)
    public_bytes = _public_bytes(certificate)
    _check_issuer(certificate, public_bytes, path_length=0)
    _check_signed_by(certificate, _load(authority.certificate))
    return public_bytes


def issue_member(signer: HostKey, mesh_id: str, public_bytes: bytes, *, role: Role, name: str) -> bytes:
    """A member's certificate (DER), signed by the authority or by an issuer."""
    key_id = host_id_of(public_bytes)
    builder = _builder(
        public_bytes,
        subject=_name(key_id, shown=name),
        issuer=_name(signer.host_id),
        issuer_id=signer.host_id,
    )
    usages = [ExtendedKeyUsageOID.CLIENT_AUTH]
    if (
        role is Role.HOST
    ):  # an admin's certificate cannot pass for a server, not even where nobody looks at roles
        usages.append(ExtendedKeyUsageOID.SERVER_AUTH)
    uri = x509.UniformResourceIdentifier(f"{URI_SCHEME}://{mesh_id}/{role.value}/{key_id}")
    builder = (
        builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(x509.SubjectAlternativeName([uri]), critical=False)
    )
    return builder.sign(signer.private(), None).public_bytes(Encoding.DER)


def read_member(der: bytes, mesh_id: str) -> PeerIdentity:
    """Who a leaf certificate names. Its chain must have been verified; here only its content is checked.

    Raises:
        BadCertificateError: not Ed25519, not of this mesh, or not laid out as a member's.
    """
    certificate = _load(der)
    public_bytes = _public_bytes(certificate)
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        issuer = certificate.extensions.get_extension_for_class(
            x509.AuthorityKeyIdentifier
        ).value.key_identifier
        issuer_id = key_id_of_digest(issuer or b"")
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError) as error:
        raise BadCertificateError("a peer's certificate is not laid out as a member's") from error
    uris = [general.value for general in names if isinstance(general, x509.UniformResourceIdentifier)]
    if len(names) != 1 or len(uris) != 1:
        raise BadCertificateError("a peer's certificate does not say with one URI who it is")
    found_mesh, role, key_id = _parse_uri(uris[0])
    if found_mesh != mesh_id:
        raise BadCertificateError("a peer's certificate is of another mesh")
    if key_id != host_id_of(public_bytes):
        raise BadCertificateError("a peer's certificate names another key than its own")
    return PeerIdentity(key_id, role, _shown_name(certificate), public_bytes, issuer_id, mesh_id)


def verify_chain(chain: CertificateChain, authority: Authority) -> PeerIdentity:
    """Verify a chain that did not come through TLS, and read it; ``BadCertificateError``."""
    leaf = _load(chain.leaf)
    if chain.issuer is None:
        _check_signed_by(leaf, _load(authority.certificate))
        signer_id = authority.mesh_id
    else:
        signer_id = host_id_of(read_issuer(chain.issuer, authority))
        _check_signed_by(leaf, _load(chain.issuer))
    identity = read_member(chain.leaf, authority.mesh_id)
    if identity.issuer_id != signer_id:
        raise BadCertificateError("a certificate names another issuer than the one that signed it")
    return identity


def _builder(
    public_bytes: bytes, *, subject: x509.Name, issuer: x509.Name, issuer_id: str
) -> x509.CertificateBuilder:
    key_id = host_id_of(public_bytes)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(Ed25519PublicKey.from_public_bytes(public_bytes))
        .serial_number(x509.random_serial_number())
        .not_valid_before(_SINCE)
        .not_valid_after(_UNTIL)
        .add_extension(x509.SubjectKeyIdentifier(digest_of_host_id(key_id)), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier(digest_of_host_id(issuer_id), None, None), critical=False)
    )


def _as_issuer(builder: x509.CertificateBuilder, *, path_length: int) -> x509.CertificateBuilder:
    return builder.add_extension(
        x509.BasicConstraints(ca=True, path_length=path_length), critical=True
    ).add_extension(_key_usage(signs_certificates=True), critical=True)


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(key_id: str, *, shown: str = "") -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, key_id)]
    if shown:
        attributes.append(x509.NameAttribute(NameOID.PSEUDONYM, shown[:MAX_NAME]))
    return x509.Name(attributes)


def _shown_name(certificate: x509.Certificate) -> str:
    names = [
        str(attribute.value) for attribute in certificate.subject.get_attributes_for_oid(NameOID.PSEUDONYM)
    ]
    name = names[0][:MAX_NAME] if names else ""
    return name if name.isprintable() else ""


def _load(der: bytes) -> x509.Certificate:
    if len(der) > MAX_CERTIFICATE_BYTES:
        raise BadCertificateError(
            f"a certificate of {len(der)} bytes is over the bound of {MAX_CERTIFICATE_BYTES}"
        )
    try:
        return x509.load_der_x509_certificate(der)
    except ValueError as error:
        raise BadCertificateError("no certificate can be read") from error


def _public_bytes(certificate: x509.Certificate) -> bytes:
    try:
        key = certificate.public_key()
    except Exception as error:
        raise BadCertificateError("the key in a certificate cannot be read") from error
    if not isinstance(key, Ed25519PublicKey):
        raise BadCertificateError("a member's key is an Ed25519 key; this certificate has another kind")
    return key.public_bytes_raw()


def _check_issuer(certificate: x509.Certificate, public_bytes: bytes, *, path_length: int) -> None:
    """Laid out as :func:`_as_issuer` does it, under a name and identifier that follow from its key."""
    key_id = host_id_of(public_bytes)
    try:
        extensions = certificate.extensions
        constraints = extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = extensions.get_extension_for_class(x509.KeyUsage).value
        identifier = extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError) as error:
        raise BadCertificateError("an issuer's certificate is not laid out as one") from error
    if not constraints.ca or constraints.path_length != path_length or not usage.key_cert_sign:
        raise BadCertificateError("a certificate does not make its owner an issuer of that kind")
    if identifier != digest_of_host_id(key_id) or certificate.subject != _name(key_id):
        raise BadCertificateError("an issuer's certificate does not name its own key")


def _check_signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> None:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError, TypeError) as error:
        raise BadCertificateError("a certificate is not signed by the key it should be") from error


def _parse_uri(uri: str) -> tuple[str, Role, str]:
    scheme, found, rest = uri.partition("://")
    parts = rest.split("/")
    if not found or scheme != URI_SCHEME or len(parts) != 3:
        raise BadCertificateError("a peer's certificate does not say in our form who it is")
    try:
        return check_host_id(parts[0]), Role(parts[1]), check_host_id(parts[2])
    except (InvalidKeyIdError, ValueError) as error:
        raise BadCertificateError("a peer's certificate does not say in our form who it is") from error


def pem_of(certificates: Sequence[bytes]) -> bytes:
    """Certificates in DER as one PEM text."""
    return b"".join(x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM) for der in certificates)
