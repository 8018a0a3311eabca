"""What a paglet's passport is made of: for each time that a host took it in, what both sides have signed.

A passport is bounded, so that a move costs no more the further a paglet has come: the oldest stops go first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec

from paglets.remote.trust.errors import MalformedFrameError

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_STOPS = 16
MAX_PASSPORT_BYTES = 32 * 1024
"""Of all frames of a passport together."""


Frame = Annotated[str, msgspec.Meta(pattern=r"\A[ -~]*\Z", max_length=MAX_PASSPORT_BYTES)]
"""A signed frame as text. All of ours are printable ASCII; one that is not is not kept, as others would refuse it."""


class Stop(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One move that arrived, as two signed frames."""

    header: Frame
    """The source's: the envelope's header as it was sent; empty when it was too large to be kept."""
    receipt: Frame
    """The target's: its verdict ARRIVED."""

    @property
    def size(self) -> int:
        """In bytes."""
        return len(self.header) + len(self.receipt)


def add_stop(stops: Sequence[Stop], header: bytes, receipt: bytes) -> tuple[Stop, ...]:
    """The passport with one more stop at its end, and without the oldest that are over its bounds."""
    signed_by_target = _text(receipt)
    newest = Stop(header=_text(header), receipt=signed_by_target)
    if newest.size > MAX_PASSPORT_BYTES:
        newest = Stop(header="", receipt=signed_by_target)
    kept, room = [newest], MAX_PASSPORT_BYTES - newest.size
    for stop in reversed(stops):
        room -= stop.size
        if room < 0 or len(kept) == MAX_STOPS:
            break
        kept.append(stop)
    return tuple(reversed(kept))


def _text(frame: bytes) -> str:
    text = frame.decode("ascii", "replace")
    return text if text.isascii() and text.isprintable() else ""


def encode_stops(stops: Sequence[Stop]) -> bytes:
    """The passport as it is stored."""
    return msgspec.json.encode(stops)


def decode_stops(data: bytes) -> tuple[Stop, ...]:
    """A stored passport; ``MalformedFrameError`` when it is none. Nothing in it is verified."""
    try:
        return msgspec.json.decode(data, type=tuple[Stop, ...])
    except msgspec.MsgspecError as error:
        raise MalformedFrameError(f"a stored passport cannot be read: {error}") from error
