"""Calls a function that may, or may not, want the one thing it is about."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def bound(function: Callable[..., Any], subject: object) -> Callable[[], Any]:
    """A call without arguments: of ``function(subject)`` when it needs one argument, else of ``function()``.

    Optional parameters do not count. Raises ``TypeError`` when it needs more than one, so that the mistake
    shows where the function is handed over and not where it is called. What tells no signature (some
    functions in C) is called without arguments.
    """
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:
        return function
    required = [each for each in parameters if each.default is each.empty]
    needed = sum(each.kind in _POSITIONAL for each in required)
    if needed > 1 or any(each.kind is each.KEYWORD_ONLY for each in required):
        raise TypeError(f"{function!r} must be callable with one argument or none")
    return (lambda: function(subject)) if needed else function
