from __future__ import annotations

import asyncio

import pytest

from paglets.core.errors import HostError
from paglets.runtime.undivided import Undivided, undivided


class Clerk:
    def __init__(self) -> None:
        self.undivided = Undivided()
        self.go_on = asyncio.Event()
        self.filed: list[str] = []

    @undivided
    async def file(self, page: str, *, fails: bool = False) -> str:
        await self.go_on.wait()
        if fails:
            raise HostError(page)
        self.filed.append(page)
        return page


async def test_the_answer_and_the_error_come_through() -> None:
    clerk = Clerk()
    clerk.go_on.set()
    assert await clerk.file("a") == "a"
    with pytest.raises(HostError, match="b"):
        await clerk.file("b", fails=True)


@pytest.mark.parametrize("fails", [False, True])
async def test_a_caller_that_leaves_does_not_stop_it(fails: bool) -> None:
    clerk = Clerk()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await clerk.file("a", fails=fails)
    clerk.go_on.set()
    await asyncio.sleep(0)
    await clerk.undivided.aclose()
    assert clerk.filed == ([] if fails else ["a"])


async def test_the_end_of_the_host_stops_it() -> None:
    clerk = Clerk()
    caller = asyncio.create_task(clerk.file("a"))
    await asyncio.sleep(0)
    await clerk.undivided.aclose()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert clerk.filed == []
