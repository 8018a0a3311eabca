"""Large frames past the parser of `websockets`: whatever is sent, however it is cut, the same is received."""

from __future__ import annotations

import itertools
import platform
import struct
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.protocol import CLIENT, OPEN, SERVER, Protocol

from paglets.remote.wire.large_frames import LARGE, LargeFrames, large_frame

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX = 64 * 1024


class Ends:
    """What one side of a connection takes, by the short way and the long one."""

    def __init__(self, *, masked: bool) -> None:
        self.protocol = Protocol(SERVER if masked else CLIENT, state=OPEN, max_size=MAX)
        self.frames = LargeFrames(masked=masked, max_size=MAX)
        self.got: list[tuple[Opcode, bytes, bool]] = []
        self.short = 0
        self.flooded = False

    def take(self, data: bytes, cuts: Sequence[int]) -> None:
        """Give the bytes in pieces."""
        edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
        for begin, end in itertools.pairwise(edges):
            for at in range(begin, end, 200_000):
                piece = data[at : min(end, at + 200_000)]
                room = self.frames.room()
                room[: len(piece)] = piece
                self.flooded |= not self.frames.came(len(piece), self._other, self._large)

    def _other(self, data: bytes) -> None:
        self.protocol.receive_data(data)
        self.got += [
            (each.opcode, bytes(each.data), each.fin)
            for each in self.protocol.events_received()
            if isinstance(each, Frame)
        ]

    def _large(self, data: bytes) -> None:
        self.short += 1
        self.got.append((Opcode.BINARY, data, True))


def _payload(size: int, byte: int) -> bytes:
    return bytes([byte]) * size


sizes = st.sampled_from([0, 1, 125, 126, LARGE - 1, LARGE, LARGE + 1, MAX - 1, MAX])
payloads: st.SearchStrategy[bytes] = st.builds(_payload, sizes, st.integers(0, 255))
messages = st.tuples(st.sampled_from(["binary", "text", "ping", "pong", "fragments"]), payloads)


def _frames(kind: str, payload: bytes) -> list[Frame]:
    if kind == "fragments":
        half = len(payload) // 2
        return [
            Frame(Opcode.BINARY, payload[:half], fin=False),
            Frame(Opcode.PING, b"between"),
            Frame(Opcode.CONT, payload[half:]),
        ]
    if kind in {"ping", "pong"}:
        return [Frame(Opcode[kind.upper()], payload[:125])]
    return [Frame(Opcode[kind.upper()], payload)]


@settings(deadline=None, max_examples=60)
@given(
    masked=st.booleans(),
    sent=st.lists(messages, max_size=8),
    cuts=st.lists(st.integers(0, 2**31), max_size=12),
)
def test_what_is_sent_is_received_in_order(
    masked: bool, sent: list[tuple[str, bytes]], cuts: list[int]
) -> None:
    frames = [frame for kind, payload in sent for frame in _frames(kind, payload)]
    ends = Ends(masked=masked)
    ends.take(b"".join(frame.serialize(mask=masked) for frame in frames), cuts)
    assert ends.got == [(frame.opcode, bytes(frame.data), frame.fin) for frame in frames]
    assert ends.short == sum(kind == "binary" and len(payload) >= LARGE for kind, payload in sent)
    assert ends.protocol.state is OPEN


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("size", [LARGE, (1 << 16) - 1, 1 << 16, MAX])
def test_a_large_frame_is_one_of_websockets(masked: bool, size: int) -> None:
    payload = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    protocol = Protocol(SERVER if masked else CLIENT, state=OPEN, max_size=MAX)
    protocol.receive_data(b"".join(large_frame(memoryview(payload), masked=masked)))
    [event] = protocol.events_received()
    assert isinstance(event, Frame)
    assert (event.opcode, event.fin, bytes(event.data)) == (Opcode.BINARY, True, payload)


def _header(first: int, second: int, size: int) -> bytes:
    return struct.pack("!BBQ", first, second | 127, size)


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (_header(0x82, 0x00, LARGE), 1002),  # not masked
        (_header(0xC2, 0x80, LARGE), 1002),  # a reserved bit
        (_header(0x83, 0x80, LARGE), 1002),  # no such opcode
        (_header(0x89, 0x80, LARGE), 1002),  # a long ping
        (_header(0x80, 0x80, LARGE), 1002),  # the end of what was never begun
        (_header(0x82, 0x80, MAX + 1), 1009),  # too large
        (_header(0x82, 0x80, 2**63), 1009),
    ],
)
def test_what_is_wrong_is_for_websockets_to_refuse(header: bytes, code: int) -> None:
    ends = Ends(masked=True)
    ends.take(header + b"mask" + bytes(LARGE) + b"whatever follows", [3, 11, 700])
    assert ends.got == []
    assert ends.protocol.close_sent is not None
    assert ends.protocol.close_sent.code == code
    ends.take(bytes(3 * MAX) * 9, [])  # and nothing of what comes then is kept
    assert len(ends.frames.room()) > 3 * MAX


def test_a_flood_of_frames_is_cut_off_and_nothing_of_it_is_kept() -> None:
    """Each costs some microseconds of a loop on which others wait; six bytes bring one."""
    ends = Ends(masked=True)
    flood = b"".join(Frame(Opcode.BINARY, b"").serialize(mask=True) for _ in range(20_000))
    ends.take(flood[: 6 * 999], [])
    assert len(ends.got) == 999
    assert not ends.flooded
    ends.take(flood, [])
    assert ends.flooded
    assert len(ends.got) == 999 + 1000
    room = len(ends.frames.room())
    ends.take(flood, [3, 11, 700])
    assert len(ends.got) == 999 + 1000
    assert len(ends.frames.room()) == room


def test_a_large_frame_within_a_fragmented_message_is_refused() -> None:
    ends = Ends(masked=False)
    begun = Frame(Opcode.BINARY, b"begun", fin=False)
    ends.take(begun.serialize(mask=False) + Frame(Opcode.BINARY, bytes(LARGE)).serialize(mask=False), [])
    assert ends.short == 0
    assert ends.protocol.close_sent is not None
    assert ends.protocol.close_sent.code == 1002


FAULTS = """
import asyncio
import resource
from paglets.remote.wire.large_frames import LargeFrames, LargeFramesReading, large_frame

SIZE = 256 * 1024
kept = []

class Wire:
    large_received = staticmethod(kept.append)
    bytes_received = None

    def seen(self):
        pass

reading = LargeFramesReading(Wire(), LargeFrames(masked=False, max_size=SIZE), asyncio.Transport())
frame = b"".join(large_frame(bytes(SIZE), masked=False))
for turn in range(110):
    if turn == 10:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(6):
        reading.get_buffer(0)[: len(frame)] = frame
        reading.buffer_updated(len(frame))
    assert len(kept) == 6
    kept.clear()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a rule of glibc's")
def test_frames_get_the_memory_that_those_before_have_left() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True, timeout=60
    )
    assert int(done.stdout) < 5_000, "of 38 400 pages, six frames of 64 a hundred times"
