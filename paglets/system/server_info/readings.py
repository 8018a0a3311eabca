"""Reading a figure that may not be there: no such sensor, no permission, a process that has just ended."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, TypeVar

import psutil

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
D = TypeVar("D")

logger = logging.getLogger(__name__)

_NOT_THERE = (
    psutil.Error,
    OSError,
    AttributeError,  # psutil leaves out what a platform does not have
    NotImplementedError,
    RuntimeError,
    ValueError,  # files under /proc that are not as they should be
    LookupError,
)


def reading(read: Callable[[], T], default: D) -> T | D:
    """What ``read`` gives, or the default where the machine cannot tell."""
    try:
        return read()
    except _NOT_THERE:
        logger.debug("a figure of this machine could not be read", exc_info=True)
        return default
