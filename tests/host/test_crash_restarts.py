"""A paglet that crashes is started again, as its class wants it; one that goes on crashing is shown as failed."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from paglets.core.errors import LifecycleError, PagletCrashedError
from paglets.core.messages import Message
from paglets.persistence.persistency import DeactivationPolicy
from tests.host.agents import Notes
from tests.host.agents_that_crash import Doomed, Fragile, Slow
from tests.host.support import ask, events_of, eventually

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from paglets.remote.proxy import PagletProxy
    from paglets.runtime.host import Host

WAYS: list[tuple[str, dict[str, Any]]] = [
    ("exit", {"code": 0}),
    ("die", {}),
    ("kill", {"signal": int(signal.SIGKILL)}),
    ("kill", {"signal": int(signal.SIGSEGV)}),
    ("garble", {}),
]


def crash(proxy: PagletProxy, kind: str = "die", **args: Any) -> None:
    with pytest.raises(PagletCrashedError, match=proxy.agent_id):
        proxy.send(Message(kind, args), timeout=20.0)


@pytest.mark.parametrize(("kind", "args"), WAYS)
def test_it_comes_back_from_its_checkpoint(a: Host, kind: str, args: dict[str, Any]) -> None:
    proxy = a.create(Fragile)
    ask(proxy, "log")
    ask(proxy, "checkpoint")
    ask(proxy, "add", by=3)
    epoch = proxy.info()["epoch"]
    crash(proxy, kind, **args)
    assert ask(proxy, "log") == ["creation@a", "run@a", "activation@a:recovered", "run@a"]
    assert ask(proxy, "add") == 1, "what came after its last checkpoint is gone"
    info = proxy.info()
    assert (info["status"], info["crashed"], info["epoch"]) == ("active", False, epoch + 1)
    (down,) = events_of(a, proxy.agent_id, "paglet-crashed")
    (restarted,) = events_of(a, proxy.agent_id, "restarted")
    assert down.data["restart_in"] == 0.02
    assert (restarted.data["attempt"], restarted.data["delay"]) == (1, 0.02)
    assert restarted.data["why"] == down.error
    proxy.dispose()


def test_waiting_messages_are_handled_by_its_next_life_and_none_twice(a: Host, b: Host) -> None:
    proxy = a.create(Slow)
    far = b.proxy_for(a.address, proxy.agent_id)
    blocked = proxy.send_future(Message("block"))
    eventually(lambda: "block" in a.get_state(proxy.agent_id, Notes).log)
    waiting = [(proxy, far)[n % 2].send_future(Message("mark", arg=f"m{n}")) for n in range(20)]
    eventually(lambda: a.mailbox_status(proxy.agent_id)["waiting"] == 20)
    os.kill(proxy.info()["pid"], signal.SIGKILL)
    with pytest.raises(PagletCrashedError):
        blocked.get_reply(10)
    assert proxy.info()["status"] == "restarting"
    while_down = proxy.send_future(Message("mark", arg="late"))
    assert len({each.get_reply(20) for each in waiting}) == 20
    while_down.get_reply(20)
    log = ask(proxy, "peek")
    assert sorted(each for each in log if each.startswith("m")) == sorted(f"m{n}" for n in range(20))
    assert log[-1] == "late", "what came later is handled later"
    assert "block" not in log, "what was being handled is not run again"
    proxy.dispose()


def test_restarts_are_used_up(a: Host) -> None:
    proxy = a.create(Fragile)
    for _ in range(2):
        crash(proxy)
        ask(proxy, "add")
    waiting = [proxy.send_future(Message(kind)) for kind in ("die", "add", "add")]
    for each in waiting:
        with pytest.raises(PagletCrashedError):
            each.get_reply(20)
    info = proxy.info()
    assert (info["active"], info["crashed"], info["status"]) == (False, True, "failed")
    eventually(lambda: "3 times" in proxy.info()["reason"])
    assert a.health()["failed_count"] == 1
    with pytest.raises(PagletCrashedError, match="activate"):
        proxy.send(Message("add"))
    assert [each.data.get("failed", False) for each in events_of(a, proxy.agent_id, "paglet-crashed")] == [
        False,
        False,
        True,
    ]
    assert len(events_of(a, proxy.agent_id, "restarted")) == 2
    proxy.activate()
    assert ask(proxy, "add") == 1
    crash(proxy)
    assert ask(proxy, "add") == 1, "an activation gives it a fresh window"
    assert a.health()["failed_count"] == 0
    proxy.dispose()


@pytest.mark.parametrize("how", ["die", "raise"])
def test_a_hook_that_fails_counts_as_a_crash(a: Host, tmp_path: Path, how: str) -> None:
    def doomed(times: int) -> PagletProxy:
        return a.create(Doomed, init=[how, str(tmp_path / f"marks{times}"), times])

    proxy = doomed(1)
    crash(proxy)
    assert ask(proxy, "add") == 1
    assert len(events_of(a, proxy.agent_id, "paglet-crashed")) == 2
    (restarted,) = events_of(a, proxy.agent_id, "restarted")
    assert restarted.data["attempt"] == 2
    proxy = doomed(4)
    with pytest.raises(PagletCrashedError):
        proxy.send(Message("die"))
    eventually(lambda: proxy.info()["status"] == "failed")
    assert len(events_of(a, proxy.agent_id, "paglet-crashed")) == 3
    with pytest.raises(LifecycleError):
        proxy.activate()
    assert ask(proxy, "add") == 1, "it was started again until its hook returned"


def test_an_activation_does_not_wait_for_the_pause(a: Host) -> None:
    proxy = a.create(Slow)
    crash(proxy)
    waiting = proxy.send_future(Message("add"))
    proxy.activate()
    assert waiting.get_reply(10) == 1
    assert not events_of(a, proxy.agent_id, "restarted")
    proxy.dispose()


def test_what_is_disposed_of_while_it_waits_stays_so(a: Host) -> None:
    proxy = a.create(Slow)
    crash(proxy)
    waiting = proxy.send_future(Message("add"))
    proxy.dispose()
    with pytest.raises(Exception, match="disposed of"):
        waiting.get_reply(10)
    assert not proxy.is_valid()


def test_messages_queued_durably_come_first_again(a: Host) -> None:
    proxy = a.create(Fragile)
    proxy.deactivate(policy=DeactivationPolicy(activate_on_message=False))
    proxy.send_oneway(Message("mark", arg="before"))
    proxy.send_oneway(Message("die"))
    proxy.send_oneway(Message("mark", arg="after"))
    proxy.activate()
    eventually(lambda: proxy.info()["status"] == "failed")
    assert len(events_of(a, proxy.agent_id, "paglet-crashed")) == 3, (
        "a message that kills each life ends in that"
    )
    proxy.dispose()


def test_a_host_that_starts_again_tries_again(start: Callable[..., Host]) -> None:
    host = start("h")
    proxy = host.create(Fragile, agent_id="one")
    for _ in range(3):
        with pytest.raises(PagletCrashedError):
            proxy.send(Message("die"), timeout=20.0)
    eventually(lambda: "times" in proxy.info()["reason"])
    host.stop()
    later = start("h")
    again = later.proxy_for(later.address, "one")
    eventually(lambda: again.info()["status"] == "active")
    assert ask(again, "add") == 1


def test_no_restart_while_the_host_stops(start: Callable[..., Host]) -> None:
    host = start("h")
    proxies = [host.create(Fragile), host.create(Slow)]
    for proxy in proxies:
        proxy.send_oneway(Message("die"))
    host.stop()
    assert not [
        each
        for each in host.list_events(limit=1000)
        if each.kind == "restarted" and each.data["delay"] == 1.0
    ]
