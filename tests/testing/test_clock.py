"""Time that tests move."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paglets.testing.clock import Clock, JumpingEventLoop

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

T = TypeVar("T")

HOUR = 3600.0


def run(work: Coroutine[Any, Any, T], *, patience: float = 0.0) -> T:
    """Run it on a loop that jumps; fails when it takes long outside."""
    begun = time.monotonic()
    with asyncio.Runner(debug=True, loop_factory=lambda: JumpingEventLoop(patience=patience)) as runner:
        result = runner.run(work)
    assert time.monotonic() - begun < 5.0
    return result


def now() -> float:
    return asyncio.get_running_loop().time()


# --- the clock


def test_a_clock_stands_still_until_it_is_moved() -> None:
    clock = Clock(10.0)
    assert (clock.now(), clock()) == (10.0, 10.0)
    clock.advance(2.5)
    assert clock() == 12.5
    with pytest.raises(ValueError, match="back"):
        clock.advance(-1)


@given(st.lists(st.floats(0, 10)))
def test_timers_go_off_in_order_each_at_its_time(delays: list[float]) -> None:
    clock = Clock()
    seen: list[tuple[float, int]] = []
    for number, delay in enumerate(delays):
        clock.later(delay, lambda number=number: seen.append((clock(), number)))
    clock.advance(10)
    assert seen == sorted((delay, number) for number, delay in enumerate(delays))
    assert clock() == 10


def test_a_timer_may_set_and_cancel_others() -> None:
    clock = Clock()
    seen: list[str] = []
    cancelled = clock.later(3, lambda: seen.append("cancelled"))

    def first() -> None:
        cancelled.cancel()
        clock.later(1, lambda: seen.append(f"second at {clock():g}"))
        clock.later(100, lambda: seen.append("too late"))

    clock.later(1, first)
    clock.advance(5)
    assert seen == ["second at 2"]


def test_a_condition_is_waited_for_with_a_bound() -> None:
    clock = Clock()
    seen: list[int] = []
    clock.later(7, lambda: seen.append(1))
    assert clock.advance_until(lambda: seen, within=10) == pytest.approx(7, abs=0.1)
    with pytest.raises(AssertionError, match="within 10 s"):
        clock.advance_until(lambda: len(seen) == 2, within=10)


# --- the loop


def test_an_hour_of_sleep_takes_no_time() -> None:
    async def sleep() -> float:
        await asyncio.sleep(HOUR)
        return now()

    assert run(sleep()) == HOUR


def test_timeouts_and_sleepers_keep_their_order() -> None:
    async def race() -> list[tuple[str, float]]:
        seen: list[tuple[str, float]] = []

        async def sleeper(name: str, seconds: float) -> None:
            await asyncio.sleep(seconds)
            seen.append((name, now()))

        async with asyncio.TaskGroup() as group:
            group.create_task(sleeper("slow", 2 * HOUR))
            group.create_task(sleeper("quick", HOUR))
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1.5 * HOUR):
                    await asyncio.Event().wait()
            seen.append(("timeout", now()))
        return seen

    assert run(race()) == [("quick", HOUR), ("timeout", 1.5 * HOUR), ("slow", 2 * HOUR)]


def test_time_stands_still_while_there_is_something_to_do() -> None:
    async def work() -> float:
        asyncio.get_running_loop().call_later(0.000_1, pytest.fail, "time has passed")
        for _ in range(1000):
            await asyncio.sleep(0)
        return now()

    assert run(work()) == 0.0


def test_a_thread_that_works_for_the_loop_is_waited_for() -> None:
    async def work() -> str:
        async with asyncio.timeout(60):
            return await asyncio.to_thread(lambda: time.sleep(0.1) or "done")

    assert run(work()) == "done"


def test_a_thread_that_fails_is_not_waited_for_ever() -> None:
    async def work() -> float:
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(lambda: 1 / 0)
        before = now()
        await asyncio.sleep(HOUR)
        return now() - before

    assert run(work()) == HOUR


def test_patience_lets_other_threads_come_first() -> None:
    async def wait() -> str:
        loop = asyncio.get_running_loop()
        heard: asyncio.Future[str] = loop.create_future()
        timer = threading.Timer(0.05, loop.call_soon_threadsafe, (heard.set_result, "heard"))
        timer.start()
        async with asyncio.timeout(60):
            return await heard

    assert run(wait(), patience=2.0) == "heard"


def test_sockets_work() -> None:
    async def echo() -> bytes:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(await reader.readexactly(5))
            writer.close()
            await writer.wait_closed()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        async with server, asyncio.timeout(60):
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(b"hello")
            said = await reader.read()
            writer.close()
            await writer.wait_closed()
        return said

    assert run(echo(), patience=1.0) == b"hello"
