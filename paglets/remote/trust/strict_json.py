"""Signed JSON, to and from structs: one reading or none.

The reader refuses what lenient parsers pass over: unknown, doubled and missing fields, other types,
text that is not UTF-8, NaN and infinities, numbers and nesting out of bounds. A field of the struct that
has a default is still required: what is signed says all that it means.
"""

from __future__ import annotations

import json
import math
from typing import Any, TypeVar, cast

import msgspec

from paglets.remote.trust.errors import MalformedFrameError

_StructT = TypeVar("_StructT", bound=msgspec.Struct)

_MAX_DIGITS = 20
"""Longer integers are not even read: that costs the square of their length."""
_MAX_INTEGER = 2**63
_MAX_DEPTH = 16


def write_strict(value: msgspec.Struct) -> bytes:
    """The JSON text of a struct, in ASCII, every field in it; the same value gives the same bytes."""
    text = msgspec.json.encode(value)
    if text.isascii():
        return text
    return json.dumps(msgspec.to_builtins(value), separators=(",", ":")).encode("ascii")


def read_strict(data: bytes, kind: type[_StructT], *, what: str) -> _StructT:
    """The struct in a JSON text; ``what`` names it in the sentence of a ``MalformedFrameError``."""
    try:
        plain = _decoder.decode(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise MalformedFrameError(f"{what} is no JSON text of the strict kind: {_short(error)}") from error
    if not isinstance(plain, dict):
        raise MalformedFrameError(f"{what} is no JSON object")
    fields = cast("dict[str, Any]", plain)
    missing = [name for name in kind.__struct_fields__ if name not in fields]
    if missing:
        raise MalformedFrameError(f"{what} lacks the field {missing[0]!r}")
    unknown = [name for name in fields if name not in kind.__struct_fields__]
    if unknown:
        raise MalformedFrameError(f"{what} has a field {unknown[0][:40]!a} that does not belong there")
    try:
        # What opens so few brackets is not nested deeper, and a lone surrogate cannot be there without an escape.
        if data.count(b"{") + data.count(b"[") > _MAX_DEPTH or b"\\u" in data:
            _check_values(fields, _MAX_DEPTH)
        found = msgspec.convert(fields, kind, strict=True)
        # Structs in array form would let elements be missing or too many.
        exact = msgspec.to_builtins(found) == fields
    except (ValueError, msgspec.ValidationError) as error:
        raise MalformedFrameError(f"{what} does not hold what it must: {_short(error)}") from error
    if not exact:
        raise MalformedFrameError(f"{what} holds more or less than it must")
    return found


def _check_values(value: Any, depth: int) -> None:
    """Nested no deeper than that, and every text one that can be written again; ``ValueError``."""
    if depth < 0:
        raise ValueError("it is nested too deeply")
    if isinstance(value, str):
        value.encode("utf-8")  # lone surrogates, which JSON can spell, are a UnicodeEncodeError: a ValueError
    elif isinstance(value, dict):
        for key, item in cast("dict[str, Any]", value).items():
            key.encode("utf-8")
            _check_values(item, depth - 1)
    elif isinstance(value, list):
        for item in cast("list[Any]", value):
            _check_values(item, depth - 1)


def _no_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a field is there twice")
    return found


def _refuse_constant(text: str) -> Any:
    raise ValueError(f"{text} is no JSON number")


def _bounded_int(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        raise ValueError("a number is out of bounds")
    value = int(text)
    if not -_MAX_INTEGER <= value < _MAX_INTEGER:
        raise ValueError("a number is out of bounds")
    return value


def _finite_float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("a number is out of bounds")
    return value


def _short(error: Exception) -> str:
    """A sentence may quote hostile bytes: bounded, and nothing that a terminal would obey."""
    return ascii(str(error)[:200])[1:-1]


_decoder = json.JSONDecoder(
    object_pairs_hook=_no_doubles,
    parse_constant=_refuse_constant,
    parse_int=_bounded_int,
    parse_float=_finite_float,
)
