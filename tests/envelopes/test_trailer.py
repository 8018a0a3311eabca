from __future__ import annotations

import hashlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paglets.remote.envelopes.header import sign_header
from paglets.remote.envelopes.trailer import TRAILER_LABEL, sign_trailer, verify_trailer
from paglets.remote.trust.errors import (
    FrameError,
    MalformedFrameError,
    MisdirectedFrameError,
    PayloadMismatchError,
)
from paglets.remote.trust.keys import HostKey
from paglets.remote.trust.signed_frames import seal_frame
from tests.envelopes.parts import SOURCE, make_header

PAYLOAD = bytes(1000)
DIGEST = hashlib.sha256(PAYLOAD).digest()
HEADER = sign_header(SOURCE, make_header())
TRAILER = sign_trailer(SOURCE, HEADER, payload_size=1000, payload_digest=DIGEST).encode()


def test_a_whole_payload_is_accepted() -> None:
    trailer = verify_trailer(TRAILER, HEADER, payload_size=1000, payload_digest=DIGEST)
    assert trailer.header_digest == HEADER.digest
    assert verify_trailer(TRAILER.decode(), HEADER, payload_size=1000, payload_digest=DIGEST) == trailer


def test_every_changed_bit_is_refused() -> None:
    for bit in range(8 * len(TRAILER)):
        changed = bytearray(TRAILER)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises((FrameError, MisdirectedFrameError)):
            verify_trailer(bytes(changed), HEADER, payload_size=1000, payload_digest=DIGEST)


def test_a_truncated_or_longer_payload_is_refused() -> None:
    for size in (0, 999, 1001):
        digest = hashlib.sha256(bytes(size)).digest()
        with pytest.raises(PayloadMismatchError):
            verify_trailer(TRAILER, HEADER, payload_size=size, payload_digest=digest)
        # Also when the source's trailer agrees with what came, but its header does not.
        agreeing = sign_trailer(SOURCE, HEADER, payload_size=size, payload_digest=digest).encode()
        with pytest.raises(PayloadMismatchError):
            verify_trailer(agreeing, HEADER, payload_size=size, payload_digest=digest)


def test_an_altered_payload_is_refused() -> None:
    with pytest.raises(PayloadMismatchError):
        verify_trailer(
            TRAILER, HEADER, payload_size=1000, payload_digest=hashlib.sha256(b"x" * 1000).digest()
        )


def test_the_trailer_of_another_move_is_refused() -> None:
    other = sign_header(SOURCE, make_header(counter=8))
    swapped = sign_trailer(SOURCE, other, payload_size=1000, payload_digest=DIGEST).encode()
    with pytest.raises(MisdirectedFrameError, match="another header"):
        verify_trailer(swapped, HEADER, payload_size=1000, payload_digest=DIGEST)


def test_the_same_move_under_another_header_is_refused() -> None:
    changed = sign_header(SOURCE, msgspec.structs.replace(make_header(), agent_id="somebody-else"))
    with pytest.raises(MisdirectedFrameError, match="another header"):
        verify_trailer(TRAILER, changed, payload_size=1000, payload_digest=DIGEST)


def test_another_signer_is_refused() -> None:
    other = sign_trailer(HostKey.generate(), HEADER, payload_size=1000, payload_digest=DIGEST).encode()
    with pytest.raises(MisdirectedFrameError, match="not signed by the key"):
        verify_trailer(other, HEADER, payload_size=1000, payload_digest=DIGEST)


def test_a_header_is_no_trailer() -> None:
    with pytest.raises(FrameError):
        verify_trailer(HEADER.encode(), HEADER, payload_size=1000, payload_digest=DIGEST)


@given(st.binary(min_size=1, max_size=300))
def test_a_signed_body_of_another_shape_is_refused(body: bytes) -> None:
    frame = seal_frame(SOURCE, TRAILER_LABEL, body).encode()
    with pytest.raises(MalformedFrameError):
        verify_trailer(frame, HEADER, payload_size=1000, payload_digest=DIGEST)
