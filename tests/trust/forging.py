"""Certificates that the product would never make."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from paglets.remote.trust.host_ids import digest_of_host_id
from paglets.remote.trust.keys import HostKey

if TYPE_CHECKING:
    from collections.abc import Sequence

PrivateKey = Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def private_pem(key: PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def certificate_pem(*certificates: bytes) -> bytes:
    return b"".join(x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM) for der in certificates)


@dataclass(frozen=True, kw_only=True)
class Forgery:
    """A leaf (or issuer) certificate in which every part can be put wrong."""

    signer: HostKey
    mesh_id: str
    subject: HostKey = field(default_factory=HostKey.generate)
    key: PrivateKey | None = None
    """Another key than the subject's, of whatever kind."""
    issuer_id: str = ""
    """The issuer's name; and its key identifier when ``authority_key_id`` says nothing else."""
    authority_key_id: str | None = ""
    """None: leave the extension out."""
    uris: Sequence[str] | None = None
    is_issuer: bool = False
    since: dt.datetime = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    until: dt.datetime = dt.datetime(9999, 12, 31, tzinfo=dt.UTC)

    def leaf(self) -> bytes:
        issuer_id = self.issuer_id or self.signer.host_id
        key = self.key or self.subject.private()
        uris = self.uris
        if uris is None:
            uris = [f"paglets://{self.mesh_id}/host/{self.subject.host_id}"]
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.subject.host_id)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer_id)]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self.since)
            .not_valid_after(self.until)
            .add_extension(x509.SubjectKeyIdentifier(digest_of_host_id(self.subject.host_id)), critical=False)
            .add_extension(x509.BasicConstraints(ca=self.is_issuer, path_length=None), critical=True)
        )
        if self.authority_key_id is not None:
            digest = digest_of_host_id(self.authority_key_id or issuer_id)
            builder = builder.add_extension(x509.AuthorityKeyIdentifier(digest, None, None), critical=False)
        if uris:
            names = [x509.UniformResourceIdentifier(uri) for uri in uris]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(self.signer.private(), None).public_bytes(Encoding.DER)


def self_signed_p256() -> tuple[PrivateKey, bytes]:
    """What any web server has."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(dt.datetime(2020, 1, 1, tzinfo=dt.UTC))
        .not_valid_after(dt.datetime(2040, 1, 1, tzinfo=dt.UTC))
    )
    return key, builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)
