"""Events, listeners, properties, and waiting for notice."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from paglets.core.errors import HostError, LifecycleError
from paglets.core.messages import Message
from tests.host.agents import Recorder, Runner
from tests.host.agents_with_states import Observer
from tests.host.support import ask, events_of, eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from paglets.core.context_events import ContextEvent
    from paglets.remote.proxy import PagletProxy
    from paglets.runtime.host import Host


def test_a_life_in_events(a: Host, b: Host) -> None:
    proxy = a.create(Recorder)
    ask(proxy, "log")
    proxy.deactivate(reason="nap")
    proxy.activate()
    clone = proxy.clone("b")
    proxy.dispatch("b")
    a.retract(b.address, proxy.agent_id)
    proxy = a.proxy_for(a.address, proxy.agent_id)
    ask(proxy, "peek")
    with pytest.raises(Exception, match="nothing"):
        proxy.send(Message("nothing"))
    proxy.dispose()
    assert [each.kind for each in events_of(a, proxy.agent_id)] == [
        "create", "message-delivered", "deactivate", "activate", "dispatch", "arrival", "message-delivered",
        "message-failed", "dispose",
    ]  # fmt: skip
    assert [each.kind for each in events_of(b, proxy.agent_id)] == ["arrival", "retract"]
    assert [each.kind for each in events_of(b, clone.agent_id)] == ["clone"]
    for event in events_of(a, proxy.agent_id):
        assert (event.host_name, event.host_address) == ("a", a.address)
        assert event.class_name == "tests.host.agents:Recorder"
        assert abs(event.timestamp - time.time()) < 60


def test_events_are_numbered(start: Callable[..., Host]) -> None:
    host = start("h")
    host.create(Recorder)
    events = host.list_events(limit=1000)
    assert [each.event_id for each in events] == list(range(1, len(events) + 1))
    assert events[0].kind == "context-start"
    assert host.list_events(since=events[-2].event_id) == events[-1:]
    assert host.list_events(limit=1) == events[:1]


def test_listeners_may_call_the_host(a: Host) -> None:
    heard: list[ContextEvent] = []
    known: list[bool] = []

    def listen(event: ContextEvent) -> None:
        heard.append(event)
        if event.kind == "create" and event.agent_id is not None:
            known.append(a.get_proxy(event.agent_id) is not None)

    a.add_listener(listen)
    proxy = a.create(Recorder)
    eventually(lambda: known == [True])
    a.remove_listener(listen)
    proxy.dispose()
    a.create(Recorder)
    time.sleep(0.05)
    assert "dispose" not in {each.kind for each in heard}


def test_a_listener_that_raises_does_not_stop_the_others(a: Host) -> None:
    heard: list[str] = []

    def bad(_: ContextEvent) -> None:
        raise ValueError("cannot listen")

    def good(event: ContextEvent) -> None:
        heard.append(event.kind)

    a.add_listener(bad)
    a.add_listener(good)
    a.create(Recorder)
    eventually(lambda: "event-listener-failed" in heard)
    a.remove_listener(bad)
    a.remove_listener(good)
    assert "create" in heard
    failed = [each for each in a.list_events(limit=1000) if each.kind == "event-listener-failed"]
    assert "cannot listen" in str(failed[-1].error)


def test_slow_listeners_hold_up_nobody(a: Host) -> None:
    gate = threading.Event()

    def slow(_: ContextEvent) -> None:
        gate.wait(5)

    a.add_listener(slow)
    started = time.monotonic()
    ask(a.create(Recorder), "log")
    assert time.monotonic() - started < 3
    gate.set()
    a.remove_listener(slow)


def test_a_call_returns_when_the_listeners_have_seen_what_it_caused(a: Host) -> None:
    heard: list[ContextEvent] = []
    a.add_listener(heard.append)

    def kinds(proxy: PagletProxy) -> list[str]:
        return [event.kind for event in heard if event.agent_id == proxy.agent_id]

    try:
        for _ in range(10):
            proxy = a.create(Recorder)
            assert kinds(proxy) == ["create"]
            ask(proxy, "log")
            assert kinds(proxy) == ["create", "message-delivered"]
            with pytest.raises(Exception, match="nothing"):
                proxy.send(Message("nothing"))
            assert kinds(proxy)[2:] == ["message-failed"]
            proxy.dispose()
            assert kinds(proxy)[3:] == ["dispose"]
    finally:
        a.remove_listener(heard.append)


# --- properties -------------------------------------------------------------------------------------------


def test_properties(a: Host) -> None:
    assert a.get_property("colour") is None
    assert a.get_property("colour", "none") == "none"
    a.set_property("colour", {"name": ["red", None]})
    observer = a.create(Observer)
    assert ask(observer, "property", key="colour") == {"name": ["red", None]}
    assert ask(observer, "property", key="missing", default=3) == 3
    ask(observer, "set-property", key="colour", value="blue")
    assert a.get_property("colour") == "blue"
    a.set_property("colour", None)
    assert a.get_property("colour", "default") is None
    with pytest.raises(Exception, match="object"):
        a.set_property("bad", object())


def test_properties_from_the_start(start: Callable[..., Host]) -> None:
    host = start("h", properties={"site": "roof"}, tags=["B", " a ", "b"])
    assert host.get_property("site") == "roof"
    assert host.tags == ("a", "b")
    assert host.health()["properties"] == {"site": "roof"}
    assert ask(host.create(Observer), "property", key="site") == "roof"


def test_paglets_start_beside_more_properties_than_a_frame_holds(start: Callable[..., Host]) -> None:
    text = "x" * 64 * 1024
    host = start("h")
    for number in range(256):
        host.set_property(f"p{number}", text)
    observer = host.create(Observer)
    assert ask(observer, "property", key="p255") == text


# --- what a context sees ----------------------------------------------------------------------------------


def test_the_context(a: Host, b: Host) -> None:
    observer, other, parked, afar = (
        a.create(Observer),
        a.create(Recorder),
        a.create(Recorder),
        b.create(Recorder),
    )
    parked.deactivate()
    seen = ask(
        observer, "look", other=other.agent_id, parked=parked.agent_id, afar=afar.agent_id, url=b.address
    )
    assert seen == {
        "name": "a", "address": a.address, "agent_id": observer.agent_id,
        "other": other.to_wire(), "parked": parked.to_wire(), "nobody": None,
        "afar here": None, "afar by url": afar.to_wire(), "afar by name": afar.to_wire(),
        "hosts": ["a", "b"], "others": ["b"], "online": True, "unknown": False, "status": "b", "no status": None,
        "waited": "b", "is remote": [False, True],
    }  # fmt: skip
    active, inactive, both = ask(observer, "proxies")
    assert other.agent_id in active
    assert parked.agent_id not in active
    assert parked.agent_id in inactive
    assert set(both) == set(active) | set(inactive)
    with pytest.raises(HostError, match="nowhere"):
        ask(observer, "wait-for", name="nowhere")


def test_it_moves_and_parks_others(a: Host, b: Host) -> None:
    observer, other = a.create(Observer), a.create(Recorder)
    for kind in ("dispatch_to", "dispatch"):
        assert ask(observer, "handle", method=kind, args=[other.agent_id, "b"])["host_url"] == b.address
        other.dispatch("a")
    assert ask(observer, "handle", method="clone_to", args=[other.agent_id, "b"])["host_url"] == b.address
    assert ask(observer, "handle", method="clone", args=[other.agent_id])["host_url"] == a.address
    ask(observer, "handle", method="deactivate", args=[other.agent_id])
    assert not other.is_active()
    with pytest.raises(HostError, match="no host named 'nowhere'"):
        ask(observer, "handle", method="dispatch_to", args=[other.agent_id, "nowhere"])


# --- notice -----------------------------------------------------------------------------------------------


def test_the_program_waits_for_notice(a: Host) -> None:
    proxy = a.create(Observer)
    assert a.wait_message(proxy.agent_id, 0.05) is False
    for notify in (
        lambda: a.notify_message(proxy.agent_id),
        lambda: a.notify_all_messages(proxy.agent_id),
        lambda: ask(proxy, "notify"),
        lambda: ask(proxy, "notify-all"),
    ):
        assert waiters_are_woken(a, proxy.agent_id, notify)


def waiters_are_woken(host: Host, agent_id: str, notify: Callable[[], object]) -> bool:
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(host.wait_message, agent_id, 5) for _ in range(2)]
        eventually(lambda: notify() or all(each.done() for each in waiting))
        return all(each.result() for each in waiting)


def test_the_wait_ends_with_the_paglet(a: Host) -> None:
    proxy = a.create(Recorder)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(a.wait_message, proxy.agent_id, 10)
        assert not a.wait_message(proxy.agent_id, 0.1)
        proxy.dispose()
        with pytest.raises(LifecycleError, match=proxy.agent_id):
            waiting.result(5)


def test_a_paglet_waits_for_notice_of_others(a: Host) -> None:
    proxy = a.create(Runner, init=["wait-message"])
    ask(proxy, "log")
    eventually(lambda: a.notify_message(proxy.agent_id) or ask(proxy, "peek")[-1] == "noticed")
