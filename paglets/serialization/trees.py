"""Looks at all values of a big tree without a step of Python for each of them."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

CONTAINERS = frozenset({dict, list})


class Level(NamedTuple):
    """All values that are equally deep in a tree."""

    parts: list[Any]
    """The values; keys too, except those of dicts whose keys are all exact strings."""
    kinds: set[type[Any]]
    """Their exact types."""
    containers: list[Any]
    """Those of them that are exact dicts or lists."""


def levels(value: Any) -> Iterator[Level]:
    """The levels of a tree of dicts and lists, ``value`` itself the first. Only exact dicts and lists count.

    The tree must be finite: what holds itself has no last level.
    """
    parts = [value]
    while parts:
        kinds: set[type[Any]] = set(map(type, parts))
        inner = not kinds.isdisjoint(CONTAINERS)
        containers = [part for part in parts if type(part) in CONTAINERS] if inner else []
        yield Level(parts, kinds, containers)
        # The referents of an exact dict or list are what it holds, and nothing else; strings that are keys
        # are left out by some versions of Python, because they cannot be part of a cycle.
        parts = gc.get_referents(*containers)
