"""Makes certificates, as :mod:`paglets.remote.trust.certificates` lays them out."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from paglets.remote.trust.certificates import (
    AUTHORITY_PATH_LENGTH,
    ISSUER_PATH_LENGTH,
    MAX_NAME,
    URI_SCHEME,
    Authority,
    Role,
)
from paglets.remote.trust.host_ids import digest_of_host_id, host_id_of

if TYPE_CHECKING:
    from paglets.remote.trust.keys import HostKey

_SINCE = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_UNTIL = dt.datetime(9999, 12, 31, 23, 59, 59, tzinfo=dt.UTC)
"""RFC 5280, 4.1.2.5: the value for "no well-defined expiration"."""


def make_authority(key: HostKey) -> Authority:
    """The self-signed certificate of a mesh whose authority has that key."""
    builder = _as_issuer(_builder(key.public_bytes, key.host_id), path_length=AUTHORITY_PATH_LENGTH)
    return Authority(key.public_bytes, _signed(builder, key))


def issue_issuer(authority_key: HostKey, public_bytes: bytes) -> bytes:
    """An issuer's certificate (DER): it may sign members, not further issuers."""
    builder = _builder(public_bytes, authority_key.host_id)
    return _signed(_as_issuer(builder, path_length=ISSUER_PATH_LENGTH), authority_key)


def issue_member(signer: HostKey, mesh_id: str, public_bytes: bytes, *, role: Role, name: str) -> bytes:
    """A member's certificate (DER), signed by the authority or by an issuer."""
    usages = [ExtendedKeyUsageOID.CLIENT_AUTH]
    if (
        role is Role.HOST
    ):  # an admin's certificate cannot pass for a server, not even where nobody looks at roles
        usages.append(ExtendedKeyUsageOID.SERVER_AUTH)
    uri = x509.UniformResourceIdentifier(f"{URI_SCHEME}://{mesh_id}/{role.value}/{host_id_of(public_bytes)}")
    builder = (
        _builder(public_bytes, signer.host_id, name=name)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(x509.SubjectAlternativeName([uri]), critical=False)
    )
    return _signed(builder, signer)


def _builder(public_bytes: bytes, issuer_id: str, *, name: str = "") -> x509.CertificateBuilder:
    """What all certificates share. The issuer's name and key identifier follow from its key id alone."""
    key_id = host_id_of(public_bytes)
    subject = [x509.NameAttribute(NameOID.COMMON_NAME, key_id)]
    if name:
        subject.append(x509.NameAttribute(NameOID.PSEUDONYM, name[:MAX_NAME]))
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name(subject))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer_id)]))
        .public_key(Ed25519PublicKey.from_public_bytes(public_bytes))
        .serial_number(x509.random_serial_number())
        .not_valid_before(_SINCE)
        .not_valid_after(_UNTIL)
        .add_extension(x509.SubjectKeyIdentifier(digest_of_host_id(key_id)), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier(digest_of_host_id(issuer_id), None, None), critical=False)
    )


def _as_issuer(builder: x509.CertificateBuilder, *, path_length: int) -> x509.CertificateBuilder:
    constraints = x509.BasicConstraints(ca=True, path_length=path_length)
    usage = _key_usage(signs_certificates=True)
    return builder.add_extension(constraints, critical=True).add_extension(usage, critical=True)


def _signed(builder: x509.CertificateBuilder, key: HostKey) -> bytes:
    return builder.sign(key.private(), None).public_bytes(Encoding.DER)


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
