"""Bytes where only JSON may stand: ``{"__paglets_binary__": "bytes" | "bytearray", "base64": "..."}``."""

from __future__ import annotations

import base64
import binascii
from typing import Any, cast

from paglets.serialization.mismatch import MismatchError

BINARY_KEY = "__paglets_binary__"

_KINDS: dict[str, type[bytes | bytearray]] = {"bytes": bytes, "bytearray": bytearray}


def to_marker(value: bytes | bytearray) -> dict[str, str]:
    """The object that stands for the bytes."""
    return {BINARY_KEY: type(value).__name__, "base64": base64.b64encode(value).decode()}


def unmarked(value: Any) -> Any:
    """The bytes that a value stands for when it is such an object; else the value itself."""
    if type(value) is dict and BINARY_KEY in value:
        return from_marker(cast("dict[Any, Any]", value))
    return cast("Any", value)


def from_marker(fields: dict[Any, Any]) -> bytes | bytearray:
    """The bytes that an object with ``BINARY_KEY`` stands for; ``MismatchError`` when it stands for none."""
    name, text = fields.get(BINARY_KEY), fields.get("base64")
    kind = _KINDS.get(name) if isinstance(name, str) else None
    if kind is None or not isinstance(text, str) or len(fields) != 2:
        raise MismatchError(f"an object with {BINARY_KEY!r} stands for no bytes")
    try:
        return kind(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        raise MismatchError("the bytes are not in base64") from None
