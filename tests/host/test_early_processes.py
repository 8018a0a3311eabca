"""A paglet that arrives gets its process while its state is on its way, and whatever becomes of that leaves none."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, cast

import pytest

from paglets.core.errors import HostError, RemoteHostError, TransferError
from paglets.remote.wire.stream_client import OutgoingStream
from paglets.runtime.early_start import EarlyStart
from paglets.runtime.memory_room import MemoryRoom, NoMemoryLeftError
from paglets.runtime.settings import Limits
from paglets.runtime.supervisor import Supervisor
from paglets.runtime.turns import Turnstile
from tests.host.agents import Plain, Recorder, Strict
from tests.host.agents_that_tell_imports import IMPORTS, Telling
from tests.host.support import ask, eventually, exists

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterator
    from concurrent.futures import Future
    from pathlib import Path

    from paglets.core.agent import Paglet
    from paglets.runtime.child_specs import Admitted
    from paglets.runtime.children.child import Child
    from paglets.runtime.host import Host
    from paglets.runtime.lives import Life

BOUND = 20.0


class Gate:
    """Holds every trailer back, at its source: header and state have left by then."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.opened = threading.Event()
        self.lost = False
        self.held = 0

    async def pause(self) -> None:
        self.held += 1
        self.reached.set()
        assert await asyncio.to_thread(self.opened.wait, BOUND)
        if self.lost:
            raise RemoteHostError("the cable was pulled")


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    gate, send = Gate(), OutgoingStream.send_trailer

    async def held(self: OutgoingStream, trailer: bytes) -> None:
        await gate.pause()
        await send(self, trailer)

    monkeypatch.setattr(OutgoingStream, "send_trailer", held)
    yield gate
    gate.opened.set()


@pytest.fixture
def imports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[int]]:
    """The processes that have imported the paglet's class, in order."""
    file = tmp_path / "imports"
    monkeypatch.setenv(IMPORTS, str(file))
    return lambda: [int(line) for line in file.read_text().split()] if file.exists() else []


@pytest.fixture
def aside() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


def two_hosts(start: Callable[..., Host], **of_b: Any) -> tuple[Host, Host]:
    a = start("a")
    b = start("b", peers=[a.address], **of_b)
    a.mesh.wait_for_host("b", timeout=10.0)
    return a, b


def on_its_way(
    a: Host, gate: Gate, aside: ThreadPoolExecutor, agent_class: type[Paglet[Any]] = Telling
) -> tuple[Any, Future[Any]]:
    """A paglet of ``a`` whose header and state have left for ``b``, and its move."""
    proxy = a.create(agent_class)
    move = aside.submit(proxy.dispatch, "b")
    assert gate.reached.wait(BOUND)
    return proxy, move


def test_it_imports_the_class_before_the_state_is_complete(
    start: Callable[..., Host], gate: Gate, imports: Callable[[], list[int]], aside: ThreadPoolExecutor
) -> None:
    a, b = two_hosts(start)
    proxy, move = on_its_way(a, gate, aside)
    old, early = eventually(lambda: imports() if len(imports()) == 2 else None) or []
    assert not move.done()
    assert b.get_proxy(proxy.agent_id) is None, "nothing is decided, so it is not here"
    gate.opened.set()
    move.result(BOUND)
    assert ask(proxy, "pid") == early
    assert imports() == [old, early], "the class was imported once for each life"
    eventually(lambda: not exists(old))


def test_one_that_was_killed_meanwhile_is_made_again(
    start: Callable[..., Host], gate: Gate, imports: Callable[[], list[int]], aside: ThreadPoolExecutor
) -> None:
    a, _ = two_hosts(start)
    proxy, move = on_its_way(a, gate, aside)
    eventually(lambda: len(imports()) == 2)
    os.kill(imports()[1], signal.SIGKILL)
    eventually(lambda: not exists(imports()[1]))
    gate.opened.set()
    move.result(BOUND)
    assert ask(proxy, "pid") == imports()[2]


def test_one_that_is_killed_when_its_state_has_come_is_made_again(
    start: Callable[..., Host],
    gate: Gate,
    imports: Callable[[], list[int]],
    aside: ThreadPoolExecutor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    admit = Supervisor.admit

    async def killed(self: Supervisor, child: Child, *what: Any, **how: Any) -> Admitted:
        os.kill(child.pid, signal.SIGKILL)  # the host has not heard of it yet
        return await admit(self, child, *what, **how)

    a, _ = two_hosts(start)
    monkeypatch.setattr(Supervisor, "admit", killed)
    proxy, move = on_its_way(a, gate, aside)
    eventually(lambda: len(imports()) == 2)
    gate.opened.set()
    move.result(BOUND)
    assert ask(proxy, "pid") == imports()[2]


def test_it_ends_when_the_rest_does_not_come(
    start: Callable[..., Host], gate: Gate, imports: Callable[[], list[int]], aside: ThreadPoolExecutor
) -> None:
    a, b = two_hosts(start)
    proxy, move = on_its_way(a, gate, aside)
    old, early = eventually(lambda: imports() if len(imports()) == 2 else None) or []
    gate.lost = True
    gate.opened.set()
    with pytest.raises(TransferError):
        move.result(BOUND)
    eventually(lambda: not exists(early))
    assert ask(proxy, "pid") == old, "it goes on where it was"
    assert b.get_proxy(proxy.agent_id) is None


def test_a_slow_sender_keeps_nobody_from_starting(
    start: Callable[..., Host], gate: Gate, imports: Callable[[], list[int]], aside: ThreadPoolExecutor
) -> None:
    a, b = two_hosts(start, limits=Limits(concurrent_starts=1, start_timeout=5.0))
    proxy, move = on_its_way(a, gate, aside)
    eventually(lambda: len(imports()) == 2)
    assert b.create(Plain, Strict("x", 7)).is_active()
    gate.opened.set()
    move.result(BOUND)
    assert ask(proxy, "pid") == imports()[1]


def test_it_is_not_refused_for_memory_that_it_has_already(
    start: Callable[..., Host],
    gate: Gate,
    imports: Callable[[], list[int]],
    aside: ThreadPoolExecutor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    a, _ = two_hosts(start)
    proxy, move = on_its_way(a, gate, aside)
    eventually(lambda: len(imports()) == 2)

    def check(self: MemoryRoom) -> None:
        raise NoMemoryLeftError("there is none")

    monkeypatch.setattr(MemoryRoom, "check", check)
    gate.opened.set()
    move.result(BOUND)
    assert ask(proxy, "pid") == imports()[1]


def test_it_ends_when_it_does_not_get_its_turn(
    start: Callable[..., Host],
    gate: Gate,
    imports: Callable[[], list[int]],
    aside: ThreadPoolExecutor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    a, _ = two_hosts(start)
    proxy, move = on_its_way(a, gate, aside)
    old, early = eventually(lambda: imports() if len(imports()) == 2 else None) or []

    @contextlib.asynccontextmanager
    async def refused(self: Turnstile, name: str) -> AsyncGenerator[None]:
        raise HostError("not now")
        yield

    monkeypatch.setattr(Turnstile, "take", refused)
    gate.opened.set()
    with pytest.raises(TransferError, match="not now"):
        move.result(BOUND)
    eventually(lambda: not exists(early))
    assert ask(proxy, "pid") == old


def test_there_are_few_of_them(
    start: Callable[..., Host], gate: Gate, imports: Callable[[], list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    entered: list[EarlyStart] = []
    launched: list[Child] = []
    enter, launch = EarlyStart.__aenter__, Supervisor.launch

    async def seen(self: EarlyStart) -> EarlyStart:
        entered.append(await enter(self))
        return self

    async def counted(self: Supervisor, life: Life, **what: Any) -> Child:
        launched.append(await launch(self, life, **what))
        return launched[-1]

    monkeypatch.setattr(EarlyStart, "__aenter__", seen)
    monkeypatch.setattr(Supervisor, "launch", counted)
    a, _ = two_hosts(start)
    proxies = [a.create(Telling) for _ in range(6)]
    with ThreadPoolExecutor(len(proxies)) as pool:
        moves = [pool.submit(proxy.dispatch, "b") for proxy in proxies]
        eventually(lambda: gate.held == len(entered) == len(proxies))
        gate.opened.set()
        for move in moves:
            move.result(BOUND)
    assert len(launched) == 3, "of four, with one left to other senders"
    assert len({ask(proxy, "pid") for proxy in proxies}) == len(proxies)
    assert len(imports()) == 2 * len(proxies)


def test_it_is_told_where_its_host_is_by_now(
    start: Callable[..., Host], gate: Gate, aside: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = threading.Event()
    launch = Supervisor.launch

    async def told(self: Supervisor, life: Life, **what: Any) -> Child:
        child = await launch(self, life, **what)
        # As a change of the host's address does, while this child waits for its state.
        cast("Any", self)._here.address = "https://10.9.9.9:1"
        prepared.set()
        return child

    a, _ = two_hosts(start)
    monkeypatch.setattr(Supervisor, "launch", told)
    proxy, move = on_its_way(a, gate, aside, Recorder)
    assert prepared.wait(BOUND)
    gate.opened.set()
    move.result(BOUND)
    assert ask(proxy, "where")[1] == "https://10.9.9.9:1"
