"""The invite code by which a device joins a mesh, and the proofs that both sides give on it.

A code holds the SHA-256 of the authority's key, the issuer's public key and a secret of 128 bits, for one
use. The device compares the authority's hash and the issuer's key with what answers *before it sends
anything*; then each side proves that it knows the secret with an HMAC-SHA-256 over both keys, under labels
of their own, so that neither proof serves as the other, nor for another device.

The code as text is base32 in groups of eight and ends with four bytes of a hash over the rest:
a slip is noticed where it was made, and no issuer is asked.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from dataclasses import dataclass, field

from paglets.core.errors import HostError
from paglets.remote.trust.host_ids import PUBLIC_KEY_BYTES, digest_of_host_id, key_id_of_digest

SECRET_BYTES = 16
_VERSION = b"\x01"
_CHECK_BYTES = 4
_LENGTH = len(_VERSION) + 32 + PUBLIC_KEY_BYTES + SECRET_BYTES + _CHECK_BYTES  # 85 bytes: 136 characters
_DEVICE_LABEL = b"paglets-join-device-v1\0"
_ISSUER_LABEL = b"paglets-join-issuer-v1\0"
_GROUP = 8


class InvalidInviteError(HostError, ValueError):
    """A text that is no invite code; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Invite:
    """What an invite code holds."""

    mesh_id: str
    issuer_public: bytes
    """Raw Ed25519 public key of the issuer that made the code: the only one that may answer it."""
    secret: bytes = field(repr=False)
    """16 random bytes, for one use."""

    @classmethod
    def create(cls, mesh_id: str, issuer_public: bytes) -> Invite:
        """A fresh one."""
        return cls(mesh_id, issuer_public, secrets.token_bytes(SECRET_BYTES))

    def encode(self) -> str:
        """The code: 17 groups of eight characters."""
        body = _VERSION + digest_of_host_id(self.mesh_id) + self.issuer_public + self.secret
        text = base64.b32encode(body + _check(body)).decode("ascii").lower()
        return "-".join(text[start : start + _GROUP] for start in range(0, len(text), _GROUP))

    @classmethod
    def parse(cls, code: str) -> Invite:
        """Read a code as a person pasted it: any case, with or without groups; ``InvalidInviteError``."""
        compact = "".join(code[:400].split()).replace("-", "").upper()
        try:
            data = base64.b32decode(compact)
        except (binascii.Error, ValueError) as error:
            raise InvalidInviteError(
                "this is no invite code: it holds other characters than a-z and 2-7"
            ) from error
        if len(data) != _LENGTH:
            raise InvalidInviteError("this is no whole invite code: it has 17 groups of eight characters")
        body, check = data[:-_CHECK_BYTES], data[-_CHECK_BYTES:]
        if check != _check(body):
            raise InvalidInviteError("this is no invite code: its end does not fit the rest, look for a slip")
        if not body.startswith(_VERSION):
            raise InvalidInviteError("this invite code is of a newer kind; update paglets on this device")
        return cls(key_id_of_digest(body[1:33]), body[33:65], body[65:])

    def device_proof(self, device_public: bytes) -> bytes:
        """What the device sends (32 bytes): it knows the secret and wants a certificate for this key."""
        return self._proof(_DEVICE_LABEL, device_public)

    def issuer_proof(self, device_public: bytes) -> bytes:
        """What the issuer answers with (32 bytes): it knows the secret too, and means this device."""
        return self._proof(_ISSUER_LABEL, device_public)

    def _proof(self, label: bytes, device_public: bytes) -> bytes:
        if len(device_public) != PUBLIC_KEY_BYTES:
            raise InvalidInviteError(
                f"an Ed25519 public key has {PUBLIC_KEY_BYTES} bytes, not {len(device_public)}"
            )
        said = label + digest_of_host_id(self.mesh_id) + self.issuer_public + device_public
        return hmac.digest(self.secret, said, "sha256")


def _check(body: bytes) -> bytes:
    return hashlib.sha256(b"paglets-invite-check-v1\0" + body).digest()[:_CHECK_BYTES]
