"""X.509 certificates of a mesh: what they say, as values, and how they are laid out (RFC 5280, RFC 8410).

::

    authority   CN = mesh id              CA, path length 1, signed by itself
    └── issuer  CN = its key id           CA, path length 0, signed by the authority       (optional)
        └── host, admin  CN = its key id  no CA; one URI: paglets://MESH-ID/ROLE/KEY-ID

Every key is Ed25519. The subject key identifier is the full SHA-256 of the public key, so a leaf's
authority key identifier names the key that signed it: it is the key id of the issuer in another spelling.
TLS libraries compare it with the issuer's own identifier, which the authority has signed, so a leaf cannot
lie about who made it. A member's name is its subject's pseudonym: a hint for people. Certificates hold for
ever (1970 to 9999): boards without a clock have to accept them, and what ends a membership is the
revocation set.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from enum import StrEnum

from paglets.remote.trust.errors import BadCertificateError
from paglets.remote.trust.host_ids import host_id_of

MAX_NAME = 64
"""Characters of a member's name that a certificate keeps."""
MAX_CERTIFICATE_BYTES = 4096
"""No certificate of a mesh comes near this."""
URI_SCHEME = "paglets"
AUTHORITY_PATH_LENGTH = 1
ISSUER_PATH_LENGTH = 0

_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----")


class Role(StrEnum):
    """What a member of the mesh is."""

    HOST = "host"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class PeerIdentity:
    """Who a certificate says that a peer is."""

    host_id: str
    """Key id of the peer: a host's id, or an admin's."""
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
        return _pem(self.leaf) if self.issuer is None else _pem(self.leaf) + _pem(self.issuer)

    @classmethod
    def from_pem(cls, pem: bytes) -> CertificateChain:
        """Take PEM apart; what is in it is not verified. ``BadCertificateError``."""
        try:
            parts = [base64.b64decode(b"".join(match.split()), validate=True) for match in _PEM.findall(pem)]
        except binascii.Error as error:
            raise BadCertificateError("a certificate is no PEM text") from error
        if not 1 <= len(parts) <= 2:
            raise BadCertificateError(
                f"a chain is a leaf and at most one issuer; {len(parts)} certificates were found"
            )
        return cls(parts[0], parts[1] if len(parts) == 2 else None)


def _pem(der: bytes) -> bytes:
    """RFC 7468."""
    text = base64.b64encode(der)
    lines = [text[start : start + 64] for start in range(0, len(text), 64)]
    return b"\n".join((b"-----BEGIN CERTIFICATE-----", *lines, b"-----END CERTIFICATE-----", b""))
