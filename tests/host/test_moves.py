from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from paglets.core.errors import (
    HostError,
    InvalidAgentError,
    LifecycleError,
    ResourceCleanupError,
    TransferError,
)
from paglets.core.messages import Message
from paglets.core.runtime_values import ArrivalMode
from paglets.remote.transfer import TransferTicket
from paglets.runtime.work_dirs import WorkDirs
from tests.host.agents import EarlyBird, FailsThere, Mover, Notes, Picky, Recorder, Runner
from tests.host.agents_with_files import HasFiles
from tests.host.support import ask, events_of, eventually

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from paglets.remote.proxy import PagletProxy
    from paglets.runtime.host import Host

MADE = ["creation@a", "run@a"]
SENT = ["dispatching@a:a->b"]
ARRIVED = ["arrival@b:a->b:dispatch"]


@pytest.mark.parametrize("by_name", [True, False])
def test_dispatch_from_outside(a: Host, b: Host, by_name: bool) -> None:
    proxy = a.create(Recorder, Notes(count=4))
    ask(proxy, "log")
    moved = a.dispatch(proxy.agent_id, "b" if by_name else b.address)
    assert moved.host_url == b.address
    assert ask(moved, "log") == [*MADE, *SENT, *ARRIVED, "run@b"]
    assert ask(moved, "add") == 5
    assert a.get_proxy(proxy.agent_id, include_inactive=True) is None
    assert b.get_proxy(proxy.agent_id) == moved


def test_an_arrival_does_not_wait_until_work_directories_are_removed(
    a: Host, b: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    release, really = threading.Event(), WorkDirs.remove
    begun: list[Path] = []

    def remove(self: WorkDirs, aside: Path) -> None:
        begun.append(aside)
        release.wait(30)
        really(self, aside)

    monkeypatch.setattr(WorkDirs, "remove", remove)
    threads = min(32, (os.cpu_count() or 1) + 4)  # of an event loop's own executor
    try:
        for _ in range(threads):
            gone = b.create(Recorder)
            b.work_dir_for(gone.agent_id)
            gone.dispose()
        eventually(lambda: len(begun) == threads)
        proxy = a.create(Recorder)
        assert a.dispatch(proxy.agent_id, TransferTicket("b", timeout=5.0)).host_url == b.address
    finally:
        release.set()


def test_a_proxy_moves_with_its_paglet(a: Host, b: Host) -> None:
    proxy = a.create(Recorder)
    again = proxy.dispatch("b")
    assert proxy.host_url == again.host_url == b.address
    assert not again.is_remote(b.address)
    assert again.is_remote()


def test_others_proxies_follow(a: Host, b: Host) -> None:
    proxy, other = (made := a.create(Recorder)), a.proxy_for(a.address, made.agent_id)
    proxy.dispatch("b")
    assert ask(other, "add") == 1
    assert other.host_url == b.address
    far = b.proxy_for(a.address, made.agent_id)
    assert far.info()["host_name"] == "b"
    far.send_oneway(Message("add"))
    assert far.send_future(Message("add", {"by": 0})).get_reply(10) == 2
    other.dispatch("a")
    proxy.deactivate()
    assert proxy.host_url == a.address
    far.activate()
    far.dispose()
    assert not proxy.is_valid()


def test_there_and_back_many_times(a: Host) -> None:
    proxy = a.create(Recorder)
    for number in range(6):
        proxy.dispatch("ba"[number % 2])
    log = ask(proxy, "log")
    assert [entry for entry in log if "arrival" in entry] == [
        "arrival@b:a->b:dispatch", "arrival@a:b->a:dispatch",
    ] * 3  # fmt: skip
    assert proxy.info()["epoch"] == 7


def test_retract(a: Host, b: Host) -> None:
    proxy = b.create(Recorder)
    ask(proxy, "log")
    home = a.retract(b.address, proxy.agent_id)
    assert home.host_url == a.address
    assert ask(home, "log") == [
        "creation@b", "run@b", "reverting@b:retract", "arrival@a:b->a:retract", "run@a",
    ]  # fmt: skip
    assert a.retract(b.address, proxy.agent_id).host_url == a.address
    with pytest.raises(InvalidAgentError):
        a.retract(b.address, "nobody-there")
    assert [each.kind for each in events_of(b, proxy.agent_id, "retract", "dispatch")] == ["retract"]


def test_retract_of_a_parked_one(a: Host, b: Host) -> None:
    proxy = b.create(Recorder)
    proxy.deactivate()
    a.retract(b.address, proxy.agent_id)
    here = a.get_proxy(proxy.agent_id, include_inactive=True)
    assert here is not None
    assert not here.is_active()
    assert "arrival" not in " ".join(ask(here, "log"))


def test_a_parked_one_moves_as_a_record(a: Host, b: Host) -> None:
    proxy = a.create(Recorder)
    ask(proxy, "log")
    proxy.deactivate()
    proxy.dispatch("b")
    assert proxy.host_url == b.address
    assert not proxy.is_active()
    assert ask(proxy, "log") == [*MADE, "deactivating@a:deactivate", "activation@b:activate", "run@b"]


def test_arriving_parked(a: Host, b: Host) -> None:
    proxy = a.create(Recorder)
    ask(proxy, "log")
    proxy.dispatch(TransferTicket("b", arrival_mode=ArrivalMode.INACTIVE))
    assert not proxy.is_active()
    assert ask(proxy, "log") == [*MADE, *SENT, *ARRIVED, "run@b"]


# --- by itself --------------------------------------------------------------------------------------------


def test_from_a_handler(a: Host, b: Host) -> None:
    proxy = a.create(Mover)
    ask(proxy, "log")
    assert ask(proxy, "go", to="b") == {"host_url": b.address, "agent_id": proxy.agent_id}
    assert ask(proxy, "log") == [*MADE, *SENT, *ARRIVED, "run@b"]


def test_what_a_handler_can_do_after_it_left(a: Host, b: Host) -> None:
    proxy = a.create(Mover)
    left = ask(proxy, "go-and-talk", to="b")
    assert left["proxy"]["host_url"] == b.address
    assert left["refused"] == ["LifecycleError"] * 6
    assert "lost" not in ask(proxy, "log")


def test_through_its_own_proxy(a: Host, b: Host) -> None:
    proxy = a.create(Mover)
    assert ask(proxy, "go-through-proxy", to="b")["host_url"] == b.address


def test_the_next_host_can_be_tried(a: Host, b: Host) -> None:
    proxy = a.create(Mover)
    tried, place = ask(proxy, "try", targets=["nowhere", "https://127.0.0.1:9", "b"])
    assert tried == ["nowhere: TransferError", "https://127.0.0.1:9: TransferError"]
    assert place["host_url"] == b.address
    log = ask(proxy, "log")
    assert [each for each in log if "failed" in each] == [
        "dispatch-failed@a:nowhere", "dispatch-failed@a:https://127.0.0.1:9",
    ]  # fmt: skip


def test_not_inside_the_lock_of_run(a: Host) -> None:
    proxy = a.create(Runner, Notes(init=None), init=["locked"])
    log = ask(proxy, "log")
    log = eventually(lambda: [each for each in ask(proxy, "peek") if each.startswith("refused")])
    assert "locked()" in log[0]


def test_in_the_lock_of_a_handler(a: Host, b: Host) -> None:
    proxy = a.create(Mover)
    assert ask(proxy, "go-in-lock", to="b")["host_url"] == b.address


def test_from_run(a: Host, b: Host) -> None:
    proxy = a.create(Runner, init=["b", "a"])
    eventually(lambda: len(events_of(a, proxy.agent_id, "arrival")) == 1)
    log = ask(proxy, "log")
    assert [each.partition(":")[0] for each in log] == [
        "creation@a", "run@a", "dispatching@a", "arrival@b", "run@b", "dispatching@b", "arrival@a", "run@a",
    ]  # fmt: skip


def test_from_the_creation_hook(a: Host, b: Host) -> None:
    proxy = a.create(EarlyBird, init=["b"])
    assert ask(proxy, "log") == ["creation@a", "dispatching@a:a->b", "arrival@b:a->b:dispatch", "run@b"]
    assert proxy.host_url == b.address


def test_from_arrival_hooks(a: Host, b: Host) -> None:
    proxy = a.create(EarlyBird, init=["b", "a", "b"])
    eventually(lambda: "run@b" in ask(proxy, "peek"))
    assert ask(proxy, "peek") == [
        "creation@a", "dispatching@a:a->b", "arrival@b:a->b:dispatch", "dispatching@b:b->a",
        "arrival@a:b->a:dispatch", "dispatching@a:a->b", "arrival@b:a->b:dispatch", "run@b",
    ]  # fmt: skip


def test_the_old_process_has_five_seconds(a: Host, b: Host) -> None:
    proxy = a.create(Mover)
    reply = proxy.send_future(Message("linger", {"to": "b", "seconds": 1.0}))
    far = b.proxy_for(b.address, proxy.agent_id)
    eventually(far.is_valid)
    assert ask(far, "add") == 1, "the new one works while the old one lingers"
    assert not reply.is_available()
    assert reply.get_reply(10) == "late"


# --- beside itself ----------------------------------------------------------------------------------------


def test_to_the_host_it_is_on(a: Host) -> None:
    proxy = a.create(Mover)
    log, pid = ask(proxy, "log"), ask(proxy, "where")[2]
    assert log == MADE
    assert ask(proxy, "go", to="a")["host_url"] == a.address
    assert ask(proxy, "log") == [*MADE, "dispatching@a:a->a", "arrival@a:a->a:dispatch", "run@a"]
    assert ask(proxy, "where")[2] != pid
    proxy.dispatch(a.address)
    assert proxy.info()["epoch"] == 3
    assert [each.kind for each in events_of(a, proxy.agent_id, "dispatch", "arrival")] == [
        "dispatch",
        "arrival",
    ] * 2


def test_a_parked_one_to_the_host_it_is_on(a: Host) -> None:
    proxy = a.create(Recorder)
    proxy.deactivate()
    assert proxy.dispatch("a").host_url == a.address
    assert not proxy.is_active()


# --- what does not move -----------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["nowhere", "https://127.0.0.1:9", "not a url"])
def test_to_nowhere_from_outside(a: Host, target: str) -> None:
    proxy = a.create(Recorder)
    with pytest.raises(TransferError, match=target):
        proxy.dispatch(target)
    assert ask(proxy, "log") == MADE


def test_unmet_demands(a: Host, b: Host) -> None:
    proxy = a.create(Recorder)
    with pytest.raises(TransferError, match="agents:fly"):
        proxy.dispatch(TransferTicket("b", required_capabilities=("agents:fly",)))
    with pytest.raises(TransferError, match="code version"):
        proxy.dispatch(TransferTicket("b", expected_code_version="9.9"))
    assert ask(proxy, "log") == MADE
    moved = proxy.dispatch(
        TransferTicket("b", required_capabilities=("agents:create", "agents:receive", "hosts:list"))
    )
    assert moved.host_url == b.address


@pytest.mark.parametrize("hook", ["dispatching", "reverting"])
def test_a_leaving_hook_that_raises_cancels(a: Host, b: Host, hook: str) -> None:
    proxy = a.create(Picky, init=[hook])
    with pytest.raises(HostError, match=f"ValueError: not {hook}"):
        _ = proxy.dispatch("b") if hook == "dispatching" else b.retract(a.address, proxy.agent_id)
    assert proxy.host_url == a.address
    assert ask(proxy, "add") == 1
    assert "dispatch-failed" not in " ".join(ask(proxy, "peek"))
    assert proxy.dispatch("b").host_url == b.address


def test_resources_are_cleaned_up_in_reverse_before_the_snapshot(a: Host) -> None:
    proxy = a.create(HasFiles)
    ask(proxy, "log")
    ask(proxy, "open", names=["x", "y", "z"])
    proxy.dispatch("b")
    assert ask(proxy, "log") == [*MADE, *SENT, "close z", "close y", "close x", *ARRIVED, "run@b"]
    assert ask(proxy, "names") == []


def test_a_resource_that_stays_open_cancels(a: Host, b: Host) -> None:
    proxy = a.create(HasFiles)
    ask(proxy, "open", names=["x", "y"])
    proxy.send(Message("break", arg="x"))
    for move in (lambda: proxy.dispatch("b"), proxy.deactivate, proxy.dispose):
        with pytest.raises(ResourceCleanupError) as caught:
            move()
        assert set(caught.value.failures) == {"x"}
        assert "x is stuck" in str(caught.value.failures["x"])
    assert proxy.is_active()
    assert ask(proxy, "names") == ["x"]
    assert "dispatch-failed@a:b" in ask(proxy, "peek")
    with pytest.raises(ResourceCleanupError):
        ask(proxy, "go", to="b")
    ask(proxy, "fix")
    assert proxy.dispatch("b").host_url == b.address


def test_a_resource_may_be_let_stick(a: Host, b: Host) -> None:
    proxy = a.create(HasFiles)
    ask(proxy, "open", names=["x", "y"], suppress=["x"])
    proxy.send(Message("break", arg="x"))
    assert proxy.dispatch("b").host_url == b.address


def test_an_arrival_hook_that_raises(a: Host, b: Host) -> None:
    proxy = a.create(Picky, init=["arrival"])
    with pytest.raises(LifecycleError, match=r"b.*not arrival"):
        proxy.dispatch("b")
    there = b.proxy_for(b.address, proxy.agent_id)
    info = there.info()
    assert (info["status"], info["active"], info["crashed"]) == ("failed", False, True)
    assert "not arrival" in info["reason"]
    assert a.get_proxy(proxy.agent_id, include_inactive=True) is None
    with pytest.raises(LifecycleError):
        there.activate()
    assert there.info()["status"] == "failed"


def test_an_arrival_hook_that_raises_tells_a_handler(a: Host, b: Host) -> None:
    proxy = a.create(FailsThere)
    said = ask(proxy, "go", to="b")
    assert "LifecycleError" in said
    assert "b" in said
    assert "cannot live here" in said
    assert b.proxy_for(b.address, proxy.agent_id).info()["status"] == "failed"


def test_unknown_paglets(a: Host) -> None:
    for operation in (
        lambda: a.dispatch("nobody", "b"),
        lambda: a.clone("nobody"),
        lambda: a.deactivate("nobody"),
        lambda: a.activate("nobody"),
        lambda: a.dispose("nobody"),
        lambda: a.get_state("nobody", Notes),
        lambda: a.checkpoint("nobody"),
        lambda: a.mailbox_status("nobody"),
        lambda: a.notify_message("nobody"),
        lambda: a.wait_message("nobody", 0.1),
        lambda: a.work_dir_for("nobody"),
        lambda: a.persistent_storage_for("nobody"),
    ):
        with pytest.raises((InvalidAgentError, LifecycleError), match="nobody"):
            operation()


# --- messages on the way ----------------------------------------------------------------------------------


def test_messages_that_wait_follow(a: Host, b: Host) -> None:
    proxy = a.create(Mover)
    here = a.proxy_for(a.address, proxy.agent_id)
    moving = proxy.send_future(Message("linger", {"to": "b", "seconds": 0.3}))
    replies = [here.send_future(Message("add")) for _ in range(20)]
    here.send_oneway(Message("add", {"by": 100}))
    assert [reply.get_reply(10) for reply in replies] == list(range(1, 21))
    assert moving.get_reply(10) == "late"
    assert ask(proxy, "add", by=0) == 120
    assert ask(proxy, "where")[0] == "b"


def test_messages_while_it_travels(a: Host, b: Host) -> None:
    proxy = a.create(Recorder)
    senders = [host.proxy_for(a.address, proxy.agent_id) for host in (a, b)]
    done = threading.Event()
    replies: list[int] = []

    def talk(sender: PagletProxy) -> None:
        while not done.is_set():
            replies.append(ask(sender, "add"))

    threads = [threading.Thread(target=talk, args=(sender,)) for sender in senders]
    for thread in threads:
        thread.start()
    for number in range(8):
        proxy.dispatch("ba"[number % 2])
    done.set()
    for thread in threads:
        thread.join(20)
    assert sorted(replies) == list(range(1, len(replies) + 1)), "each was handled once, in one copy"
    assert ask(proxy, "add", by=0) == len(replies)


def test_concurrent_operations_on_one_paglet(a: Host, b: Host) -> None:
    proxy = a.create(Recorder)
    handles = [host.proxy_for(a.address, proxy.agent_id) for host in (a, b)]
    outcomes: list[str] = []

    def act(number: int) -> None:
        handle = handles[number % 2]
        actions: list[Callable[[], Any]] = [
            lambda: handle.dispatch("b"), lambda: handle.dispatch("a"), handle.deactivate, handle.activate,
            handle.clone,
        ]  # fmt: skip
        for step in range(4):
            try:
                actions[(number + step) % len(actions)]()
                outcomes.append("done")
            except (LifecycleError, TransferError, InvalidAgentError) as error:
                outcomes.append(str(error))

    threads = [threading.Thread(target=act, args=(number,)) for number in range(5)]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(40)
        assert not thread.is_alive()
    assert time.monotonic() - started < 30
    assert "done" in outcomes
    copies = [
        each
        for host in (a, b)
        for each in host.list_agents(inactive=True)
        if each["agent_id"] == proxy.agent_id
    ]
    assert len(copies) == 1
    assert ask(handles[0], "add") == 1


def test_messages_that_come_while_run_leaves_are_handled_there(a: Host, b: Host) -> None:
    """One may be on its way to the handler's thread when the thread of run() packs."""
    for _ in range(8):
        proxy = a.create(Runner, init=["b", "a"])
        replies = [proxy.send_future(Message("add")) for _ in range(10)]
        assert sorted(reply.get_reply(10) for reply in replies) == list(range(1, 11)), "each once"
        eventually(lambda proxy=proxy: ask(proxy, "peek").count("arrival@a:b->a:dispatch"))
        proxy.dispose()
