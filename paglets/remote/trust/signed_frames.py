"""A signed JSON frame: signature, signer's public key, and the body's bytes exactly as they were signed.

One layout, to the byte::

    {"signature":"<128 hex digits>","signer":"<64 hex digits>","body":<the body>}

It is JSON when the body is, so that tools can read it; but it is taken apart by position, so no parser
sees a byte before the signature over ``label + body`` was checked, and no two frames mean the same.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from paglets.remote.trust.errors import BadSignatureError, MalformedFrameError
from paglets.remote.trust.host_ids import host_id_of
from paglets.remote.trust.keys import signature_fits

if TYPE_CHECKING:
    from paglets.remote.trust.keys import HostKey

_LAYOUT = re.compile(rb'\{"signature":"([0-9a-f]{128})","signer":"([0-9a-f]{64})","body":(.+)\}', re.DOTALL)

FRAME_OVERHEAD = len(b'{"signature":"","signer":"","body":}') + 128 + 64
"""Bytes of a frame beyond its body."""


@dataclass(frozen=True, slots=True)
class SignedFrame:
    """A body with its signature: sealed here, or from :func:`open_frame`, which has checked it."""

    body: bytes
    """Exactly the bytes that were signed (without the label)."""
    signer: bytes
    """The signer's raw public key, 32 bytes."""
    signature: bytes
    """64 bytes."""

    @property
    def signer_id(self) -> str:
        """The key id of the signer."""
        return host_id_of(self.signer)

    def encode(self) -> bytes:
        """The frame as it travels; ASCII when the body is, as all of ours are."""
        return b'{"signature":"%b","signer":"%b","body":%b}' % (
            self.signature.hex().encode("ascii"),
            self.signer.hex().encode("ascii"),
            self.body,
        )


def seal_frame(key: HostKey, label: bytes, body: bytes) -> SignedFrame:
    """Sign ``label + body``."""
    return SignedFrame(body, key.public_bytes, key.sign(label, body))


def open_frame(data: bytes | str, label: bytes, *, max_body: int) -> SignedFrame:
    """Take a frame apart and check its signature; the body is not looked at.

    Who the signer is, and whether that key may say such a thing, is for the caller to check.

    Raises:
        MalformedFrameError: not the layout, or a body of more than ``max_body`` bytes.
        BadSignatureError: the signature is not the signer's over these bytes under this label.
    """
    if len(data) > max_body + FRAME_OVERHEAD:
        raise MalformedFrameError(
            f"a signed frame of {len(data)} is over its bound of {max_body + FRAME_OVERHEAD} bytes"
        )
    try:
        raw = data.encode("utf-8") if isinstance(data, str) else data
    except UnicodeEncodeError as error:
        raise MalformedFrameError("a signed frame is no text") from error
    match = _LAYOUT.fullmatch(raw)
    if match is None:
        raise MalformedFrameError("a signed frame does not have the layout of one")
    signature, signer, body = bytes.fromhex(match[1].decode()), bytes.fromhex(match[2].decode()), match[3]
    if len(body) > max_body:
        raise MalformedFrameError(f"a signed body of {len(body)} bytes is over its bound of {max_body}")
    if not signature_fits(signer, label, body, signature):
        raise BadSignatureError("the signature on a frame is not its signer's, or not over these bytes")
    return SignedFrame(body, signer, signature)
