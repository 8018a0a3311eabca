"""Values of messages, events and views as JSON, and back.

Values become plain as states do (``paglets.serialization.plain``), then JSON. What JSON lacks:

- bytes appear as ``{"__paglets_binary__": "bytes" | "bytearray", "base64": "..."}``, and come back from it;
- NaN and the infinities are refused, by name;
- keys that are numbers, booleans or null become strings; a dataclass's annotations turn them back;
- text that is no Unicode (lone surrogates) is refused.
"""

from __future__ import annotations

import math
from itertools import chain
from typing import Any, cast

import msgspec

from paglets.core.errors import SerializationError
from paglets.serialization.binary import BINARY_KEY, from_marker, to_marker
from paglets.serialization.mismatch import MismatchError
from paglets.serialization.plain import shown, to_plain
from paglets.serialization.trees import levels

MAX_JSON_BYTES = 64 * 1024 * 1024
"""The longest JSON text that is written or read."""
MAX_DEPTH = 200
"""How deep values may nest. Less than any reader's recursion limit, however deep it stands itself."""

_JSON_TYPES = frozenset({str, int, float, bool, type(None), dict, list})
_KEY_TYPES = frozenset({str})
_SCALARS = frozenset({str, int, bool, type(None)})
_SMALL = 400
"""Bytes of JSON up to which a value is looked through part by part: then that is less work than all at once."""
_KEY_MARK = BINARY_KEY.encode()
_ESCAPE = b"\\u"
"""It may hide the key."""


def to_json(value: Any, *, for_people: bool = False, limit: int = MAX_JSON_BYTES) -> bytes:
    """JSON text of a value, UTF-8.

    With ``for_people`` NaN and the infinities become the strings ``"NaN"``, ``"Infinity"``, ``"-Infinity"``,
    which do not come back as numbers. ``limit``: the longest text that is written, in bytes. Raises
    ``SerializationError`` for what cannot be turned into data, is nested too deeply or too long.
    """
    try:
        raw = _encoded(value)
        if (
            raw is None
            or _KEY_MARK in raw
            or not (_is_plain(value) if len(raw) < _SMALL else _is_json(value))
        ):
            raw = msgspec.json.encode(_json_ready(to_plain(value), 0, for_people=for_people))
    except MismatchError as mismatch:
        raise mismatch.as_error("value") from None
    except RecursionError:
        raise SerializationError("value: nested too deeply, or holds itself") from None
    except UnicodeEncodeError as error:
        raise SerializationError(f"value: {shown(error.object)} is no valid text") from None
    except (TypeError, ValueError, OverflowError) as error:
        raise SerializationError(f"value: {error}") from error
    if len(raw) > limit:
        raise SerializationError(f"value: {len(raw)} bytes of JSON are more than {limit}")
    return raw


def from_json(raw: bytes | bytearray | memoryview | str, *, limit: int = MAX_JSON_BYTES) -> Any:
    """The value of exactly one JSON text; ``SerializationError`` when it is none, or too long or deep."""
    if len(raw) > limit:
        raise SerializationError(f"{len(raw)} bytes of JSON are more than {limit}")
    try:
        data = raw.encode() if isinstance(raw, str) else raw
        value = msgspec.json.decode(data)
        text = bytes(data) if isinstance(data, memoryview) else data
        return _binary_again(value) if _KEY_MARK in text or _ESCAPE in text else value
    except RecursionError:
        raise SerializationError("this JSON is nested too deeply") from None
    except MismatchError as mismatch:
        raise mismatch.as_error("value") from None
    except (msgspec.DecodeError, ValueError, OverflowError) as error:
        raise SerializationError(f"this is no JSON value: {error}") from None


def _encoded(value: Any) -> bytes | None:
    """What msgspec makes of a value, which is right when ``_is_json`` says so; None when it refuses."""
    try:
        return msgspec.json.encode(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _is_plain(value: object) -> bool:
    """As ``_is_json``, for a value of which the JSON is short, so that it cannot be deep."""
    kind = type(value)
    if kind in _SCALARS:
        return True
    if kind is dict:
        for key, part in cast("dict[object, object]", value).items():
            if type(key) is not str or not (type(part) in _SCALARS or _is_plain(part)):
                return False
        return True
    if kind is list:
        return all(map(_is_plain, cast("list[object]", value)))
    return kind is float and math.isfinite(cast("float", value))


def _is_json(value: Any) -> bool:
    """Whether a finite value is in JSON's own terms, so that nothing about it has to be changed."""
    for depth, (parts, kinds, containers) in enumerate(levels(value)):
        if depth > MAX_DEPTH or not kinds <= _JSON_TYPES:
            return False
        if float in kinds and not all(map(math.isfinite, [part for part in parts if type(part) is float])):
            return False
        dicts = [cast("dict[object, object]", part) for part in containers if type(part) is dict]
        keys = chain.from_iterable(dicts)
        if not _KEY_TYPES.issuperset(map(type, keys)):
            return False
    return True


def _json_ready(value: Any, depth: int, *, for_people: bool) -> Any:
    if depth > MAX_DEPTH:
        raise MismatchError(f"nested more than {MAX_DEPTH} deep")
    if isinstance(value, (bytes, bytearray)):
        return to_marker(value)
    if isinstance(value, float) and not math.isfinite(value):
        if not for_people:
            raise MismatchError(
                f"{_number_name(value)} cannot be sent as JSON; send None or a string instead"
            )
        return _number_name(value)
    if isinstance(value, list):
        items = cast("list[Any]", value)
        return [_part(item, f"[{index}]", depth, for_people=for_people) for index, item in enumerate(items)]
    if isinstance(value, dict):
        return _json_object(cast("dict[Any, Any]", value), depth, for_people=for_people)
    return value


def _json_object(value: dict[Any, Any], depth: int, *, for_people: bool) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, item in value.items():
        name = key if isinstance(key, str) else _key(key)
        if name == BINARY_KEY:
            raise MismatchError(
                f"the key {BINARY_KEY!r} means bytes in JSON, and cannot be used for anything else"
            )
        if name in result:
            raise MismatchError(f"two keys become {name!r} in JSON")
        result[name] = _part(item, f"[{shown(key)}]", depth, for_people=for_people)
    return result


def _part(value: Any, where: str, depth: int, *, for_people: bool) -> Any:
    try:
        return _json_ready(value, depth + 1, for_people=for_people)
    except MismatchError as mismatch:
        raise mismatch.at(where) from None


def _key(key: Any) -> str:
    if isinstance(key, bytes) or (isinstance(key, float) and not math.isfinite(key)):
        raise MismatchError(f"{shown(key)} cannot be a key in JSON")
    return msgspec.json.encode(key).decode()


def _number_name(value: float) -> str:
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _binary_again(value: Any) -> Any:
    if isinstance(value, list):
        return [_binary_again(item) for item in cast("list[Any]", value)]
    if not isinstance(value, dict):
        return value
    fields = cast("dict[str, Any]", value)
    if BINARY_KEY not in fields:
        return {key: _binary_again(item) for key, item in fields.items()}
    return from_marker(fields)
