from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from paglets.core.agent import ACTIVE, INACTIVE
from paglets.core.errors import HostError, InvalidAgentError, LifecycleError, PagletInactiveError
from paglets.core.messages import Message
from paglets.persistence.persistency import DeactivationPolicy, DeactivationRequest
from tests.host.agents import Mover, Notes, Picky, Recorder, Runner, Sleeper
from tests.host.support import ask, events_of, eventually, exists

if TYPE_CHECKING:
    from collections.abc import Callable

    from paglets.runtime.host import Host

QUEUES = DeactivationPolicy(activate_on_message=False)
REFUSES = DeactivationPolicy(activate_on_message=False, queue_messages_when_inactive=False)


def test_parked_and_woken(a: Host) -> None:
    proxy = a.create(Recorder, Notes(count=3))
    ask(proxy, "log")
    pid = proxy.info()["pid"]
    parked = proxy.deactivate(reason="night")
    assert (parked.host_url, parked.agent_id) == (a.address, proxy.agent_id)
    assert not proxy.is_active()
    assert proxy.is_valid()
    assert proxy.is_state(INACTIVE)
    assert not proxy.is_state(ACTIVE)
    assert proxy.info()["pid"] is None
    assert a.get_proxy(proxy.agent_id) is None
    assert a.get_proxy(proxy.agent_id, include_inactive=True) == proxy
    assert proxy in a.get_proxies(INACTIVE)
    assert proxy not in a.get_proxies()
    assert a.get_state(proxy.agent_id, Notes).count == 3
    proxy.activate()
    assert ask(proxy, "log") == [
        "creation@a",
        "run@a",
        "deactivating@a:night",
        "activation@a:activate",
        "run@a",
    ]
    assert proxy.info()["pid"] != pid


def test_twice_is_once(a: Host) -> None:
    proxy = a.create(Recorder)
    proxy.deactivate()
    proxy.deactivate()
    proxy.activate()
    proxy.activate()
    assert [each.kind for each in events_of(a, proxy.agent_id, "activate", "deactivate")] == [
        "deactivate",
        "activate",
    ]


def test_a_message_wakes_it(a: Host, b: Host) -> None:
    proxy = a.create(Recorder)
    for sender in (a, b):
        proxy.deactivate()
        assert ask(sender.proxy_for(a.address, proxy.agent_id), "add") > 0
        assert proxy.is_active()
    proxy.deactivate()
    proxy.send_oneway(Message("add"))
    assert ask(proxy, "add", by=0) == 3
    proxy.deactivate()
    assert proxy.send_future(Message("add")).get_reply(10) == 4


def test_many_messages_wake_it_once(a: Host) -> None:
    proxy = a.create(Recorder)
    proxy.deactivate()
    replies = [proxy.send_future(Message("add")) for _ in range(20)]
    assert [reply.get_reply(20) for reply in replies] == list(range(1, 21))
    assert len(events_of(a, proxy.agent_id, "activate")) == 1


def test_no_delay(a: Host) -> None:
    proxy = a.create(Recorder)
    proxy.deactivate()
    with pytest.raises(PagletInactiveError, match=proxy.agent_id):
        proxy.send(Message("add"), no_delay=True)
    with pytest.raises(PagletInactiveError):
        proxy.send_oneway(Message("add"), no_delay=True)
    assert not proxy.is_active()
    proxy.activate()
    assert proxy.send(Message("add"), no_delay=True) == 1


def test_queued_messages_are_handled_in_order_on_activation(a: Host, b: Host) -> None:
    proxy = a.create(Sleeper)
    proxy.deactivate(policy=QUEUES)
    far = b.proxy_for(a.address, proxy.agent_id)
    messages = [Message("mark", arg=str(number)) for number in range(6)]
    for message in messages[:4]:
        assert (proxy, far)[int(message.arg) % 2].send(message) == {
            "queued": True,
            "message_id": message.message_id,
        }
    proxy.send_oneway(messages[4])
    assert proxy.send_future(messages[5]).get_reply(5)["queued"] is True
    assert not proxy.is_active()
    proxy.activate()
    assert [each for each in ask(proxy, "peek") if each.isdigit()] == ["0", "1", "2", "3", "4", "5"]


def test_a_message_can_ask_not_to_wake(a: Host) -> None:
    proxy = a.create(Recorder)
    proxy.deactivate()
    assert proxy.send(Message("add"), activate_if_inactive=False)["queued"] is True
    assert not proxy.is_active()
    assert ask(proxy, "add") == 2


def test_refusal(a: Host) -> None:
    proxy = a.create(Recorder)
    proxy.deactivate(policy=REFUSES)
    with pytest.raises(PagletInactiveError, match="parked"):
        proxy.send(Message("add"))
    assert not proxy.is_active()


def test_its_own_policy(a: Host) -> None:
    proxy = a.create(Sleeper, init={"activate_on_message": False})
    a.deactivate(proxy.agent_id)
    assert proxy.send(Message("mark", arg="x"))["queued"] is True
    a.activate(proxy.agent_id)
    a.deactivate(
        proxy.agent_id, DeactivationRequest(reason="r", policy=DeactivationPolicy(), metadata={"m": [1]})
    )
    assert proxy.send(Message("mark", arg="y")) == "y"
    assert {"activate {'m': [1]} True", "y"} <= set(ask(proxy, "peek"))


def test_what_waits_moves_along(a: Host, b: Host) -> None:
    proxy = a.create(Sleeper)
    proxy.deactivate(policy=QUEUES)
    for number in range(5):
        proxy.send(Message("mark", arg=str(number)))
    proxy.dispatch("b")
    assert not proxy.is_active()
    proxy.activate()
    eventually(lambda: "4" in ask(proxy, "peek"))
    assert [each for each in ask(proxy, "peek") if each.isdigit()] == ["0", "1", "2", "3", "4"]


# --- by itself --------------------------------------------------------------------------------------------


def test_from_a_handler(a: Host) -> None:
    proxy = a.create(Mover)
    ask(proxy, "log")
    assert ask(proxy, "park") == proxy.to_wire()
    assert not proxy.is_active()
    assert ask(proxy, "log") == [
        "creation@a",
        "run@a",
        "deactivating@a:tired",
        "activation@a:activate",
        "run@a",
    ]


def test_from_run(a: Host) -> None:
    proxy = a.create(Runner, init=["park"])
    eventually(lambda: not proxy.is_active())
    assert "activation@a:activate" in ask(proxy, "log")


@pytest.mark.parametrize("wait", ["wait", "wait-message"])
@pytest.mark.parametrize("leave", ["deactivate", "dispatch", "dispose"])
def test_run_that_waits_does_not_outlive_it(a: Host, wait: str, leave: str) -> None:
    proxy = a.create(Runner, init=[wait])
    ask(proxy, "log")
    pid = proxy.info()["pid"]
    started = time.monotonic()
    _ = proxy.dispatch("b") if leave == "dispatch" else getattr(proxy, leave)()
    eventually(lambda: not exists(pid))
    assert time.monotonic() - started < 3


@pytest.mark.parametrize("hook", ["deactivating"])
def test_a_hook_that_raises_cancels(a: Host, hook: str) -> None:
    proxy = a.create(Picky, init=[hook])
    with pytest.raises(HostError, match=hook):
        proxy.deactivate()
    assert ask(proxy, "add") == 1
    proxy.deactivate()


def test_an_activation_hook_that_raises(a: Host) -> None:
    proxy = a.create(Picky, init=["activation"])
    proxy.deactivate()
    with pytest.raises(LifecycleError, match="not activation"):
        proxy.activate()
    assert proxy.info()["status"] == "failed"
    with pytest.raises(LifecycleError, match="not activation"):
        proxy.activate()
    proxy.dispose()


def test_dispose(a: Host, b: Host) -> None:
    proxy = a.create(Recorder)
    proxy.dispose()
    assert not proxy.is_valid()
    with pytest.raises(InvalidAgentError):
        proxy.send(Message("add"))
    with pytest.raises(InvalidAgentError):
        proxy.dispose()
    with pytest.raises(InvalidAgentError):
        proxy.activate()
    parked = a.create(Recorder)
    parked.deactivate()
    b.proxy_for(a.address, parked.agent_id).dispose()
    assert not parked.is_valid()
    assert [each.kind for each in events_of(a, parked.agent_id)] == ["create", "deactivate", "dispose"]


def test_dispose_from_a_handler(a: Host) -> None:
    proxy = a.create(Mover)
    assert ask(proxy, "end") == "disposed"
    assert not proxy.is_valid()


def test_a_disposing_hook_that_raises_cancels(a: Host) -> None:
    proxy = a.create(Picky, init=["disposing"])
    with pytest.raises(HostError, match="not disposing"):
        proxy.dispose()
    assert ask(proxy, "add") == 1
    proxy.dispose()
    assert not proxy.is_valid()


# --- woken by the clock, and by the start of the host -----------------------------------------------------


def test_woken_at_a_time(a: Host) -> None:
    proxy = a.create(Recorder)
    proxy.deactivate(policy=DeactivationPolicy.after(0.3, activate_on_message=False))
    assert not proxy.is_active()
    eventually(proxy.is_active, within=3)


def test_woken_at_a_time_that_has_passed(a: Host) -> None:
    proxy = a.create(Recorder)
    proxy.deactivate(policy=DeactivationPolicy(activate_at=time.time() - 100))
    eventually(proxy.is_active, within=3)


def test_a_later_time_replaces_an_earlier_one(a: Host) -> None:
    proxy = a.create(Recorder)
    proxy.deactivate(policy=DeactivationPolicy.after(0.4))
    proxy.activate()
    proxy.deactivate(policy=DeactivationPolicy.after(1000))
    other = a.create(Recorder)
    other.deactivate(policy=DeactivationPolicy.after(0.6))
    eventually(other.is_active, within=3)
    assert not proxy.is_active()


def test_the_time_goes_along_with_a_parked_paglet(a: Host, b: Host) -> None:
    proxy = a.create(Recorder)
    proxy.deactivate(policy=DeactivationPolicy.after(0.4))
    proxy.dispatch("b")
    assert not proxy.is_active()
    eventually(proxy.is_active, within=3)
    assert proxy.host_url == b.address


@pytest.mark.parametrize("how", ["stop", "shutdown"])
def test_times_hold_over_a_restart(start: Callable[..., Host], how: str) -> None:
    host = start("h")
    early, due, late, startup, plain = (
        host.create(Recorder, agent_id=name) for name in ("early", "due", "late", "startup", "plain")
    )
    early.deactivate(policy=DeactivationPolicy.after(0.1))
    due.deactivate(policy=DeactivationPolicy.after(1.5))
    late.deactivate(policy=DeactivationPolicy.after(1000))
    startup.deactivate(policy=DeactivationPolicy(activate_on_startup=True))
    plain.deactivate()
    getattr(host, how)()
    host = start("h")

    def active() -> set[str]:
        return {each["agent_id"] for each in host.list_agents()}

    eventually(lambda: {"early", "startup"} <= active())
    eventually(lambda: "due" in active())
    assert active() == {"early", "startup", "due"}
