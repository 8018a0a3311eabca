"""What is still to come tells those who wait at once, and ends in time."""

from __future__ import annotations

import asyncio

import pytest

from paglets.remote.wire.deadlines import Deadlines
from paglets.remote.wire.pending import Pending, settled
from paglets.remote.wire.tasks import TaskSet


async def test_those_who_wait_are_told_before_it_goes_on() -> None:
    told: list[str] = []
    pending: Pending[int] = Pending()
    pending.add_done_callback(lambda done: told.append(f"first {done.result()}"))
    pending.add_done_callback(lambda done: told.append(f"second {done.result()}"))
    pending.set_result(7)
    assert told == ["first 7", "second 7"]
    pending.add_done_callback(lambda _: told.append("late"))
    assert told[-1] == "late"


async def test_one_who_fails_over_it_stops_nobody(caplog: pytest.LogCaptureFixture) -> None:
    told: list[int] = []
    pending: Pending[int] = Pending()
    pending.add_done_callback(lambda _: 1 // 0)
    pending.add_done_callback(lambda done: told.append(done.result()))
    pending.set_result(7)
    assert told == [7]
    assert "failed over it" in caplog.text


async def test_it_is_settled_once() -> None:
    pending: Pending[int] = Pending()
    with pytest.raises(asyncio.InvalidStateError):
        pending.result()
    assert pending.cancel()
    assert pending.cancelled()
    assert not pending.cancel()
    with pytest.raises(asyncio.InvalidStateError):
        pending.set_result(1)
    with pytest.raises(asyncio.CancelledError):
        pending.exception()


async def test_it_can_be_awaited_and_given_up() -> None:
    assert await settled(1) == 1
    pending: Pending[int] = Pending()
    asyncio.get_running_loop().call_soon(pending.set_exception, ValueError("no"))
    with pytest.raises(ValueError, match="no"):
        await pending
    abandoned: Pending[int] = Pending()

    async def wait() -> int:
        return await abandoned

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert abandoned.cancelled()


async def test_work_that_nobody_waits_for_any_more_is_cancelled() -> None:
    tasks, begun, ended = TaskSet(), asyncio.Event(), asyncio.Event()

    async def work() -> int:
        begun.set()
        try:
            return await asyncio.get_running_loop().create_future()
        finally:
            ended.set()

    outcome = tasks.outcome_of(work())
    await begun.wait()
    outcome.cancel()
    async with asyncio.timeout(5):
        await ended.wait()
    await tasks.close()
    assert tasks.outcome_of(work()).cancelled(), "nothing begins after the end"


async def test_what_does_not_come_in_time_expires_and_what_comes_does_not() -> None:
    expired: list[tuple[str, float]] = []
    over = asyncio.Event()

    def expire(item: str, seconds: float) -> None:
        expired.append((item, seconds))
        if item == "last":
            over.set()

    deadlines: Deadlines[str] = Deadlines(expire)
    for item in ("first", "in time", "second"):
        deadlines.add(item, 0.01)
    deadlines.add("last", 0.03)
    deadlines.discard("in time", 0.01)
    deadlines.discard("unknown", 0.02)
    async with asyncio.timeout(5):
        await over.wait()
    assert expired == [("first", 0.01), ("second", 0.01), ("last", 0.03)]
    over.clear()
    deadlines.add("never", 0.01)
    deadlines.close()
    deadlines.add("last", 0.02)
    async with asyncio.timeout(5):
        await over.wait()
    assert ("never", 0.01) not in expired


async def test_limits_that_nobody_has_any_more_are_forgotten() -> None:
    deadlines: Deadlines[int] = Deadlines(lambda item, seconds: None)
    for number in range(1000):
        deadlines.add(number, 1e6 + number)
        deadlines.discard(number, 1e6 + number)
    assert deadlines.timers < 20
    deadlines.close()
    assert not deadlines.timers
