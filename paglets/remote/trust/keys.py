"""Ed25519 keys: a host's own, and the signatures of others.

Everything that is signed with a key starts with a label of its own, so that a signature made for one
purpose is never one for another. Labels start with ``paglets-`` and end with a zero byte. What the same
keys sign elsewhere starts otherwise: TLS 1.3 handshakes with 64 spaces (RFC 8446, 4.4.3), certificates
with the byte 0x30.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from paglets.remote.trust.errors import KeyFileError
from paglets.remote.trust.files import locked, read_private, write_file
from paglets.remote.trust.host_ids import host_id_of

if TYPE_CHECKING:
    from pathlib import Path

SIGNATURE_BYTES = 64


class HostKey:
    """An Ed25519 private key and the id that follows from it. Immutable; its repr shows no secret.

    ``host_id`` is its id (see :mod:`paglets.remote.trust.host_ids`), ``public_bytes`` the raw public key.
    """

    __slots__ = ("_private", "host_id", "public_bytes")

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.public_bytes = private.public_key().public_bytes_raw()
        self.host_id = host_id_of(self.public_bytes)

    @classmethod
    def generate(cls) -> HostKey:
        """A fresh key that is kept nowhere."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def load(cls, path: Path) -> HostKey:
        """The key in that file (PKCS #8 PEM, RFC 8410).

        Raises:
            FileNotFoundError: there is none.
            KeyFileError: unreadable, open to others, damaged, or no Ed25519 key.
        """
        return cls.from_pem(read_private(path), origin=str(path))

    @classmethod
    def load_or_create(cls, path: Path) -> HostKey:
        """The key in that file; made at first use, for its owner only. Blocks; raises ``KeyFileError``."""
        try:
            return cls.load(path)
        except FileNotFoundError:
            pass
        with locked(path.with_name(path.name + ".lock")):
            try:
                return cls.load(path)
            except FileNotFoundError:
                key = cls.generate()
                write_file(path, key.to_pem())
                return key

    @classmethod
    def from_pem(cls, pem: bytes, *, origin: str = "the key") -> HostKey:
        """The key in a PKCS #8 PEM text; ``KeyFileError`` names ``origin``."""
        from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415 - start time

        try:
            private = load_pem_private_key(pem, password=None)
        except (ValueError, TypeError) as error:
            raise KeyFileError(
                f"{origin} is damaged: no private key can be read from it; put back a copy, or remove it to "
                "start as a new host with a new id"
            ) from error
        if not isinstance(private, Ed25519PrivateKey):
            raise KeyFileError(
                f"{origin} is not an Ed25519 key; remove it to start as a new host with a new id"
            )
        return cls(private)

    def to_pem(self) -> bytes:
        """The private key as PKCS #8 PEM: keep it secret."""
        from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - start time

        return self._private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def sign(self, label: bytes, data: bytes) -> bytes:
        """The signature (64 bytes) over ``label + data``; ``label`` ends with a zero byte."""
        return self._private.sign(label + data)

    def private(self) -> Ed25519PrivateKey:
        """The private key, for signing certificates."""
        return self._private

    def __repr__(self) -> str:
        return f"<HostKey {self.host_id}>"


def signature_fits(public_bytes: bytes, label: bytes, data: bytes, signature: bytes) -> bool:
    """Whether ``signature`` is the key's over ``label + data``. Never raises, whatever the bytes are."""
    try:
        _public_key(bytes(public_bytes)).verify(signature, label + data)
    except (InvalidSignature, ValueError):
        return False
    return True


@lru_cache(maxsize=256)
def _public_key(public_bytes: bytes) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(public_bytes)
