"""What an appliance does to take little memory. It is for a program that is a host and nothing else."""

from __future__ import annotations

import gc

TLS_BUFFER = 64 * 1024
"""Bytes that each TLS connection of this process keeps for what it receives; 256 KiB if nobody says otherwise."""


def share_with_forks() -> None:
    """Keep what is loaded by now where this process and those that it forks share it.

    A collection writes to each object that it looks at, and a page that one process writes to is shared no more. From
    now on none looks at these.
    """
    gc.collect()  # garbage would be kept with them, for ever
    gc.freeze()


def keep_connections_small() -> None:
    """Have the TLS connections that are made from now on take less memory, most of which they never use."""
    from asyncio import sslproto  # noqa: PLC0415 - not before the zygote is forked

    sslproto.SSLProtocol.max_size = TLS_BUFFER
