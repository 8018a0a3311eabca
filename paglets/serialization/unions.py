"""Unions: told apart by their wire form, or refused when that would be a guess."""

from __future__ import annotations

from typing import Any, cast

from paglets.core.errors import SerializationError
from paglets.serialization.binary import unmarked
from paglets.serialization.mismatch import MismatchError, expected
from paglets.serialization.shapes import FLOAT, INT, Shape

TAG = "__paglets_class__"
"""Where a union holds several dataclasses, their wire form says under this key which one it is."""


def union_shape(members: list[Shape]) -> Shape:
    """Of a union.

    Raises ``SerializationError`` when two members look the same on the wire. Several dataclasses are told
    apart by a tag.
    """
    name = " | ".join(member.name for member in members)
    by_field = [member for member in members if member.by_field]
    if len(by_field) > 1:
        members = [*(each for each in members if not each.by_field), _tagged_shape(name, by_field)]
    by_kind = _by_kind(name, members)
    # An int is a float to annotations, but shall stay what it is where both are allowed.
    members = sorted(members, key=lambda member: member is FLOAT)

    def encode(value: Any) -> Any:
        for member in members:
            if member.accepts(value):
                return member.encode(value)
        raise expected(name, value)

    def decode(value: Any) -> Any:
        value = unmarked(value)
        kind = cast("type[Any]", type(value))
        if kind not in by_kind:
            raise expected(name, value)
        return by_kind[kind].decode(value)

    def accepts(value: Any) -> bool:
        return any(member.accepts(value) for member in members)

    same = frozenset(kind for kind, member in by_kind.items() if kind in member.same)
    return Shape(name, encode, decode, frozenset(by_kind), accepts, same)


def _by_kind(name: str, members: list[Shape]) -> dict[type[Any], Shape]:
    """Which member a value on the wire is of, by its type."""
    by_kind: dict[type[Any], Shape] = {}
    for member in members:
        for kind in member.kinds:
            other = by_kind.setdefault(kind, member)
            if other is member or (kind in member.same and kind in other.same):
                continue
            if {id(member), id(other)} != {id(INT), id(FLOAT)}:
                raise SerializationError(
                    f"{other.name} and {member.name} look the same on the wire (both are {kind.__name__}), "
                    f"so {name} could not be rebuilt; annotate one of them only"
                )
            by_kind[kind] = INT
    return by_kind


def _tagged_shape(name: str, dataclasses: list[Shape]) -> Shape:
    by_tag = {each.name: each for each in dataclasses}
    if len(by_tag) != len(dataclasses):
        raise SerializationError(f"two classes of one name in {name} could not be told apart; rename one")

    def encode(value: Any) -> Any:
        # By its very class first: one member may be a subclass of another.
        exact = by_tag.get(value.__class__.__qualname__)
        member = exact or next(each for each in dataclasses if each.accepts(value))
        return {TAG: member.name, **member.encode(value)}

    def decode(value: Any) -> Any:
        tag = value.get(TAG)
        member = next((each for each in dataclasses if each.name == tag), None)
        if member is None:
            raise MismatchError(f"an object of {name} must say which one it is under {TAG!r}")
        return member.decode(value)

    def accepts(value: Any) -> bool:
        return any(each.accepts(value) for each in dataclasses)

    return Shape(name, encode, decode, frozenset({dict}), accepts)
