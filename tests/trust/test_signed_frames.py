from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paglets.core.errors import AuthenticationError
from paglets.remote.trust.errors import BadSignatureError, FrameError, MalformedFrameError
from paglets.remote.trust.keys import HostKey
from paglets.remote.trust.signed_frames import FRAME_OVERHEAD, open_frame, seal_frame

KEY = HostKey.generate()
LABEL = b"paglets-test-v1\0"
FRAME = seal_frame(KEY, LABEL, b'{"a":1}').encode()


@given(st.binary(min_size=1, max_size=500))
def test_a_body_comes_back_as_it_was_signed(body: bytes) -> None:
    sealed = seal_frame(KEY, LABEL, body)
    opened = open_frame(sealed.encode(), LABEL, max_body=500)
    assert opened == sealed
    assert opened.body == body
    assert opened.signer_id == KEY.host_id
    assert len(sealed.encode()) == len(body) + FRAME_OVERHEAD


def test_a_frame_is_json_that_anybody_can_read() -> None:
    read = json.loads(FRAME)
    assert read["body"] == {"a": 1}
    assert read["signer"] == KEY.public_bytes.hex()
    assert open_frame(FRAME.decode(), LABEL, max_body=100) == open_frame(FRAME, LABEL, max_body=100)


def test_every_changed_bit_is_noticed() -> None:
    for bit in range(8 * len(FRAME)):
        changed = bytearray(FRAME)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(FrameError):
            open_frame(bytes(changed), LABEL, max_body=100)


def test_every_cut_and_every_extra_byte_is_noticed() -> None:
    for cut in range(len(FRAME)):
        for changed in (
            FRAME[:cut],
            FRAME[cut + 1 :],
            FRAME[:cut] + b" " + FRAME[cut:],
            FRAME[:cut] + FRAME[cut + 1 :],
        ):
            with pytest.raises(FrameError):
                open_frame(changed, LABEL, max_body=1000)
    for changed in (FRAME + b"\n", FRAME + FRAME, FRAME.upper()):
        with pytest.raises(FrameError):
            open_frame(changed, LABEL, max_body=1000)


@given(st.one_of(st.binary(max_size=600), st.text(max_size=600)))
def test_garbage_is_refused_with_the_documented_error(data: bytes | str) -> None:
    with pytest.raises(FrameError):
        open_frame(data, LABEL, max_body=400)


def test_lone_surrogates_are_refused() -> None:
    with pytest.raises(MalformedFrameError):
        open_frame(FRAME.decode()[:-1] + "\ud800}", LABEL, max_body=400)


def test_a_frame_for_one_purpose_is_none_for_another() -> None:
    with pytest.raises(BadSignatureError):
        open_frame(FRAME, b"paglets-other-v1\0", max_body=100)


def test_another_signer_put_in_is_noticed() -> None:
    other = HostKey.generate()
    with pytest.raises(BadSignatureError):
        open_frame(
            FRAME.replace(KEY.public_bytes.hex().encode(), other.public_bytes.hex().encode()),
            LABEL,
            max_body=99,
        )


def test_a_body_over_its_bound_is_refused_before_anything_else() -> None:
    with pytest.raises(MalformedFrameError, match="bound"):
        open_frame(FRAME, LABEL, max_body=6)
    with pytest.raises(MalformedFrameError, match="bound"):
        open_frame(b"x" * 10_000_000, LABEL, max_body=100)
    assert issubclass(FrameError, AuthenticationError)
