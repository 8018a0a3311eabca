"""Checks the fields of plain data before they become arguments of a value's constructor."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

from paglets.core.errors import SerializationError

Kinds = type[Any] | tuple[type[Any], ...]


def checked(
    owner: str, payload: object, kinds: Mapping[str, Kinds], *, required: Iterable[str] = ()
) -> dict[str, Any]:
    """Those fields of ``payload`` that ``kinds`` names, where they are there; other fields are ignored.

    Raises ``SerializationError`` naming owner, field and type when the payload is no mapping, a value is not
    of its kind, or a required field is missing. A ``bool`` is no number here.
    """
    if not isinstance(payload, Mapping):
        raise SerializationError(f"{owner}: expected an object, got {type(payload).__name__}")
    fields = cast("Mapping[object, Any]", payload)
    for name in required:
        if name not in fields:
            raise SerializationError(f"{owner}: the field {name!r} is missing")
    values: dict[str, Any] = {}
    for name, kind in kinds.items():
        if name not in fields:
            continue
        value = fields[name]
        expected = kind if isinstance(kind, tuple) else (kind,)
        if not isinstance(value, expected) or (isinstance(value, bool) and bool not in expected):
            names = " or ".join("null" if each is type(None) else each.__name__ for each in expected)
            raise SerializationError(
                f"{owner}: the field {name!r} must be {names}, not {type(value).__name__}"
            )
        values[name] = value
    return values
