"""Dataclasses as plain values and back; classes as names and back."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from paglets.core.errors import SerializationError

T = TypeVar("T")


def qualified_name(cls_or_obj: object) -> str:
    """``module:Qual.Name`` of a class, or of an object's class; ``SerializationError`` for local classes."""
    cls = cls_or_obj if isinstance(cls_or_obj, type) else type(cls_or_obj)
    if "<locals>" in cls.__qualname__:
        raise SerializationError(f"{cls.__module__}:{cls.__qualname__} is a local class")
    return f"{cls.__module__}:{cls.__qualname__}"


def resolve_qualified_name(name: str) -> type[Any]:
    """Import the class of that name; ``SerializationError`` when there is none."""
    module, _, path = name.partition(":")
    value: Any = importlib.import_module(module)
    for part in path.split("."):
        value = getattr(value, part)
    return value


def dataclass_to_wire(instance: object) -> dict[str, Any]:
    """Plain values of a dataclass instance."""
    return msgspec.to_builtins(instance, builtin_types=(bytes, bytearray), enc_hook=str)


def dataclass_from_wire(cls: type[T], payload: object) -> T:
    """Rebuild an instance of ``cls`` from plain values."""
    try:
        return msgspec.convert(payload, cls, builtin_types=(bytes, bytearray), dec_hook=lambda t, v: Path(v))
    except msgspec.ValidationError as error:
        raise SerializationError(f"{cls.__qualname__}: {error}") from None
