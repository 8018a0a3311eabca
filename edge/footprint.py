"""What an appliance does to take little memory. It is for a program that is a host and nothing else."""

from __future__ import annotations

import ctypes
import gc
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from paglets.core.pages import keep_originals
from paglets.runtime.launchers.holes import fill_holes

if TYPE_CHECKING:
    from collections.abc import Generator

_M_ARENA_MAX = -8
"""mallopt(3)"""

TLS_BUFFER = 64 * 1024
"""Bytes that each TLS connection of this process keeps for what it receives; 256 KiB if nobody says otherwise, and for
streams that have brought a large frame."""


def keep_one_heap() -> None:
    """Have the threads that are started from now on use the C library's one heap, and not have one each.

    Few of them have more than a few blocks in it. Python holds its own lock while it asks for memory, so they hardly
    ever meet there.
    """
    with suppress(AttributeError):  # not the GNU library
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


@contextmanager
def shared_with_forks() -> Generator[None]:
    """Keep what is loaded by now where this process and those that it forks in here share it.

    A page that one of them writes to is shared no more. A collection writes to each object that it looks at: from now
    on none looks at these. And what is made goes where something is free: from now on not between these. What is copied
    all the same can be given back (``paglets.core.pages``).
    """
    gc.collect()  # garbage would be kept with them, for ever
    filling = fill_holes()
    gc.freeze()
    keep_originals()
    try:
        yield
    finally:
        filling.clear()


def keep_connections_small() -> None:
    """Have the TLS connections that are made from now on take less memory, most of which they never use."""
    from asyncio import sslproto  # noqa: PLC0415 - not before the zygote is forked

    sslproto.SSLProtocol.max_size = TLS_BUFFER
