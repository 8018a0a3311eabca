"""Any value as plain values, where no annotation says what it is.

Plain values are ``None``, ``bool``, ``int``, ``float``, ``str``, ``bytes``, ``bytearray``, and ``list`` and
``dict`` of them, all of exactly these types; keys of a dict are any of the first six.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import decimal
import math
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import PurePath
from typing import Any

import msgspec

from paglets.serialization.mismatch import MismatchError, expected
from paglets.serialization.trees import CONTAINERS, levels

LEAVES = frozenset({str, int, float, bool, type(None), bytes})
"""Immutable plain values, which are their own wire form."""
_TREE = LEAVES | CONTAINERS


def to_plain(value: Any) -> Any:
    """Plain values that say the same; a fresh copy of everything that can change.

    Sets become sorted lists, tuples lists, enums their values, paths strings; datetimes, UUIDs and decimals
    their standard text; dataclasses dicts of their fields; whatever has a ``to_wire`` method what that
    returns. Raises ``MismatchError`` for anything else, ``RecursionError`` for what holds itself.
    """
    if type(value) in LEAVES:
        return value
    if type(value) in CONTAINERS:
        copy = _plain_copy(value)
        if copy is not None:
            return copy
    return _walk(value)


def _plain_copy(value: Any) -> Any:
    """A deep copy of a tree that is plain already, at C speed; None when it is not."""
    try:
        copy = msgspec.to_builtins(value, builtin_types=(bytes,))
    except (TypeError, ValueError):
        return None
    # Copying first has shown that the tree is finite. It does not tell what it converted on the way, so the
    # types are looked at here, one level of the whole tree after the other.
    return copy if all(level.kinds <= _TREE for level in levels(value)) else None


def _walk(value: Any) -> Any:
    if type(value) in LEAVES:
        return value
    is_class = isinstance(value, type)
    if not is_class and callable(getattr(value, "to_wire", None)):
        return _walk(value.to_wire())
    for kind, encode in _BY_TYPE:
        if isinstance(value, kind):
            return encode(value)
    if not is_class and is_dataclass(value):
        return {each.name: _walk_at(getattr(value, each.name), each.name) for each in fields(value)}
    raise MismatchError(f"a value of type {type(value).__qualname__} cannot be turned into data")


def _walk_at(value: Any, field: str) -> Any:
    try:
        return _walk(value)
    except MismatchError as mismatch:
        raise mismatch.at(f".{field}") from None


def plain_list(items: Iterable[Any], encode: Callable[[Any], Any]) -> list[Any]:
    """The items encoded, as a list."""
    result: list[Any] = []
    try:
        result.extend(map(encode, items))
    except MismatchError as mismatch:
        raise mismatch.at(f"[{len(result)}]") from None
    return result


def plain_dict(
    items: Mapping[Any, Any], encode_key: Callable[[Any], Any], encode: Callable[[Any], Any]
) -> dict[Any, Any]:
    """Keys and values encoded, in their order; keys have to stay keys, and different."""
    result: dict[Any, Any] = {}
    for key, value in items.items():
        try:
            plain_key = encode_key(key)
            if type(plain_key) not in LEAVES:
                raise expected("a key that is a single value", key)
            result[plain_key] = encode(value)
        except MismatchError as mismatch:
            raise mismatch.at(f"[{shown(key)}]") from None
    if len(result) != len(items):
        raise MismatchError("two keys become the same on the wire")
    return result


def sorted_list(items: list[Any]) -> list[Any]:
    """Plain values in an order that depends on them alone, not on how they were hashed."""
    if not any(type(item) is float and math.isnan(item) for item in items):
        with contextlib.suppress(TypeError):  # of types that have no order among them
            return sorted(items)
    return sorted(items, key=lambda item: (type(item).__name__, repr(item)))


def duration_text(value: dt.timedelta) -> str:
    """ISO 8601 duration, exact to the microsecond."""
    return msgspec.to_builtins(value)


def shown(key: object) -> str:
    """A key, short enough to be part of a path."""
    text = repr(key)
    return text if len(text) <= 60 else f"{text[:57]}..."


_BY_TYPE: tuple[tuple[type[Any] | tuple[type[Any], ...], Callable[[Any], Any]], ...] = (
    (Enum, lambda value: _walk(value.value)),
    (Mapping, lambda value: plain_dict(value, _walk, _walk)),
    ((list, tuple, deque), lambda value: plain_list(value, _walk)),
    (AbstractSet, lambda value: sorted_list(plain_list(value, _walk))),
    # Subclasses of plain types lose their own type: only annotations bring types back.
    (str, str.__str__),
    (bool, bool),
    (int, int.__int__),
    (float, float.__float__),
    (bytes, bytes),
    (bytearray, bytearray),
    (PurePath, str),
    ((dt.datetime, dt.date, dt.time), lambda value: value.isoformat()),
    (dt.timedelta, duration_text),
    ((uuid.UUID, decimal.Decimal), str),
    (
        msgspec.Struct,
        lambda value: {name: _walk_at(getattr(value, name), name) for name in value.__struct_fields__},
    ),
)
