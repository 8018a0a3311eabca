"""A program's calls run their loop on the thread that waits; a thread stands by for everything else."""

from __future__ import annotations

import asyncio
import signal
import threading
from typing import TYPE_CHECKING

import pytest

from paglets.core.errors import HostError
from paglets.remote.client import HostClient
from tests.remote.background import Background
from tests.wire.site import NOTHING, echo

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import FrameType

BOUND = 20.0


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Background]:
    with Background(tmp_path) as running:
        yield running


@pytest.fixture
def client(host: Background) -> Iterator[HostClient]:
    with HostClient(BOUND, mesh_dir=host.mesh.path) as client:
        client.call(host.url, "echo", echo("connected"))
        yield client


def test_the_thread_that_waits_gets_its_answers_itself(host: Background, client: HostClient) -> None:
    told_on: list[threading.Thread] = []
    for number in range(50):
        answer = client.submit(host.url, "echo", echo(str(number)))
        answer.add_done_callback(lambda _: told_on.append(threading.current_thread()))
        assert answer.result(BOUND) == b'"%d"' % number
    mine = sum(thread is threading.current_thread() for thread in told_on)
    assert mine > 25, (
        "the one who stands by helps out when this thread is kept from running, on a busy machine"
    )


def test_what_nobody_waits_for_comes_all_the_same(host: Background, client: HostClient) -> None:
    came = [threading.Event() for _ in range(20)]
    for event in came:
        client.submit(host.url, "echo", echo("x")).add_done_callback(lambda _, event=event: event.set())
    assert all(event.wait(BOUND) for event in came)


def test_answers_come_in_any_order(host: Background, client: HostClient) -> None:
    waiting = client.submit(host.url, "wait", NOTHING)
    answers = [client.submit(host.url, "echo", echo(str(number))) for number in range(30)]
    assert [answer.result(BOUND) for answer in reversed(answers)] == [
        b'"%d"' % n for n in reversed(range(30))
    ]
    with pytest.raises(TimeoutError):
        waiting.result(0.01)
    host.on_loop(host.rig.release.set)
    assert waiting.result(BOUND) == b'"released"'


def test_one_thread_that_waits_for_long_holds_up_no_other(host: Background, client: HostClient) -> None:
    waiting = threading.Thread(target=client.call, args=(host.url, "wait", NOTHING))
    waiting.start()
    host.until(lambda: host.rig.running)
    assert client.call(host.url, "echo", echo("meanwhile")) == b'"meanwhile"'
    host.on_loop(host.rig.release.set)
    waiting.join(BOUND)
    assert not waiting.is_alive()


def test_whoever_is_told_of_an_answer_cannot_wait_for_another(host: Background, client: HostClient) -> None:
    told: list[BaseException | None] = []
    done = threading.Event()

    def ask_again(_: object) -> None:
        try:
            client.call(host.url, "echo", echo("again"))
        except HostError as error:
            told.append(error)
        done.set()

    client.submit(host.url, "wait", NOTHING).add_done_callback(ask_again)
    host.on_loop(host.rig.release.set)  # not before: what has come already is told on the thread that asks
    assert done.wait(BOUND)
    assert "would wait for itself" in str(told[0])


async def test_a_thread_with_a_loop_of_its_own_can_call(host: Background, client: HostClient) -> None:
    assert asyncio.get_running_loop().is_running()
    assert client.call(host.url, "echo", echo("inside")) == b'"inside"'


class _InterruptedError(Exception):
    """Comes as Ctrl-C does."""


def test_a_call_that_is_interrupted_leaves_a_client_that_works(host: Background, client: HostClient) -> None:
    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise _InterruptedError

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        for _ in range(3):
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            with pytest.raises(_InterruptedError):
                client.call(host.url, "wait", NOTHING)
            assert client.call(host.url, "echo", echo("still here")) == b'"still here"'
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
