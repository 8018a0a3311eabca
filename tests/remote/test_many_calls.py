"""A program that has many calls under way sends the next ones together, and none of them is kept waiting for long."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import textwrap
import threading
import time
from typing import TYPE_CHECKING, Any, cast

import pytest

from paglets.core import role
from paglets.core.cork import CorkedLoop
from paglets.core.errors import RemoteHostError
from paglets.remote.client import HostClient
from paglets.remote.wire import transport
from paglets.remote.wire.control_server import Operation, SubscriptionOperation
from paglets.remote.wire.failures import LinkLostError
from paglets.remote.wire.pool import LinkPool
from paglets.remote.wire.shared_loop import SharedLoop
from paglets.remote.wire.transport import ForeignLoop, PoolTransport
from tests.remote.background import BOUND, Background
from tests.wire.site import NOTHING, EchoParams, Rig, echo

if TYPE_CHECKING:
    import concurrent.futures
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from paglets.remote.wire.peer import Peer
    from paglets.remote.wire.pending import Pending

MANY = 8


class Program:
    """A client, and how often this thread has written to its connections."""

    def __init__(self, host: Background, client: HostClient) -> None:
        self.host = host
        self.client = client
        self.writes = 0
        self.interrupted = False
        """The next write is broken off, as by Ctrl-C."""

    def begin(self, method: str = "wait", text: str = "", url: str = "") -> concurrent.futures.Future[bytes]:
        params = echo(text) if text else NOTHING
        return self.client.submit(url or self.host.url, method, params, timeout=BOUND)

    def writes_for(self, calls: int, url: str = "") -> int:
        before = self.writes
        for _ in range(calls):
            self.begin(url=url)
        return self.writes - before

    def wrote(self) -> None:
        self.writes += 1
        if self.interrupted:
            self.interrupted = False
            raise KeyboardInterrupt

    def arrived(self, calls: int) -> None:
        self.host.until(lambda: len(self.host.rig.running) == calls)


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Program]:
    """A program that is connected, and quick, however slow the machine is."""
    monkeypatch.setattr(transport, "_MOMENT", 600.0)
    monkeypatch.setattr(role, "_MOMENT", 0.5)  # the thread that stands by would write in its place
    with Background(tmp_path) as host, HostClient(mesh_dir=host.mesh.path) as client:
        client.call(host.url, "echo", NOTHING)
        opened = Program(host, client)
        me, really = threading.get_ident(), socket.socket.send

        def send(self: socket.socket, data: bytes, *flags: int) -> int:
            if threading.get_ident() == me and data != b"\0":  # which only wakes a loop
                opened.wrote()
            return really(self, data, *flags)

        monkeypatch.setattr(socket.socket, "send", send)
        yield opened
        host.on_loop(host.rig.release.set)


def test_a_few_calls_leave_one_by_one(program: Program) -> None:
    assert program.writes_for(MANY) == MANY


def test_the_next_ones_leave_eight_at_a_time(program: Program) -> None:
    program.writes_for(MANY)
    assert [program.writes_for(1) for _ in range(16)] == [0, 0, 0, 0, 0, 0, 0, 1] * 2
    program.arrived(MANY + 16)


def test_calls_of_another_host_leave_one_by_one(program: Program) -> None:
    program.client.call(program.host.socket_url, "echo", NOTHING)
    program.writes_for(MANY)
    assert program.writes_for(2, program.host.socket_url) == 2


def test_what_was_kept_leaves_when_somebody_waits(program: Program) -> None:
    program.writes_for(MANY)
    kept = [program.begin("echo", text) for text in "abc"]
    assert [each.result(BOUND) for each in reversed(kept)] == [b'"c"', b'"b"', b'"a"']


def test_what_was_kept_leaves_when_nobody_waits(program: Program) -> None:
    program.writes_for(MANY)
    assert program.writes_for(1) == 0
    program.arrived(MANY + 1)


def test_calls_that_do_not_follow_each_other_quickly_are_not_kept(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    program.writes_for(MANY)
    assert program.writes_for(1) == 0
    monkeypatch.setattr(transport, "_MOMENT", 0.0)
    assert [program.writes_for(1) for _ in range(2)] == [2, 1]  # the one that was kept, too


def test_few_are_under_way_again_when_they_are_answered(program: Program) -> None:
    begun = [program.begin() for _ in range(MANY + 2)]
    program.host.on_loop(program.host.rig.release.set)
    assert {each.result(BOUND) for each in begun} == {b'"released"'}
    assert program.writes_for(MANY) == MANY


def test_what_was_kept_fails_when_the_client_is_closed(program: Program) -> None:
    program.writes_for(MANY)
    kept = [program.begin() for _ in range(2)]
    program.client.close()
    for each in kept:
        assert isinstance(each.exception(BOUND), RemoteHostError)


def test_what_is_asked_for_before_a_loop_takes_it_leaves_together(program: Program) -> None:
    async def ask() -> int:
        pool = program.host.pool()
        try:
            inside = ForeignLoop(asyncio.get_running_loop(), threading.get_ident())
            client = HostClient(transport=PoolTransport(inside, pool))
            url, timeout = program.host.url, BOUND
            await asyncio.wrap_future(client.submit(url, "echo", NOTHING, timeout=timeout))
            before = program.writes
            asked = [client.submit(url, "echo", echo(text), timeout=timeout) for text in "abcdef"]
            answers = await asyncio.gather(*map(asyncio.wrap_future, asked))
            assert b"".join(answers).replace(b'"', b"") == b"abcdef"
            return program.writes - before
        finally:
            await pool.close()

    with asyncio.Runner(loop_factory=CorkedLoop) as runner:
        assert runner.run(ask()) == 2


def test_who_asks_again_at_once_leaves_the_loop_to_others(program: Program) -> None:
    async def ask() -> int:
        pool = program.host.pool()
        inside = ForeignLoop(asyncio.get_running_loop(), threading.get_ident())
        client = HostClient(transport=PoolTransport(inside, pool))
        await pool.close()
        tries = 0

        def ask_again(_: object = None) -> None:
            nonlocal tries
            tries += 1
            if tries < 100:
                client.submit(program.host.url, "echo", NOTHING, timeout=BOUND).add_done_callback(ask_again)

        ask_again()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return tries

    with asyncio.Runner(loop_factory=CorkedLoop) as runner:
        assert runner.run(ask()) < 10


def program_of_its_own(host: Background, then: str) -> subprocess.Popen[bytes]:
    """One with so many calls under way (``begun``) that it keeps the next ones, and what it does then."""
    program = f"""
        import os
        import sys
        from paglets.remote.client import HostClient
        from paglets.remote.wire import transport
        from tests.wire.site import NOTHING, echo

        def submit(method, params):
            return client.submit({host.url!r}, method, params, timeout={BOUND})

        transport._MOMENT = 600.0
        client = HostClient(mesh_dir={str(host.mesh.path)!r})
        client.call({host.url!r}, "echo", NOTHING)
        begun = [submit("wait", NOTHING) for _ in range({MANY})]
        """
    text = textwrap.dedent(program) + textwrap.dedent(then)
    return subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE)


def test_what_was_kept_leaves_when_the_program_ends(tmp_path: Path) -> None:
    with Background(tmp_path) as host:
        with program_of_its_own(host, 'for _ in range(3): submit("count", NOTHING)') as program:
            assert program.wait(2 * BOUND) == 0
        host.until(lambda: host.rig.served == 3)


def test_a_process_that_is_forked_off_sends_nothing_of_it(tmp_path: Path) -> None:
    then = """
        kept = [submit("echo", echo(text)) for text in "abc"]
        if not os.fork():
            sys.exit()
        os.wait()
        assert [each.result() for each in kept] == [b'"a"', b'"b"', b'"c"']
        print("forked", flush=True)
        assert {each.result() for each in begun} == {b'"released"'}
        """
    with Background(tmp_path) as host, program_of_its_own(host, then) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == b"forked\n"
        host.on_loop(host.rig.release.set)
        assert program.wait(2 * BOUND) == 0


def test_others_are_answered_when_the_beginning_of_a_call_is_interrupted(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin, interrupt = LinkPool.begin, [False, True]

    def interrupted(self: LinkPool, *call: Any) -> Pending[bytes]:
        if interrupt and interrupt.pop(0):
            raise KeyboardInterrupt
        return begin(self, *call)

    async def open_pool() -> LinkPool:
        return program.host.pool()

    with asyncio.Runner(loop_factory=CorkedLoop) as runner:
        pool = runner.run(open_pool())
        inside = ForeignLoop(runner.get_loop(), threading.get_ident())
        client = HostClient(transport=PoolTransport(inside, pool))
        monkeypatch.setattr(LinkPool, "begin", interrupted)
        asked = [client.submit(program.host.url, "echo", echo(text), timeout=BOUND) for text in "abc"]
        with pytest.raises(KeyboardInterrupt):
            runner.run(asyncio.sleep(0))

        async def answers() -> list[Any]:
            waited = [asyncio.wrap_future(each) for each in asked]
            return await asyncio.gather(*waited, return_exceptions=True)

        first, second, third = runner.run(answers())
        assert (first, third) == (b'"a"', b'"c"')
        assert isinstance(second, asyncio.CancelledError)
        runner.run(pool.close())


def test_what_was_kept_fails_at_once_when_its_sending_is_interrupted(program: Program) -> None:
    program.writes_for(MANY)
    kept = [program.begin() for _ in range(7)]
    program.interrupted = True
    with pytest.raises(KeyboardInterrupt):
        program.begin()
    for each in kept:
        assert isinstance(each.exception(BOUND), LinkLostError)  # and not when its time is up
    assert program.begin("echo", "again").result(BOUND) == b'"again"'


@pytest.mark.parametrize("connected", [True, False])
def test_a_program_that_only_asks_is_answered(
    tmp_path: Path, connected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(role, "_MOMENT", 0.1)  # no pause of this loop is as long
    with Background(tmp_path) as host, HostClient(mesh_dir=host.mesh.path) as client:
        if connected:
            client.call(host.url, "echo", NOTHING)
        asked: list[concurrent.futures.Future[bytes]] = []
        deadline = time.monotonic() + BOUND
        while not (asked and asked[0].done()):
            assert time.monotonic() < deadline
            asked.append(client.submit(host.url, "count", NOTHING, timeout=60))
            time.sleep(0.001)
        host.until(lambda: host.rig.served == len(asked))


class Ordered(Rig):
    """Keeps what it was asked for, in order."""

    def operations(self) -> Mapping[str, Operation | SubscriptionOperation]:
        self.asked: list[bytes] = []
        return {**super().operations(), "note": Operation(EchoParams, self.note)}

    async def note(self, _peer: Peer, params: EchoParams) -> None:
        self.asked.append(bytes(params.value))


def test_nothing_overtakes_what_another_thread_kept_from_leaving(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really, busy = SharedLoop.at_once, [True, False, False]

    def at_once(self: SharedLoop, work: Callable[[], bool]) -> bool:
        return not (busy and busy.pop(0)) and really(self, work)

    with Background(tmp_path, Ordered) as host, HostClient(mesh_dir=host.mesh.path) as client:
        client.call(host.url, "echo", NOTHING)
        monkeypatch.setattr(SharedLoop, "at_once", at_once)
        asked = [client.submit(host.url, "note", echo(text), timeout=BOUND) for text in "abc"]
        for each in asked:
            each.result(BOUND)
        assert cast("Ordered", host.rig).asked == [b'"a"', b'"b"', b'"c"']
