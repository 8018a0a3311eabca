"""Whatever a paglet's process does, its host goes on, tells of it, and can start it again."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest

from paglets.core.errors import HostError, LifecycleError, PagletCrashedError
from paglets.core.messages import Message
from paglets.persistence.persistency import DeactivationPolicy
from paglets.remote.transfer import TransferTicket
from tests.host.agents import Notes, Recorder, Runner, Server
from tests.host.support import ask, events_of, eventually, exists

if TYPE_CHECKING:
    from collections.abc import Callable

    from paglets.runtime.host import Host

WAYS: list[tuple[str, dict[str, Any]]] = [
    ("exit", {"code": 5}),
    ("exit", {"code": 0}),
    ("die", {}),
    ("kill", {"signal": int(signal.SIGKILL)}),
    ("kill", {"signal": int(signal.SIGSEGV)}),
]


@pytest.mark.parametrize(("kind", "args"), WAYS)
def test_ends_that_nobody_wanted(a: Host, kind: str, args: dict[str, Any]) -> None:
    proxy = a.create(Server)
    ask(proxy, "log")
    proxy.send(Message("add", {"by": 3}))
    with pytest.raises(PagletCrashedError, match=proxy.agent_id):
        proxy.send(Message(kind, args))
    info = proxy.info()
    assert (info["active"], info["crashed"], info["status"]) == (False, True, "failed")
    if kind == "exit":
        assert info["exitcode"] == args["code"]
    if kind == "kill":
        assert info["exitcode"] == -args["signal"]
    assert not proxy.is_active()
    with pytest.raises(PagletCrashedError, match="activate"):
        proxy.send(Message("add"))
    assert events_of(a, proxy.agent_id, "paglet-crashed")
    proxy.activate()
    assert ask(proxy, "log") == ["creation@a", "activation@a:recovered", "run@a"], "from its last checkpoint"
    assert ask(proxy, "add") == 1


def test_everybody_who_waits_hears_of_it(a: Host, b: Host) -> None:
    proxy = a.create(Server)
    far = b.proxy_for(a.address, proxy.agent_id)
    blocked = proxy.send_future(Message("block"))
    eventually(lambda: "block" in a.get_state(proxy.agent_id, Notes).log)
    waiting = [each.send_future(Message("add")) for each in (proxy, far, proxy)]
    oneway = Message("mark", arg="never")
    far.send_oneway(oneway)
    os.kill(proxy.info()["pid"], signal.SIGKILL)
    for reply in (blocked, *waiting):
        with pytest.raises(PagletCrashedError):
            reply.get_reply(10)
    failed = events_of(a, proxy.agent_id, "message-failed")
    assert oneway.message_id in {each.message_id for each in failed}, "nothing is lost silently"
    assert len(failed) == 5


def test_a_crashed_one_can_be_disposed_of(a: Host) -> None:
    proxy = a.create(Server)
    with pytest.raises(PagletCrashedError):
        proxy.send(Message("die"))
    for operation in (proxy.deactivate, lambda: proxy.dispatch("b"), proxy.clone):
        with pytest.raises((LifecycleError, PagletCrashedError), match=proxy.agent_id):
            operation()
    assert a.get_state(proxy.agent_id, Notes).log[0] == "creation@a", "its last checkpoint"
    proxy.dispose()
    assert not proxy.is_valid()


def test_queued_messages_survive_a_crash(a: Host) -> None:
    proxy = a.create(Server)
    proxy.deactivate(policy=DeactivationPolicy(activate_on_message=False))
    proxy.send_oneway(Message("die"))
    proxy.send_oneway(Message("mark", arg="after"))
    proxy.activate()
    eventually(lambda: proxy.info()["crashed"])
    proxy.activate()
    eventually(lambda: proxy.info()["crashed"])
    assert len(events_of(a, proxy.agent_id, "paglet-crashed")) == 2
    proxy.dispose()


def test_checkpoints_are_what_a_crash_comes_back_to(a: Host) -> None:
    proxy = a.create(Server)
    ask(proxy, "add", by=5)
    ask(proxy, "checkpoint")
    ask(proxy, "add", by=5)
    a.checkpoint(proxy.agent_id)
    ask(proxy, "add", by=5)
    with pytest.raises(PagletCrashedError):
        proxy.send(Message("die"))
    proxy.activate()
    assert ask(proxy, "add", by=0) == 10


# --- endless loops ----------------------------------------------------------------------------------------


def test_an_endless_handler(a: Host, b: Host) -> None:
    proxy = a.create(Server)
    pid = ask(proxy, "where")[2]
    with pytest.raises(HostError, match="did not"):
        proxy.send(Message("spin"), timeout=0.2)
    assert a.get_state(proxy.agent_id, Notes).count > 0, "it can still be looked at"
    for move in (
        lambda: a.dispatch(proxy.agent_id, ticket("b", 0.3)),
        lambda: a.clone(proxy.agent_id, target=ticket("b", 0.3)),
    ):
        with pytest.raises(LifecycleError, match="still handling"):
            move()
    assert proxy.is_active()
    os.kill(pid, signal.SIGKILL)
    proxy.dispose()


@pytest.mark.slow
def test_disposal_does_not_wait_for_an_endless_handler(a: Host) -> None:
    proxy = a.create(Server)
    pid = ask(proxy, "where")[2]
    proxy.send_oneway(Message("spin"))
    started = time.monotonic()
    proxy.dispose()
    eventually(lambda: not exists(pid))
    assert time.monotonic() - started < 8


def ticket(target: str, timeout: float) -> Any:
    return TransferTicket(target, timeout=timeout)


def test_an_endless_run(a: Host, b: Host) -> None:
    proxy = a.create(Runner, init=["spin"])
    assert ask(proxy, "add") > 0, "messages are handled beside it"
    started = time.monotonic()
    assert proxy.dispatch("b").host_url == b.address
    assert time.monotonic() - started < 4, "nobody waits for it"
    assert ask(proxy, "where")[0] == "b"


def test_run_that_raises(a: Host) -> None:
    proxy = a.create(Runner, init=["raise"])
    failed = eventually(lambda: events_of(a, proxy.agent_id, "message-failed"))
    assert "run cannot go on" in str(failed[0].error)
    assert ask(proxy, "add") == 1


@pytest.mark.slow
@pytest.mark.parametrize("how", ["stop", "shutdown"])
def test_the_end_of_a_host_is_bounded(start: Callable[..., Host], how: str) -> None:
    host = start("h")
    spinning, running, well = (
        host.create(cls, agent_id=name, init=init)
        for cls, name, init in (
            (Server, "spinning", None),
            (Runner, "running", ["spin"]),
            (Recorder, "well", None),
        )
    )
    ask(well, "log")
    spinning.send_oneway(Message("spin"))
    pids = [each.info()["pid"] for each in (spinning, running, well)]
    started = time.monotonic()
    getattr(host, how)()
    assert time.monotonic() - started < 25
    assert not any(exists(pid) for pid in pids)
    host = start("h")
    for name in ("spinning", "running", "well"):
        proxy = host.proxy_for(host.address, name)
        assert ask(proxy, "add", by=0) is not None


def test_stop_does_not_wait_for_anything(start: Callable[..., Host]) -> None:
    host = start("h")
    spinning, running = host.create(Server), host.create(Runner, init=["spin"])
    spinning.send_oneway(Message("spin"))
    pids = [each.info()["pid"] for each in (spinning, running)]
    started = time.monotonic()
    host.stop()
    assert time.monotonic() - started < 3
    assert not any(exists(pid) for pid in pids)
