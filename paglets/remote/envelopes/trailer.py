"""The trailer of an envelope: the source's word on what the payload was, sent after its last byte."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec

from paglets.core.incarnation import TransferId
from paglets.remote.envelopes.fields import Digest, Size
from paglets.remote.envelopes.stops import MAX_STOPS, Stop
from paglets.remote.trust.errors import MisdirectedFrameError, PayloadMismatchError
from paglets.remote.trust.signed_frames import SignedFrame, open_frame, seal_frame
from paglets.remote.trust.strict_json import read_strict, write_strict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from paglets.remote.envelopes.header import SignedHeader
    from paglets.remote.trust.keys import HostKey

TRAILER_LABEL = b"paglets-envelope-trailer-v1\0"
MAX_TRAILER_BYTES = 64 * 1024
"""Most of it may be the passport, whose frames are texts within the text."""


class EnvelopeTrailer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Binds a payload to its header."""

    transfer_id: TransferId
    header_digest: Digest
    payload_size: Size
    payload_digest: Digest
    passport: Annotated[list[Stop], msgspec.Meta(max_length=MAX_STOPS)] = []
    """How the paglet came to the source, the oldest stop first. Not verified here: who looks at it does that."""


def sign_trailer(
    key: HostKey,
    signed: SignedHeader,
    *,
    payload_size: int,
    payload_digest: bytes,
    passport: Sequence[Stop] = (),
) -> SignedFrame:
    """The trailer frame for a payload of that size and SHA-256 (32 bytes), under that header."""
    trailer = EnvelopeTrailer(
        transfer_id=signed.header.transfer_id,
        header_digest=signed.digest,
        payload_size=payload_size,
        payload_digest=payload_digest.hex(),
        passport=list(passport),
    )
    return seal_frame(key, TRAILER_LABEL, write_strict(trailer))


def verify_trailer(
    data: bytes | str, signed: SignedHeader, *, payload_size: int, payload_digest: bytes
) -> EnvelopeTrailer:
    """Verify a trailer against the verified header and what the receiver itself counted and hashed.

    Raises:
        FrameError: malformed, altered or badly signed.
        PayloadMismatchError: size or digest of what came are not what was signed.
        MisdirectedFrameError: signed by another key than the header's, or for another header.
    """
    frame = open_frame(data, TRAILER_LABEL, max_body=MAX_TRAILER_BYTES)
    if frame.signer != signed.frame.signer:
        raise MisdirectedFrameError("a trailer is not signed by the key that signed its header")
    trailer = read_strict(frame.body, EnvelopeTrailer, what="an envelope's trailer")
    if trailer.transfer_id != signed.header.transfer_id or trailer.header_digest != signed.digest:
        raise MisdirectedFrameError("a trailer belongs to another header")
    if trailer.payload_size != payload_size or payload_size != signed.header.payload_size:
        raise PayloadMismatchError(
            f"a payload came as {payload_size} bytes; its header says {signed.header.payload_size} "
            f"and its trailer {trailer.payload_size}"
        )
    if trailer.payload_digest != payload_digest.hex():
        raise PayloadMismatchError("a payload is not the one that its source signed")
    return trailer
