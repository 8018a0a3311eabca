"""What can go wrong between keys, certificates and peers.

::

    PagletError
    ├── HostError
    │   ├── KeyFileError            a key or certificate file is unreadable, damaged or open to others
    │   ├── MeshDirectoryError      the mesh directory cannot be used as it is
    │   │   └── NotEnrolledError    this key has no certificate here, and nothing here can issue one
    │   ├── InvalidKeyIdError       a text that is no host id (also a ValueError)
    │   └── RevocationSetFullError  the bound on signed revocations is reached
    ├── AuthenticationError
    │   ├── NoCertificateError      the peer showed none
    │   ├── BadCertificateError     the peer's certificate is not one of a member
    │   └── FrameError              signed data that is not what its signer sent
    │       ├── MalformedFrameError     it does not have the one form that it must have
    │       ├── BadSignatureError       the signature is not the signer's
    │       └── PayloadMismatchError    the payload is not the one that was signed
    └── ForbiddenError
        ├── RevokedKeyError         the key, or the issuer of its certificate, is revoked
        ├── WrongRoleError          a member, but not of a role that may do this
        └── MisdirectedFrameError   genuine, but not meant for this mesh, host, peer or transfer
"""

from __future__ import annotations

from paglets.core.errors import AuthenticationError, ForbiddenError, HostError


class KeyFileError(HostError):
    """A key or certificate file is unreadable, damaged, or readable by others."""


class MeshDirectoryError(HostError):
    """The mesh directory cannot be used as it is."""


class NotEnrolledError(MeshDirectoryError):
    """This key has no certificate of the mesh, and the mesh directory holds no key that could issue one."""


class InvalidKeyIdError(HostError, ValueError):
    """A text that is no host id, admin id or mesh id; the message says what is wrong with it."""


class RevocationSetFullError(HostError):
    """A signer has used up its share of the revocation set."""


class NoCertificateError(AuthenticationError):
    """The peer showed no certificate where one is needed."""


class BadCertificateError(AuthenticationError):
    """The peer's certificate, or a certificate that came with signed data, is not one of a member."""


class RevokedKeyError(ForbiddenError):
    """The peer's key, or the key of the issuer of its certificate, is revoked."""


class WrongRoleError(ForbiddenError):
    """The peer is a member, but not of a role that may do this."""


class FrameError(AuthenticationError):
    """Signed data that is not what its signer sent."""


class MalformedFrameError(FrameError):
    """A frame, or what is signed inside, does not have the one form that it must have."""


class BadSignatureError(FrameError):
    """The signature is not the named signer's over these bytes."""


class PayloadMismatchError(FrameError):
    """The payload that came is not the one that its source signed: truncated, altered or swapped."""


class MisdirectedFrameError(ForbiddenError):
    """A genuine frame that is not meant for this mesh, this host, this peer or this transfer."""
