"""Reads and verifies certificates; whatever they are: a value, or ``BadCertificateError``."""

from __future__ import annotations

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.x509.oid import NameOID

from paglets.remote.trust.certificates import (
    AUTHORITY_PATH_LENGTH,
    ISSUER_PATH_LENGTH,
    MAX_CERTIFICATE_BYTES,
    MAX_NAME,
    URI_SCHEME,
    Authority,
    CertificateChain,
    PeerIdentity,
    Role,
)
from paglets.remote.trust.errors import BadCertificateError, InvalidKeyIdError
from paglets.remote.trust.host_ids import check_host_id, digest_of_host_id, host_id_of, key_id_of_digest

_UNREADABLE = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.ExtensionNotFound,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
    x509.InvalidVersion,
)
"""What the library raises, among its many places, for certificates that are not as they should be."""


def read_authority(der: bytes) -> Authority:
    """The authority of that certificate, which must be signed by itself."""
    certificate = _load(der)
    public_bytes = _public_bytes(certificate)
    _check_issuer(certificate, public_bytes, path_length=AUTHORITY_PATH_LENGTH)
    _check_signed_by(certificate, certificate)
    return Authority(public_bytes, der)


def read_issuer(der: bytes, authority: Authority) -> bytes:
    """The raw public key of an issuer of that authority."""
    certificate = _load(der)
    public_bytes = _public_bytes(certificate)
    _check_issuer(certificate, public_bytes, path_length=ISSUER_PATH_LENGTH)
    _check_signed_by(certificate, _load(authority.certificate))
    return public_bytes


def read_member(der: bytes, mesh_id: str) -> PeerIdentity:
    """Who a leaf certificate names. Its chain must have been verified; here only its content is checked."""
    certificate = _load(der)
    public_bytes = _public_bytes(certificate)
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        issuer = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
        issuer_id = key_id_of_digest(issuer.key_identifier or b"")
        shown = _shown_name(certificate)
    except (*_UNREADABLE, InvalidKeyIdError) as error:
        raise BadCertificateError("a certificate is not laid out as a member's") from error
    uris = [general.value for general in names if isinstance(general, x509.UniformResourceIdentifier)]
    if len(names) != 1 or len(uris) != 1:
        raise BadCertificateError("a certificate does not say with one URI who its owner is")
    found_mesh, role, key_id = _parse_uri(uris[0])
    if found_mesh != mesh_id:
        raise BadCertificateError("a certificate is of another mesh")
    if key_id != host_id_of(public_bytes):
        raise BadCertificateError("a certificate names another key than its own")
    return PeerIdentity(key_id, role, shown, public_bytes, issuer_id, mesh_id)


def verify_chain(chain: CertificateChain, authority: Authority) -> PeerIdentity:
    """Verify a chain that did not come through TLS, and read it."""
    leaf = _load(chain.leaf)
    if chain.issuer is None:
        signer_id = authority.mesh_id
        _check_signed_by(leaf, _load(authority.certificate))
    else:
        signer_id = host_id_of(read_issuer(chain.issuer, authority))
        _check_signed_by(leaf, _load(chain.issuer))
    identity = read_member(chain.leaf, authority.mesh_id)
    if identity.issuer_id != signer_id:
        raise BadCertificateError("a certificate names another issuer than the one that signed it")
    if _is_issuer(leaf):
        raise BadCertificateError("a member's certificate is one of an issuer")
    return identity


def _load(der: bytes) -> x509.Certificate:
    if len(der) > MAX_CERTIFICATE_BYTES:
        raise BadCertificateError(
            f"a certificate of {len(der)} bytes is over the bound of {MAX_CERTIFICATE_BYTES}"
        )
    try:
        return x509.load_der_x509_certificate(der)
    except _UNREADABLE as error:
        raise BadCertificateError("a certificate cannot be read") from error


def _public_bytes(certificate: x509.Certificate) -> bytes:
    try:
        key = certificate.public_key()
    except _UNREADABLE as error:
        raise BadCertificateError("the key in a certificate cannot be read") from error
    if not isinstance(key, Ed25519PublicKey):
        raise BadCertificateError("the key in a certificate is not an Ed25519 key")
    return key.public_bytes_raw()


def _check_issuer(certificate: x509.Certificate, public_bytes: bytes, *, path_length: int) -> None:
    """Laid out as an issuer's of that path length, under a name and identifier that follow from its key."""
    key_id = host_id_of(public_bytes)
    try:
        extensions = certificate.extensions
        constraints = extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = extensions.get_extension_for_class(x509.KeyUsage).value
        identifier = extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
        subject = certificate.subject
    except _UNREADABLE as error:
        raise BadCertificateError("a certificate is not laid out as an issuer's") from error
    if not constraints.ca or constraints.path_length != path_length or not usage.key_cert_sign:
        raise BadCertificateError("a certificate does not make its owner an issuer of that kind")
    expected = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, key_id)])
    if identifier != digest_of_host_id(key_id) or subject != expected:
        raise BadCertificateError("an issuer's certificate does not name its own key")


def _is_issuer(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except _UNREADABLE as error:
        raise BadCertificateError("a certificate is not laid out as a member's") from error


def _check_signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> None:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (*_UNREADABLE, InvalidSignature) as error:
        raise BadCertificateError("a certificate is not signed by the key that it should be") from error


def _shown_name(certificate: x509.Certificate) -> str:
    attributes = certificate.subject.get_attributes_for_oid(NameOID.PSEUDONYM)
    name = str(attributes[0].value)[:MAX_NAME] if attributes else ""
    return name if name.isprintable() else ""


def _parse_uri(uri: str) -> tuple[str, Role, str]:
    scheme, found, rest = uri.partition("://")
    parts = rest.split("/")
    if not found or scheme != URI_SCHEME or len(parts) != 3:
        raise BadCertificateError("a certificate does not say in our form who its owner is")
    try:
        return check_host_id(parts[0]), Role(parts[1]), check_host_id(parts[2])
    except ValueError as error:
        raise BadCertificateError("a certificate does not say in our form who its owner is") from error
