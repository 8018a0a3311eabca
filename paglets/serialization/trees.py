"""Looks at all values of a big tree without a step of Python for each of them."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

CONTAINERS = frozenset({dict, list})


def levels(value: Any) -> Iterator[list[Any]]:
    """The values of a tree of dicts and lists as one list for each level of nesting.

    Keys are among them, except of dicts whose keys are all exact strings.
    The first level is ``value`` itself. Only exact dicts and lists are looked into. The tree must be finite:
    what holds itself has no last level.
    """
    parts = [value]
    while parts:
        yield parts
        # The referents of an exact dict or list are what it holds, and nothing else; strings that are keys
        # are left out by some versions of Python, because they cannot be part of a cycle.
        parts = gc.get_referents(*(part for part in parts if type(part) in CONTAINERS))
