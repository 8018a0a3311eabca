"""Reads signed JSON into structs: one reading or none.

Refuses what lenient parsers pass over: unknown, doubled and missing fields at every level, other types,
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
"""No integer that is signed here has more; reading longer ones costs the square of their length."""


def read_strict(data: bytes, kind: type[_StructT], *, what: str) -> _StructT:
    """The struct in a JSON text; ``what`` names it in the sentence of a ``MalformedFrameError``."""
    try:
        plain = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_no_doubles,
            parse_constant=_refuse_constant,
            parse_int=_bounded_int,
            parse_float=_finite_float,
        )
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
        raise MalformedFrameError(f"{what} has a field {unknown[0][:40]!r} that does not belong there")
    try:
        return msgspec.convert(fields, kind, strict=True)
    except (msgspec.ValidationError, RecursionError) as error:
        raise MalformedFrameError(f"{what} does not hold what it must: {_short(error)}") from error


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
    return int(text)


def _finite_float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("a number is out of bounds")
    return value


def _short(error: Exception) -> str:
    return str(error)[:200]
