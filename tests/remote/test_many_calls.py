"""A program that has many calls under way sends the next ones together, and none of them is kept waiting for long."""

from __future__ import annotations

import asyncio
import ssl
import threading
from typing import TYPE_CHECKING

import pytest

from paglets.core.cork import CorkedLoop
from paglets.core.errors import RemoteHostError
from paglets.remote.client import HostClient
from paglets.remote.wire import transport
from paglets.remote.wire.transport import ForeignLoop, PoolTransport
from tests.remote.background import BOUND, Background
from tests.wire.site import NOTHING, echo

if TYPE_CHECKING:
    import concurrent.futures
    from collections.abc import Iterator
    from pathlib import Path

MANY = 8


class Program:
    """A client, and how often this thread has written to its connection."""

    def __init__(self, host: Background, client: HostClient) -> None:
        self.host = host
        self.client = client
        self.writes = 0

    def begin(self, method: str = "wait", text: str = "") -> concurrent.futures.Future[bytes]:
        params = echo(text) if text else NOTHING
        return self.client.submit(self.host.url, method, params, timeout=BOUND)

    def writes_for(self, calls: int) -> int:
        before = self.writes
        for _ in range(calls):
            self.begin()
        return self.writes - before

    def arrived(self, calls: int) -> None:
        self.host.until(lambda: len(self.host.rig.running) == calls)


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Program]:
    """A program that is connected, and quick, however slow the machine is."""
    monkeypatch.setattr(transport, "_MOMENT", 600.0)
    with Background(tmp_path) as host, HostClient(mesh_dir=host.mesh.path) as client:
        client.call(host.url, "echo", NOTHING)
        opened = Program(host, client)
        me, really = threading.get_ident(), ssl.SSLObject.write

        def write(self: ssl.SSLObject, data: bytes) -> int:
            opened.writes += threading.get_ident() == me
            return really(self, data)

        monkeypatch.setattr(ssl.SSLObject, "write", write)
        yield opened
        host.on_loop(host.rig.release.set)


def test_a_few_calls_leave_one_by_one(program: Program) -> None:
    assert program.writes_for(MANY) == MANY


def test_the_next_ones_leave_four_at_a_time(program: Program) -> None:
    program.writes_for(MANY)
    assert [program.writes_for(1) for _ in range(8)] == [0, 0, 0, 1] * 2
    program.arrived(MANY + 8)


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
        assert runner.run(ask()) == 3
