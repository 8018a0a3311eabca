"""Frames and payloads: accepted, or refused with the documented error, however they are cut."""

from __future__ import annotations

import os
import socket
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paglets.runtime.child_specs import CallThread, Message
from paglets.runtime.children.json_text import check_json
from paglets.runtime.frames import (
    MAX_FRAME,
    Answer,
    Deliver,
    FrameError,
    FrameSplitter,
    MakeCall,
    PayloadHead,
    SnapshotTaken,
    decode_child_frame,
    decode_host_frame,
    encode_frame,
)
from paglets.runtime.memory_files import INLINE_LIMIT, Payload, PayloadWriter

FRAMES = [
    Answer(1, b'{"a": 1}'),
    Answer(2, error={"type": "HostError", "message": "no", "notes": [], "data": {}}),
    MakeCall(3, "https://h:1", "message.send", b"{}", CallThread.RUN, 1.5),
    SnapshotTaken(4, PayloadHead(None, 70), {}),
    SnapshotTaken(5, None, {"activate_at": None}),
]


@given(st.lists(st.sampled_from(FRAMES), max_size=8), st.data())
def test_a_stream_is_cut_into_its_frames_wherever_it_was_broken(
    frames: list[Answer], data: st.DataObject
) -> None:
    stream = b"".join(encode_frame(frame) for frame in frames)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    splitter = FrameSplitter()
    bodies: list[bytes] = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        bodies += splitter.feed(stream[start:end])
    assert [decode_child_frame(body) for body in bodies] == frames
    assert not splitter.partial


@given(st.lists(st.binary(max_size=40), max_size=10))
def test_garbage_is_a_frame_error_or_nothing_yet(pieces: list[bytes]) -> None:
    splitter = FrameSplitter()
    with suppress(FrameError):
        for piece in pieces:
            for body in splitter.feed(piece):
                decode_child_frame(body)


@given(st.binary(max_size=200))
def test_any_bytes_decode_or_are_refused(body: bytes) -> None:
    for decode in (decode_child_frame, decode_host_frame):
        with suppress(FrameError):
            decode(body)


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(FrameError):
        decode_child_frame(b"\x93\xa9run-ended" + b"\x91" * 100_000)


def test_a_frame_has_a_bound() -> None:
    with pytest.raises(FrameError, match="longer than"):
        encode_frame(Deliver(1, Message(kind="k", message_id="m", body=b"x" * MAX_FRAME)))


@pytest.mark.parametrize("text", [b"{}", b' {"a": [1, "\xc3\xbc"]} ', b"1", b"null"])
def test_json_passes(text: bytes) -> None:
    assert check_json(text, "a reply") is text


@pytest.mark.parametrize(
    "text",
    [b"", b" ", b"{} {}", b'{}, "to": "victim"', b"NaN", b'"\xff"', b"[1,]", b'{"a": }', b"[" * 100_000],
)
def test_what_is_not_one_json_value_is_refused(text: bytes) -> None:
    with pytest.raises(FrameError, match="a reply that is not one JSON value"):
        check_json(text, "a reply")


@given(st.integers(0, 40), st.sampled_from([0, 1, INLINE_LIMIT - 1, INLINE_LIMIT, INLINE_LIMIT + 1, 700_001]))
def test_a_payload_gives_back_what_was_written(pieces: int, size: int) -> None:
    data = os.urandom(1024) * (size // 1024) + b"y" * (size % 1024)
    with PayloadWriter() as writer:
        step = size // (pieces + 1) + 1
        for start in range(0, size, step):
            writer.write(data[start : start + step])
        payload = writer.finish()
    with payload, payload.duplicate() as twin:
        assert payload.size == twin.size == size
        assert (payload.data is None) is (size > INLINE_LIMIT)
        assert payload.read() == twin.read() == data
        assert payload.pread(10, 5) == data[5:15]
        with payload.open() as file:
            assert file.read() == data


def test_a_finished_payload_cannot_be_changed() -> None:
    with Payload.of(b"x" * (INLINE_LIMIT + 1)) as payload:
        with pytest.raises(PermissionError):
            os.write(payload.fileno(), b"y")
        with pytest.raises(PermissionError):
            os.ftruncate(payload.fileno(), 1)


def test_a_received_descriptor_is_checked() -> None:
    with Payload.of(b"x" * 300_000) as payload:
        good = Payload.received(os.dup(payload.fileno()), 300_000)
        assert good.read() == payload.read()
        good.close()
        with pytest.raises(ValueError, match="announced with 5"):
            Payload.received(os.dup(payload.fileno()), 5)
    a, b = socket.socketpair()
    with a, b, tempfile.TemporaryFile() as file, Path("/dev/zero").open("rb") as zero:
        for other in (a, file, zero):
            descriptor = os.dup(other.fileno())
            with pytest.raises(ValueError, match="no sealed memory file"):
                Payload.received(descriptor, 0)
            with pytest.raises(OSError):
                os.fstat(descriptor)
    unsealed = os.memfd_create("x", os.MFD_ALLOW_SEALING)
    with pytest.raises(ValueError, match="no sealed memory file"):
        Payload.received(unsealed, 0)
