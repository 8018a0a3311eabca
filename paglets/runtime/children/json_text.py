"""JSON text from a child, checked before anybody splices it into a frame."""

from __future__ import annotations

from paglets.remote.wire.frames import one_json_value
from paglets.runtime.frames import FrameError


def check_json(text: bytes, what: str, *, is_object: bool = False) -> bytes:
    """The same bytes, if they are exactly one JSON value (an object); ``FrameError`` otherwise."""
    try:
        one_json_value(text)
    except ValueError as error:
        raise FrameError(f"{what} that is not one JSON value: {error}") from error
    if is_object and not text.startswith(b"{") and not text.lstrip(b" \t\r\n").startswith(b"{"):
        raise FrameError(f"{what} that is no JSON object")
    return text
