"""Dataclasses as plain values and back; classes as names and back.

Plain values are ``dict``, ``list``, ``str``, ``int``, ``float``, ``bool``, ``None``, ``bytes`` and
``bytearray``. Sets become sorted lists on the wire, tuples lists, enums their values, paths strings;
datetimes, UUIDs and decimals their standard text; a class with ``to_wire`` and ``from_wire`` what it says
itself. The annotations bring all of it back; what stands in a field annotated ``Any`` comes back plain.

A class is looked through when it is first used. What its annotations cannot bring back (``datetime | str``,
a ``defaultdict``) is refused then, and not when the first paglet moves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Any, TypeVar, cast

from paglets.core.errors import SerializationError
from paglets.serialization.annotations import dataclass_shape
from paglets.serialization.mismatch import MismatchError
from paglets.serialization.names import qualified_name, resolve_qualified_name

__all__ = ["dataclass_from_wire", "dataclass_to_wire", "qualified_name", "resolve_qualified_name"]

T = TypeVar("T")


def dataclass_to_wire(instance: object) -> dict[str, Any]:
    """The fields of a dataclass instance as plain values, sharing nothing that can change with it.

    Raises ``SerializationError`` when it is no dataclass instance, its class cannot be rebuilt from data, or
    a value is not of the type that its field is annotated with.
    """
    cls = type(instance)
    if not is_dataclass(cls):
        raise SerializationError(f"{cls.__qualname__} is no dataclass")
    shape = dataclass_shape(cls)
    try:
        return shape.encode(instance)
    except MismatchError as mismatch:
        raise mismatch.as_error(cls.__qualname__) from mismatch.__cause__
    except RecursionError:
        raise SerializationError(f"{cls.__qualname__} is nested too deeply, or holds itself") from None


def dataclass_from_wire(cls: type[T], payload: object) -> T:
    """An instance of the dataclass ``cls`` from what ``dataclass_to_wire``, or JSON, made of one.

    The payload is a mapping by field name, and belongs to the instance from here on. Unknown fields are
    ignored, missing ones take their defaults. Raises ``SerializationError``, naming class, field and type,
    for a value that does not fit and for a missing field without a default.
    """
    if not is_dataclass(cls):
        raise SerializationError(f"{cls.__qualname__} is no dataclass")
    shape = dataclass_shape(cls)
    try:
        if isinstance(payload, Mapping):
            payload = dict(cast("Mapping[Any, Any]", payload))
        return shape.decode(payload)
    except MismatchError as mismatch:
        raise mismatch.as_error(cls.__qualname__) from mismatch.__cause__
    except RecursionError:
        raise SerializationError(f"{cls.__qualname__} is nested too deeply") from None
