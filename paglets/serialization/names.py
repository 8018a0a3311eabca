"""Classes as names and back: ``module:Qual.Name``."""

from __future__ import annotations

import importlib
import re
from typing import Any

from paglets.core.errors import SerializationError

_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")
_LONGEST = 512


def qualified_name(cls_or_obj: object) -> str:
    """``module:Qual.Name`` of a class, or of an object's class.

    Raises ``SerializationError`` for classes made inside a function: nobody else could import them.
    """
    cls = cls_or_obj if isinstance(cls_or_obj, type) else type(cls_or_obj)
    if "<" in cls.__qualname__:
        raise SerializationError(
            f"{cls.__module__}.{cls.__qualname__} is a local class, which no other process can import; "
            "define it at the top of a module"
        )
    return f"{cls.__module__}:{cls.__qualname__}"


def resolve_qualified_name(name: str) -> type[Any]:
    """Import the class of that name.

    Imports its module, and so runs code: whoever calls this has asked first whether that module may run.
    Raises ``SerializationError`` when the name is malformed, the module cannot be imported or there is no
    such class in it; what the module itself raises while it is imported is the cause of that error.
    """
    if len(name) > _LONGEST or not _NAME.fullmatch(name):
        raise SerializationError(f"{name[:_LONGEST]!r} is no class name; it looks like 'module:Class'")
    module_name, _, path = name.partition(":")
    try:
        value: Any = importlib.import_module(module_name)
    except Exception as error:
        raise SerializationError(f"{name}: module {module_name} cannot be imported: {error!r}") from error
    for part in path.split("."):
        value = getattr(value, part, None)
    if not isinstance(value, type):
        raise SerializationError(f"{name}: there is no such class in module {module_name}")
    return value
