"""Waiting for a condition, with a bound."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_POLL = 0.005


def wait_until(
    condition: Callable[[], T], *, within: float = 10.0, otherwise: Callable[[], object] = str
) -> T:
    """Wait until the condition is true; what it gave.

    ``AssertionError`` when it is not so ``within`` seconds, with what ``otherwise`` tells of how it is then.
    """
    deadline = time.monotonic() + within
    while not (value := condition()):
        if time.monotonic() >= deadline:
            raise AssertionError(f"it did not happen within {within:g} s {otherwise()}".rstrip())
        time.sleep(_POLL)
    return value
