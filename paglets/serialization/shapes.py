"""What an annotation says about a value: how it becomes plain, and how plain values become it again."""

from __future__ import annotations

import datetime as dt
import decimal
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum
from pathlib import PurePath
from typing import Any, TypeVar, cast

import msgspec

from paglets.serialization.binary import unmarked
from paglets.serialization.mismatch import MismatchError, expected
from paglets.serialization.plain import (
    LEAVES,
    duration_text,
    plain_dict,
    plain_list,
    shown,
    sorted_list,
    to_plain,
)

_Clock = TypeVar("_Clock", dt.datetime, dt.time)
_SHORT_ZONE = len("+00:00:00.000001")

Encode = Callable[[Any], Any]
Decode = Callable[[Any], Any]
NONE = type(None)


@dataclass(slots=True, eq=False)
class Shape:
    """One annotation, ready for use. ``encode`` and ``decode`` raise ``MismatchError`` on a misfit."""

    name: str
    """The annotation, for people."""
    encode: Encode
    decode: Decode
    kinds: frozenset[type[Any]]
    """Types of its wire form: what tells the members of a union apart."""
    accepts: Callable[[Any], bool]
    """Whether a value is of this shape, as far as a union has to know."""
    same: frozenset[type[Any]] = field(default_factory=frozenset[type[Any]])
    """Values of exactly these types are encoded and decoded as themselves."""
    by_field: bool = False
    """Whether it is that of a dataclass, so that its wire form can carry one key more."""


ANY = Shape(
    name="Any",
    encode=to_plain,
    decode=lambda value: value,
    kinds=frozenset({*LEAVES, bytearray, list, dict}),
    accepts=lambda _: True,
    same=LEAVES,
)


def plain_shape(kind: type[Any], same: Iterable[type[Any]] = ()) -> Shape:
    """Of ``None``, ``bool``, ``str``, ``bytes`` and ``bytearray``: subclasses lose their own type."""
    name = "None" if kind is NONE else kind.__name__

    def convert(value: Any) -> Any:
        if type(value) is kind and kind is not bytearray:
            return value
        if not isinstance(value, kind):
            raise expected(name, value)
        return to_plain(value.value if isinstance(value, Enum) else value)

    return Shape(
        name, convert, convert, frozenset({kind}), lambda value: isinstance(value, kind), frozenset(same)
    )


def _decode_bytes(kind: type[Any]) -> Shape:
    shape = plain_shape(kind)

    def decode(value: Any) -> Any:
        value = unmarked(value)  # it may be from JSON that nobody has looked through
        if not isinstance(value, (bytes, bytearray)):
            raise expected(kind.__name__, value)
        return value if type(value) is kind else kind(value)

    shape.decode = decode
    if kind is bytes:
        shape.same = frozenset({bytes})
    return shape


def _int(value: Any) -> Any:
    if not isinstance(value, int):
        raise expected("int", value)
    return to_plain(value.value if isinstance(value, Enum) else value)


def _float(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise expected("float", value)
    try:
        return float(value)
    except OverflowError:  # an integer beyond every float, which the annotation allows all the same
        return int(value)


NULL = plain_shape(NONE, [NONE])
BOOL = plain_shape(bool, [bool])
STR = plain_shape(str, [str])
BYTES = _decode_bytes(bytes)
BYTEARRAY = _decode_bytes(bytearray)
INT = Shape(
    "int", _int, _int, frozenset({int, bool}), lambda value: isinstance(value, int), frozenset({int, bool})
)
FLOAT = Shape(
    "float",
    _float,
    _float,
    frozenset({float, int}),
    lambda value: isinstance(value, (float, int)) and not isinstance(value, bool),
    frozenset({float}),
)


def text_shape(
    kind: type[Any], encode: Callable[[Any], str], decode: Callable[[str], Any], *, exact: bool = False
) -> Shape:
    """Of a type whose wire form is its text."""

    def accepts(value: Any) -> bool:
        return type(value) is kind if exact else isinstance(value, kind)

    def to_text(value: Any) -> str:
        if not accepts(value):
            raise expected(kind.__name__, value)
        return encode(value)

    def from_text(value: Any) -> Any:
        if not isinstance(value, str):
            raise expected(f"the text of a {kind.__name__}", value)
        try:
            return decode(value)
        except (ValueError, ArithmeticError, msgspec.ValidationError):
            raise MismatchError(f"{shown(value)} is no {kind.__name__}") from None

    return Shape(kind.__name__, to_text, from_text, frozenset({str}), accepts)


def scalar_shape(kind: type[Any]) -> Shape | None:
    """Of a class of the standard library that stands for one value; None when it is none of those."""
    if kind in _SCALARS:
        return _SCALARS[kind]
    if issubclass(kind, PurePath):
        return text_shape(kind, str, kind)
    if issubclass(kind, Enum):
        return enum_shape(kind)
    return None


def enum_shape(kind: type[Enum]) -> Shape:
    """Of an enum: its members' values."""
    members = [(to_plain(member.value), member) for member in kind.__members__.values()]

    def encode(value: Any) -> Any:
        if not isinstance(value, kind):
            raise expected(f"a member of {kind.__name__}", value)
        return to_plain(value.value)

    def decode(value: Any) -> Any:
        try:
            return kind(value)
        except (ValueError, TypeError):  # values such as tuples look different on the wire
            for plain, member in members:
                if type(plain) is type(value) and plain == value:
                    return member
        allowed = ", ".join(shown(plain) for plain, _ in members)
        raise MismatchError(f"{_typed(value)} is no value of {kind.__name__}; it has {allowed}")

    return Shape(kind.__name__, encode, decode, _types(members), lambda value: isinstance(value, kind))


def literal_shape(values: tuple[Any, ...]) -> Shape:
    """Of ``Literal[...]``."""
    plains = [(to_plain(value), value) for value in values]
    name = f"Literal[{', '.join(map(repr, values))}]"

    def encode(value: Any) -> Any:
        for plain, member in plains:
            if type(value) is type(member) and value == member:
                return plain
        raise MismatchError(f"{_typed(value)} is not one of {name}")

    def decode(value: Any) -> Any:
        for plain, member in plains:
            if type(plain) is type(value) and plain == value:
                return member
        raise MismatchError(f"{_typed(value)} is not one of {name}")

    def accepts(value: Any) -> bool:
        return any(type(value) is type(member) and value == member for member in values)

    return Shape(name, encode, decode, _types(plains), accepts)


def _typed(value: object) -> str:
    return f"{shown(value)} ({type(value).__name__})"


def _types(plains: list[tuple[Any, Any]]) -> frozenset[type[Any]]:
    kinds: set[type[Any]] = {type(plain) for plain, _ in plains}
    return frozenset(kinds or {int})


def _clock_from_text(kind: type[_Clock]) -> Callable[[str], _Clock]:
    """``fromisoformat`` with every zone: Python takes one that is less than a second away from UTC for UTC."""

    def read(text: str) -> _Clock:
        value = kind.fromisoformat(text)
        zone, fraction = text[-_SHORT_ZONE:-6], text[-6:]
        if value.tzinfo is dt.UTC and zone in {"+00:00:00.", "-00:00:00."} and fraction.strip("0"):
            return value.replace(tzinfo=dt.timezone(dt.timedelta(microseconds=int(zone[0] + fraction))))
        return value

    return read


_SCALARS: dict[type[Any], Shape] = {
    NONE: NULL,
    bool: BOOL,
    int: INT,
    float: FLOAT,
    str: STR,
    bytes: BYTES,
    bytearray: BYTEARRAY,
    dt.datetime: text_shape(dt.datetime, dt.datetime.isoformat, _clock_from_text(dt.datetime)),
    # A datetime is a date to Python, but its time would be lost.
    dt.date: text_shape(dt.date, dt.date.isoformat, dt.date.fromisoformat, exact=True),
    dt.time: text_shape(dt.time, dt.time.isoformat, _clock_from_text(dt.time)),
    dt.timedelta: text_shape(dt.timedelta, duration_text, lambda text: msgspec.convert(text, dt.timedelta)),
    uuid.UUID: text_shape(uuid.UUID, str, uuid.UUID),
    decimal.Decimal: text_shape(decimal.Decimal, str, decimal.Decimal),
}


# --- containers ------------------------------------------------------------------------------------------


def list_shape(name: str, item: Shape, kind: type[Any], make: Callable[[list[Any]], Any]) -> Shape:
    """Of a sequence or set of one kind of item; ``make`` builds it from a list."""
    ordered = not issubclass(kind, (set, frozenset))

    def encode(value: Any) -> list[Any]:
        if not isinstance(value, kind):
            raise expected(name, value)
        plain = list(value) if item.same.issuperset(map(type, value)) else plain_list(value, item.encode)
        return plain if ordered else sorted_list(plain)

    def decode(value: Any) -> Any:
        try:
            if item.same.issuperset(map(type, _items(name, value))):
                return make(list(value))
            return make(plain_list(value, item.decode))
        except TypeError as error:  # an unhashable item of a set
            raise MismatchError(str(error)) from None

    return Shape(name, encode, decode, frozenset({list}), lambda value: isinstance(value, kind))


def tuple_shape(name: str, items: list[Shape], kind: type[Any] = tuple) -> Shape:
    """Of a tuple with an annotation for each item; ``kind`` is ``tuple`` or a named tuple."""

    def make(values: list[Any]) -> Any:
        return tuple(values) if kind is tuple else kind(*values)

    def each(value: Any, steps: list[Callable[[Any], Any]]) -> list[Any]:
        if len(value) != len(items):
            raise MismatchError(f"expected {name} with {len(items)} items, got {len(value)}")
        return plain_list(zip(steps, value, strict=True), lambda pair: pair[0](pair[1]))

    def encode(value: Any) -> list[Any]:
        if not isinstance(value, kind):
            raise expected(name, value)
        return each(value, [item.encode for item in items])

    def decode(value: Any) -> Any:
        return make(each(_items(name, value), [item.decode for item in items]))

    return Shape(name, encode, decode, frozenset({list}), lambda value: isinstance(value, kind))


def dict_shape(name: str, key: Shape, item: Shape, kind: type[Any], make: Callable[[Any], Any]) -> Shape:
    """Of a mapping; ``make`` builds it from a dict. Keys that JSON made strings become themselves again."""
    decode_key = key.decode if str in key.kinds else _key_from_json(key)

    def encode(value: Any) -> dict[Any, Any]:
        if not isinstance(value, kind):
            raise expected(name, value)
        if key.same.issuperset(map(type, value)) and item.same.issuperset(map(type, value.values())):
            return dict(value)
        return plain_dict(value, key.encode, item.encode)

    def decode(value: Any) -> Any:
        entries = _entries(name, value)
        if key.same.issuperset(map(type, entries)) and item.same.issuperset(map(type, entries.values())):
            return make(dict(entries))
        result: dict[Any, Any] = {}
        for each, part in entries.items():
            try:
                result[decode_key(each)] = item.decode(part)
            except MismatchError as mismatch:
                raise mismatch.at(f"[{shown(each)}]") from None
        return make(result)

    return Shape(name, encode, decode, frozenset({dict}), lambda value: isinstance(value, kind))


def _items(name: str, value: Any) -> Any:
    if not isinstance(value, (list, tuple)):
        raise expected(name, value)
    return cast("Any", value)


def _entries(name: str, value: Any) -> dict[Any, Any]:
    if not isinstance(value, dict):
        raise expected(name, value)
    return cast("dict[Any, Any]", value)


def _key_from_json(key: Shape) -> Decode:
    def decode(value: Any) -> Any:
        if type(value) is str:
            try:
                value = msgspec.json.decode(value)
            except msgspec.DecodeError:
                raise expected(key.name, value) from None
        return key.decode(value)

    return decode
