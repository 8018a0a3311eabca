"""A loop looks on before it sleeps only when what one child sent was passed on to another."""

from __future__ import annotations

import asyncio
import contextlib
import selectors
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from paglets.runtime import busy_polling
from paglets.runtime.busy_polling import BusyPollingLoop, relay_of
from paglets.runtime.children.link import HostLink
from paglets.runtime.frames import Answer, Recall, encode_frame
from paglets.runtime.loop_thread import LoopThread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from paglets.runtime.frames import ChildFrame


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float | None]:
    """How long each look of this thread was ready to wait; on two processors, and with all the time to look on."""
    monkeypatch.setattr(busy_polling, "processors", lambda: 2)
    monkeypatch.setattr(busy_polling, "WINDOW", 60.0)
    kind: Any = selectors.DefaultSelector
    original, looked, here = kind.select, list[float | None](), threading.get_ident()

    def select(self: Any, timeout: float | None = None) -> Any:
        if threading.get_ident() == here:  # others have loops, too
            looked.append(timeout)
        return original(self, timeout)

    monkeypatch.setattr(kind, "select", select)
    return looked


def looks_until_input(
    loop: asyncio.SelectorEventLoop, waits: list[float | None], count: int
) -> list[float | None]:
    """Run the loop until something comes, which is as soon as it has looked so often; the looks that it took."""
    ours, theirs = socket.socketpair()
    with ours, theirs, contextlib.closing(loop):
        loop.add_reader(ours, loop.stop)
        waits.clear()
        feeder = threading.Thread(target=_feed, args=(theirs, waits, count))
        feeder.start()
        loop.run_forever()
        looked = list(waits)
        loop.remove_reader(ours)
        feeder.join()
    return looked


def _feed(there: socket.socket, waits: list[float | None], count: int) -> None:
    deadline = time.monotonic() + 10.0
    while len(waits) < count and time.monotonic() < deadline:
        time.sleep(0.001)
    there.send(b"x")


def test_it_looks_on_when_an_answer_is_due(waits: list[float | None]) -> None:
    loop = BusyPollingLoop()
    loop.relay.source = "a link"
    loop.relay.sent("another link")
    looked = looks_until_input(loop, waits, 100)
    assert len(looked) >= 100
    assert set(looked) == {0}


def test_it_sleeps_when_the_moment_is_over(
    waits: list[float | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(busy_polling, "WINDOW", 0.0)
    loop = BusyPollingLoop()
    loop.relay.source = "a link"
    loop.relay.sent("another link")
    *looked, slept = looks_until_input(loop, waits, 2)
    assert set(looked) == {0}
    assert slept is None


def test_it_sleeps_at_once_when_nothing_was_passed_on(waits: list[float | None]) -> None:
    loop = BusyPollingLoop()
    loop.relay.sent("a link")
    assert looks_until_input(loop, waits, 1) == [None]


def test_a_timer_that_is_due_sooner_is_not_late(waits: list[float | None]) -> None:
    loop = BusyPollingLoop()
    loop.relay.source = "a link"
    loop.relay.sent("another link")
    with contextlib.closing(loop):
        loop.call_later(0.3, loop.stop)
        loop.run_forever()
    assert waits[0], "it sleeps until then"


def test_one_processor_is_left_to_who_answers(
    waits: list[float | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(busy_polling, "processors", lambda: 1)
    loop = BusyPollingLoop()
    loop.relay.source = "a link"
    loop.relay.sent("another link")
    assert looks_until_input(loop, waits, 1) == [None]


def test_loops_of_others_sleep_as_ever(waits: list[float | None]) -> None:
    loop = asyncio.SelectorEventLoop()
    relay = relay_of(loop)
    relay.source = "a link"
    relay.sent("another link")
    assert looks_until_input(loop, waits, 1) == [None]


def test_the_loop_of_a_host_is_of_this_kind() -> None:
    thread = LoopThread("a host")
    thread.start()
    try:
        assert thread.run(_looks_on(), 10.0)
    finally:
        thread.stop()


async def _looks_on() -> bool:
    return isinstance(asyncio.get_running_loop(), BusyPollingLoop)


class Links:
    """Two links of one loop, and the children's ends; what the first child sends is taken by ``take``."""

    def __init__(self, take: Callable[[Links], None]) -> None:
        self._take = take
        self._ends = [socket.socketpair(), socket.socketpair()]
        for ours, _ in self._ends:
            ours.setblocking(False)
        self.first, self.second = (HostLink(ours, self._taken, _ended) for ours, _ in self._ends)
        self._came = asyncio.Event()

    def _taken(self, frame: ChildFrame) -> None:
        del frame
        self._take(self)
        self._came.set()

    async def hear(self) -> None:
        """Have the first child send something."""
        self._ends[0][1].send(encode_frame(Answer(1)))
        async with asyncio.timeout(10.0):
            await self._came.wait()

    def close(self) -> None:
        """Close all four ends."""
        for link in (self.first, self.second):
            link.close()
        for _, theirs in self._ends:
            theirs.close()


def _ended(why: str | None) -> None:
    raise AssertionError(why)


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    """Of loops of this kind."""
    with asyncio.Runner(loop_factory=BusyPollingLoop) as it:
        yield it


async def _answer_is_due(take: Callable[[Links], None], *, hear: bool = True) -> bool:
    """Whether one is after that; nothing is waited for in between, which would use it up."""
    due: list[bool] = []
    relay = relay_of(asyncio.get_running_loop())

    def take_and_look(links: Links) -> None:
        take(links)
        due.append(relay.answer_due)

    with contextlib.closing(Links(take_and_look)) as links:
        if hear:
            await links.hear()
        else:
            take_and_look(links)
    assert relay.source is None
    return due[0]


def _pass_on(links: Links) -> None:
    links.second.send(Recall(2))


def _answer(links: Links) -> None:
    links.first.send(Recall(2))


def _keep(links: Links) -> None:
    del links


def test_what_a_child_sent_and_another_got_has_an_answer_due(runner: asyncio.Runner) -> None:
    assert runner.run(_answer_is_due(_pass_on))


def test_what_a_child_sent_and_nobody_got_has_none(runner: asyncio.Runner) -> None:
    assert not runner.run(_answer_is_due(_keep))


def test_what_a_child_sent_and_was_told_of_has_none(runner: asyncio.Runner) -> None:
    assert not runner.run(_answer_is_due(_answer))


def test_what_came_from_elsewhere_has_none(runner: asyncio.Runner) -> None:
    assert not runner.run(_answer_is_due(_pass_on, hear=False))
