"""What a crash comes back to, as the class wants it: the last checkpoint, the last message, or nearly that."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from paglets.core.errors import PagletCrashedError, PagletError
from paglets.core.messages import Message
from paglets.persistence.persistency import DeactivationPolicy
from tests.host.agents_that_crash import Careful, Late, Punctual
from tests.host.support import ask, events_of, eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from paglets.remote.proxy import PagletProxy
    from paglets.runtime.host import Host


def kill(proxy: PagletProxy) -> None:
    """Kill its process; returns when its next life has begun."""
    info = proxy.info()
    os.kill(info["pid"], signal.SIGKILL)
    eventually(lambda: proxy.info()["status"] == "active" and proxy.info()["epoch"] > info["epoch"])


def test_every_reply_speaks_of_something_durable(a: Host) -> None:
    proxy = a.create(Careful)
    for expected in range(1, 3):
        assert ask(proxy, "add") == expected
        kill(proxy)
    proxy.dispose()


def test_many_at_once(a: Host) -> None:
    proxy = a.create(Careful)
    replies = [proxy.send_future(Message("add")) for _ in range(200)]
    done = [reply.get_reply(20) for reply in replies]
    kill(proxy)
    assert sorted(done) == list(range(1, 201))
    assert ask(proxy, "add", by=0) == 200
    proxy.dispose()


def test_what_was_answered_before_the_crash_is_there_after_it(a: Host) -> None:
    proxy = a.create(Careful)
    replies = [proxy.send_future(Message("add")) for _ in range(30)]
    replies.append(proxy.send_future(Message("die")))
    replies += [proxy.send_future(Message("add")) for _ in range(30)]
    with pytest.raises(PagletCrashedError):
        replies[30].get_reply(20)
    assert [each.get_reply(20) for each in (*replies[:30], *replies[31:])] == list(range(1, 61))
    proxy.dispose()


def test_what_a_handler_did_before_it_raised_counts(a: Host) -> None:
    proxy = a.create(Careful)
    with pytest.raises(PagletError):
        proxy.send(Message("raise", arg="HostError"))
    proxy.send(Message("mark", arg="x"))
    kill(proxy)
    assert ask(proxy, "log").count("activation@a:recovered") == 1
    proxy.dispose()


def test_nothing_is_written_for_messages_that_change_nothing(start: Callable[..., Host]) -> None:
    host = start("h")
    proxy = host.create(Careful)
    ask(proxy, "add")
    ask(proxy, "log")
    before = commits(host)
    for _ in range(20):
        ask(proxy, "add", by=0)
    assert commits(host) == before
    ask(proxy, "add")
    assert commits(host) == before + 1


def commits(host: Host) -> int:
    """How many commits its store has had."""
    return int(host.status()["commit"])


def test_a_large_state(a: Host) -> None:
    proxy = a.create(Careful)
    text = "x" * 1_000_000
    assert ask(proxy, "log")
    proxy.send(Message("mark", arg=text))
    kill(proxy)
    assert text in ask(proxy, "peek")
    proxy.dispose()


def test_queued_messages_are_taken_off_with_their_effect(a: Host) -> None:
    proxy = a.create(Careful)
    proxy.deactivate(policy=DeactivationPolicy(activate_on_message=False))
    for _ in range(10):
        proxy.send_oneway(Message("add"))
    proxy.send_oneway(Message("die"))
    proxy.activate()
    eventually(lambda: proxy.info()["status"] == "failed")
    state = a.client.get_json(f"{a.address}/agents/{proxy.agent_id}/state")["state"]
    assert state["count"] == 10, "each of them once, whatever comes after it"
    proxy.dispose()


def test_it_moves_like_any_other(a: Host, b: Host) -> None:
    proxy = a.create(Careful)
    ask(proxy, "add")
    there = proxy.dispatch("b")
    assert ask(there, "add") == 2
    kill(there)
    assert ask(there, "add") == 3
    there.dispose()


def test_at_most_every_so_many_seconds(a: Host) -> None:
    proxy = a.create(Punctual)
    begun = time.monotonic()
    ask(proxy, "log")
    for _ in range(50):
        ask(proxy, "add")
    eventually(lambda: events_of(a, proxy.agent_id, "checkpoint"))
    time.sleep(0.3)  # the last one is due 0.2 s after the one before
    taken = time.monotonic() - begun
    assert 1 <= len(events_of(a, proxy.agent_id, "checkpoint")) <= 1 + taken / 0.2
    kill(proxy)
    assert ask(proxy, "add", by=0) == 50, "the last message is covered without another one"
    proxy.dispose()


def test_what_is_not_due_yet_is_lost(a: Host) -> None:
    proxy = a.create(Late)
    ask(proxy, "add")
    kill(proxy)
    assert ask(proxy, "add", by=0) == 0
    proxy.dispose()
