"""The number of a descriptor is free for others only when nothing on the loop holds on to it any more."""

from __future__ import annotations

import asyncio
import gc
import os
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from paglets.core.errors import RemoteHostError
from tests.wire.raw_link import BOUND, RawLink

if TYPE_CHECKING:
    from collections.abc import Generator

    from tests.wire.site import Site

_NUMBERS = 12
"""More than are freed by what a test closes: new descriptors get the lowest numbers that are free."""


@contextmanager
def pipe() -> Generator[tuple[int, int]]:
    ends = os.pipe()
    try:
        yield ends
    finally:
        for end in ends:
            os.close(end)


async def take_the_free_numbers() -> None:
    """Read from fresh pipes on the loop: ``RuntimeError`` when a connection holds the number of one."""
    loop = asyncio.get_running_loop()
    with ExitStack() as stack:
        for readable, writable in [stack.enter_context(pipe()) for _ in range(_NUMBERS)]:
            heard = asyncio.Event()
            loop.add_reader(readable, heard.set)
            stack.callback(loop.remove_reader, readable)
            os.write(writable, b"x")
            async with asyncio.timeout(BOUND):
                await heard.wait()


@pytest.mark.parametrize("turns", range(1, 16))
async def test_a_host_that_stops_between_a_handshake_and_its_notice_leaves_the_socket_to_the_connection(
    site: Site, turns: int
) -> None:
    """At every turn of the loop from the call on: in one of them the handshake is over, and who waits not told yet."""
    rig, pool = await site.rig(), site.pool()
    calling = asyncio.ensure_future(pool.fetch(rig.address, "/health"))
    for _ in range(turns):
        await asyncio.sleep(0)
    await rig.listener.close()
    await take_the_free_numbers()
    with suppress(RemoteHostError):
        await calling
    gc.collect()  # what was forgotten is told then, and a warning fails the test


async def test_a_host_that_stops_hears_what_takes_the_number_of_its_door(site: Site) -> None:
    """While it still waits for one who does not hang up."""
    rig = await site.rig(close_timeout=BOUND)
    async with RawLink.open(rig, site.member()) as link:
        link.stop_reading()
        closing = asyncio.ensure_future(rig.listener.close())
        await asyncio.sleep(0)  # its doors are closed in its first turn
        await take_the_free_numbers()
        assert not closing.done()
    await closing
