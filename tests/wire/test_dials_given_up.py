"""A dial that is given up, at whatever moment, leaves no socket behind."""

from __future__ import annotations

import asyncio
import gc
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.wire.site import Site


@pytest.mark.parametrize("turns", range(1, 13))
async def test_a_read_that_is_cancelled_leaves_nothing(site: Site, turns: int) -> None:
    """What is forgotten is told when it is collected, and a warning fails the test."""
    rig, pool = await site.rig(), site.pool()
    reading = asyncio.ensure_future(pool.fetch(rig.address, "/health"))
    for _ in range(turns):
        await asyncio.sleep(0)
    reading.cancel()
    with suppress(asyncio.CancelledError):
        await reading
    gc.collect()
