"""The frames between a host and its child: a length of four bytes (big endian), then one MessagePack value.

Descriptors travel beside them (SCM_RIGHTS, unix(7)), attached to a byte of the frame that speaks of them.
What belongs to the paglet (messages, replies, events, states as JSON) passes as text inside; nothing is
pickled but a state, and only children open those.
"""

from __future__ import annotations

from typing import Any

import msgspec

from paglets.persistence.records import HookKind
from paglets.runtime.child_specs import (
    AdmitSpec,
    Admitted,
    CallThread,
    ClassFacts,
    Departure,
    Limits,
    Message,
)

MAX_FRAME = 16 * 1024 * 1024
"""Bytes after the length."""
HEADER = 4


class FrameError(Exception):
    """What came is no frame, or one over its bound; the link cannot go on."""


class PayloadHead(msgspec.Struct, frozen=True, array_like=True):
    """A payload in a frame: its bytes, or (None) a descriptor beside the frame, with that many bytes."""

    data: bytes | None
    size: int


# --- host to child ---------------------------------------------------------------------------------------


class Prepare(msgspec.Struct, frozen=True, tag="prepare", array_like=True):
    """The first frame: apply the limits, and import the classes of this paglet. Not answered: ``Admit`` follows."""

    spec: AdmitSpec
    size: int
    """Bytes of the state that will come with it; 0: the spec has it."""


class Admit(msgspec.Struct, frozen=True, tag="admit", array_like=True):
    """Bring to life what was prepared. Answered by ``AdmittedAnswer``, or by ``Answer`` with an error."""

    seq: int
    state: PayloadHead | None
    gives_state: bool = False
    """Give back the state that it begins with."""


class Inspect(msgspec.Struct, frozen=True, tag="inspect", array_like=True):
    """The first and only frame: this state as JSON text, no class needed. Answered by ``StateText``."""

    seq: int
    limits: Limits
    state: PayloadHead


class Describe(msgspec.Struct, frozen=True, tag="describe", array_like=True):
    """The first and only frame: import that class and say what it is. Answered by ``Described``."""

    seq: int
    spec: AdmitSpec


class RunHook(msgspec.Struct, frozen=True, tag="hook", array_like=True):
    """Run an arriving hook."""

    seq: int
    kind: HookKind
    event: dict[str, Any]
    init: bytes


class StartRun(msgspec.Struct, frozen=True, tag="run", array_like=True):
    """Start ``run()``; answered by ``RunEnded`` some day."""


class Deliver(msgspec.Struct, frozen=True, tag="deliver", array_like=True):
    """Handle a message. Answered by ``Answer`` or ``Handled``, with the reply as JSON text."""

    seq: int
    message: Message


class Recall(msgspec.Struct, frozen=True, tag="recall", array_like=True):
    """Give back the messages that are not begun with: each is answered by ``Returned``, then this by ``Answer``."""

    seq: int


class Depart(msgspec.Struct, frozen=True, tag="depart", array_like=True):
    """Take a snapshot. Answered by ``SnapshotTaken``, or by ``Answer`` with an error."""

    seq: int
    departure: Departure


class Resume(msgspec.Struct, frozen=True, tag="resume", array_like=True):
    """The departure is off."""

    seq: int
    event: dict[str, Any] | None


class Cloned(msgspec.Struct, frozen=True, tag="cloned", array_like=True):
    """The clone lives: run ``on_cloned``."""

    seq: int
    event: dict[str, Any]


class Finish(msgspec.Struct, frozen=True, tag="finish", array_like=True):
    """Exit as soon as the handler and ``run()`` have returned."""


class ReadState(msgspec.Struct, frozen=True, tag="state", array_like=True):
    """The state as JSON text, now."""

    seq: int


class Wake(msgspec.Struct, frozen=True, tag="wake", array_like=True):
    """Wake one of those in ``wait_message``, or all."""

    everyone: bool


class Place(msgspec.Struct, frozen=True, tag="place", array_like=True):
    """The host's name and address have changed."""

    host_name: str
    host_address: str


class CallResult(msgspec.Struct, frozen=True, tag="result", array_like=True):
    """The answer to a ``MakeCall``: JSON text, or an error report."""

    id: int
    result: bytes = b""
    error: dict[str, Any] | None = None
    moved_to: str = ""
    """Where the paglet that answered is now, when a forward was followed."""


# --- child to host ---------------------------------------------------------------------------------------


class Answer(msgspec.Struct, frozen=True, tag="answer", array_like=True):
    """The end of a request: JSON text, or an error report."""

    seq: int
    result: bytes = b""
    error: dict[str, Any] | None = None


class Handled(msgspec.Struct, frozen=True, tag="handled", array_like=True):
    """The end of a ``Deliver`` whose effect is to be durable before anybody hears of it: with the state after it."""

    seq: int
    result: bytes
    error: dict[str, Any] | None
    state: PayloadHead


class Returned(msgspec.Struct, frozen=True, tag="returned", array_like=True):
    """The message was not handled: it was recalled, or the paglet had packed when its turn came."""

    seq: int


class AdmittedAnswer(msgspec.Struct, frozen=True, tag="admitted", array_like=True):
    """The paglet can run."""

    seq: int
    admitted: Admitted
    state: PayloadHead | None = None
    """The state that it begins with, if that was asked for."""


class Described(msgspec.Struct, frozen=True, tag="described", array_like=True):
    """What a class says of itself."""

    seq: int
    facts: ClassFacts


class SnapshotTaken(msgspec.Struct, frozen=True, tag="snapshot", array_like=True):
    """The paglet has packed."""

    seq: int
    state: PayloadHead | None
    policy: dict[str, Any]


class StateText(msgspec.Struct, frozen=True, tag="state-text", array_like=True):
    """The state as JSON text."""

    seq: int
    text: PayloadHead


class MakeCall(msgspec.Struct, frozen=True, tag="call", array_like=True):
    """Run an operation of the host API for the paglet."""

    id: int
    host_url: str
    method: str
    params: bytes
    thread: CallThread
    timeout: float | None
    with_descriptor: bool = False
    """A descriptor travels beside the frame: an open file that the operation reads or writes."""


class RunEnded(msgspec.Struct, frozen=True, tag="run-ended", array_like=True):
    """``run()`` has returned, or raised."""

    error: dict[str, Any] | None


HostFrame = (
    Prepare
    | Admit
    | Inspect
    | Describe
    | RunHook
    | StartRun
    | Deliver
    | Recall
    | Depart
    | Resume
    | Cloned
    | Finish
    | ReadState
    | Wake
    | Place
    | CallResult
)
ChildFrame = (
    Answer | Handled | Returned | AdmittedAnswer | Described | SnapshotTaken | StateText | MakeCall | RunEnded
)

_encoder = msgspec.msgpack.Encoder()
_host_frames = msgspec.msgpack.Decoder(HostFrame)
_child_frames = msgspec.msgpack.Decoder(ChildFrame)


def encode_frame(frame: HostFrame | ChildFrame) -> bytes:
    """Length and body; ``FrameError`` when it is longer than a frame may be, or holds what is no text."""
    try:
        body = _encoder.encode(frame)
    except UnicodeEncodeError as error:  # half of a surrogate pair
        raise FrameError(f"{type(frame).__name__} with characters that are none: {error}") from None
    size = len(body)
    if size > MAX_FRAME:
        raise FrameError(
            f"{type(frame).__name__} of {size} bytes is longer than the {MAX_FRAME} a frame may have"
        )
    return size.to_bytes(HEADER, "big") + body


def decode_host_frame(body: bytes) -> HostFrame:
    """A frame that the host sent; ``FrameError`` for anything else."""
    try:
        return _host_frames.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise FrameError(f"no frame of a host: {error}") from error


def decode_child_frame(body: bytes) -> ChildFrame:
    """A frame that a child sent; ``FrameError`` for anything else."""
    try:
        return _child_frames.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise FrameError(f"no frame of a child: {error}") from error


class FrameSplitter:
    """Cuts a stream of bytes into frame bodies; holds at most one unfinished frame."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The bodies that are complete now; ``FrameError`` for a length that no frame has."""
        buffer = self._buffer
        if (
            not buffer
            and len(data) >= HEADER
            and len(data) == HEADER + int.from_bytes(data[:HEADER], "big") > HEADER
        ):
            return [data[HEADER:]]  # nearly always: one read, one frame
        buffer += data
        bodies: list[bytes] = []
        start = 0
        while len(buffer) - start >= HEADER:
            size = int.from_bytes(buffer[start : start + HEADER], "big")
            if not 0 < size <= MAX_FRAME:
                raise FrameError(f"a frame of {size} bytes; it may have 1 to {MAX_FRAME}")
            end = start + HEADER + size
            if len(buffer) < end:
                break
            bodies.append(bytes(buffer[start + HEADER : end]))
            start = end
        del buffer[:start]
        return bodies

    @property
    def partial(self) -> bool:
        """Whether the stream may not end here."""
        return bool(self._buffer)
