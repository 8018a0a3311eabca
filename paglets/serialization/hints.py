"""The annotations of a dataclass's fields, resolved: names looked up, type variables replaced."""

from __future__ import annotations

import inspect
import sys
import typing
from typing import Any

from paglets.core.errors import SerializationError


def field_hints(cls: type[Any], arguments: tuple[Any, ...] = ()) -> dict[str, Any]:
    """Annotation of each field of ``cls``, or of ``cls[arguments]``, by name.

    Raises ``SerializationError`` when an annotation names what cannot be found at run time.
    """
    bindings = _bindings(cls, arguments)
    hints: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        own = inspect.get_annotations(base)
        if not own:
            continue
        try:
            resolved = typing.get_type_hints(base, localns=_surroundings(base), include_extras=True)
        except (NameError, TypeError, AttributeError, SyntaxError) as error:
            raise SerializationError(
                f"{cls.__qualname__}: an annotation of {base.__qualname__} cannot be resolved ({error}); "
                "what states are annotated with must be imported at run time, at the top of the module"
            ) from error
        hints.update({name: substitute(resolved[name], bindings.get(base, {})) for name in own})
    return hints


def substitute(hint: Any, bindings: dict[Any, Any]) -> Any:
    """The annotation with its type variables replaced; one that nobody bound becomes its bound, or Any."""
    if isinstance(hint, typing.TypeVar):
        if hint in bindings:
            return bindings[hint]
        return hint.__bound__ or Any
    parameters: tuple[Any, ...] = getattr(hint, "__parameters__", ())
    if not parameters or isinstance(hint, type):
        return hint
    return hint[tuple(substitute(each, bindings) for each in parameters)]


def _bindings(cls: type[Any], arguments: tuple[Any, ...]) -> dict[type[Any], dict[Any, Any]]:
    """For each generic class that ``cls`` comes from, what its type variables stand for."""
    found: dict[type[Any], dict[Any, Any]] = {}

    def visit(base: type[Any], given: tuple[Any, ...]) -> None:
        parameters: tuple[Any, ...] = getattr(base, "__parameters__", ())
        if base not in found:
            found[base] = dict(zip(parameters, given, strict=False))
        for parent in base.__dict__.get("__orig_bases__", base.__bases__):
            origin = typing.get_origin(parent) or parent
            if isinstance(origin, type) and origin is not typing.Generic:
                visit(origin, tuple(substitute(each, found[base]) for each in typing.get_args(parent)))

    visit(cls, arguments)
    return found


def _surroundings(cls: type[Any]) -> dict[str, Any]:
    """What is in sight where a nested class is written: the names of the classes around it."""
    scope: dict[str, Any] = {}
    around: Any = sys.modules.get(cls.__module__)
    for part in cls.__qualname__.split("."):
        around = getattr(around, part, None)
        if not isinstance(around, type):
            break
        scope.update(vars(around))
        scope[part] = around
    return scope
