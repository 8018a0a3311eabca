"""Hosts that stop, are shut down or killed, and start again where they were."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from paglets.core.errors import HostError, LifecycleError, RemoteHostError
from paglets.core.messages import Message
from paglets.persistence.persistency import DeactivationPolicy
from paglets.runtime.host import Host
from tests.host.agents import Gated, Notes, Picky, Recorder, Server, Sleeper
from tests.host.support import ask, eventually, exists, start_host

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_a_host_needs_nothing_but_a_name(tmp_path: Path) -> None:
    host = Host("alone", mesh_dir=tmp_path / "mesh")
    with pytest.raises(HostError, match="start_background"):
        host.create(Recorder)
    host.start_background()
    assert host.address.startswith("https://127.0.0.1:")
    assert ask(host.create(Recorder), "add") == 1
    directory = host.settings.data_dir
    assert directory.exists()
    host.stop()
    host.stop()
    assert not directory.exists()
    with pytest.raises(HostError, match="stopped"):
        host.create(Recorder)
    with pytest.raises(HostError, match="new one"):
        host.start_background()


def test_stop_is_a_power_cut_done_politely(start: Callable[..., Host]) -> None:
    host = start("h")
    proxy = host.create(Recorder, agent_id="one")
    ask(proxy, "log")
    ask(proxy, "add", by=5)
    pid = proxy.info()["pid"]
    host.stop()
    assert not exists(pid)
    host = start("h")
    again = host.proxy_for(host.address, "one")
    assert ask(again, "log") == ["creation@h", "activation@h:recovered", "run@h"]
    assert ask(again, "add", by=0) == 0, "what came after its last checkpoint is gone"


@pytest.mark.parametrize("how", ["shutdown", "stop"])
def test_a_clean_end_loses_nothing(start: Callable[..., Host], how: str) -> None:
    host = start("h")
    proxy = host.create(Recorder, agent_id="one")
    ask(proxy, "log")
    ask(proxy, "add", by=5)
    host.shutdown() if how == "shutdown" else host.stop(deactivate_active=True)
    host = start("h")
    eventually(lambda: host.get_proxy("one"))
    again = host.proxy_for(host.address, "one")
    assert ask(again, "log") == [
        "creation@h",
        "run@h",
        "deactivating@h:shutdown",
        "activation@h:activate",
        "run@h",
    ]
    assert ask(again, "add", by=0) == 5


def test_parked_ones_stay_parked(start: Callable[..., Host]) -> None:
    host = start("h")
    for name, policy in (("plain", None), ("queues", DeactivationPolicy(activate_on_message=False))):
        proxy = host.create(Sleeper, agent_id=name)
        proxy.deactivate(policy=policy)
    host.proxy_for(host.address, "queues").send_oneway(Message("mark", arg="kept"))
    host.shutdown()
    later = Host("h", mesh_dir=host.settings.data_dir.parent / "mesh", persistence_dir=host.settings.data_dir)
    known = later.list_agents(active=True, inactive=True)
    assert [(each["agent_id"], each["active"]) for each in known] == [("plain", False), ("queues", False)]
    later.start_background()
    try:
        assert not later.list_agents()
        later.activate("queues")
        assert "kept" in ask(later.proxy_for(later.address, "queues"), "peek")
    finally:
        later.stop()


def test_a_message_that_comes_early_finds_the_paglet(start: Callable[..., Host]) -> None:
    host = start("h")
    for number in range(20):
        host.create(Recorder, agent_id=f"p{number}")
    host.stop()
    host = start("h")
    assert [ask(host.proxy_for(host.address, f"p{number}"), "add") for number in range(19, -1, -1)] == [
        1
    ] * 20


def test_a_hook_that_has_not_returned_runs_again(start: Callable[..., Host]) -> None:
    first, second = start("h1"), start("h2")
    proxy = first.create(Picky, Notes(count=0), agent_id="one", init=["arrival"])
    with pytest.raises(LifecycleError, match="not arrival"):
        proxy.dispatch(second.address)
    assert second.proxy_for(second.address, "one").info()["status"] == "failed"
    second.stop()
    second = start("h2")
    again = second.proxy_for(second.address, "one")
    eventually(lambda: again.info()["status"] == "failed" and "not arrival" in again.info()["reason"])
    with pytest.raises(LifecycleError, match="not arrival"):
        again.activate()
    again.dispose()


def test_a_second_host_on_the_same_directory_is_refused(start: Callable[..., Host], tmp_path: Path) -> None:
    host = start("h")
    with pytest.raises(Exception, match=r"use|lock|another"):
        Host("h", mesh_dir=tmp_path / "mesh", persistence_dir=host.settings.data_dir)
    assert ask(host.create(Recorder), "add") == 1


def test_calls_under_way_end_with_the_host(start: Callable[..., Host]) -> None:
    host, other = start("h"), start("o")
    proxy = host.create(Gated)
    waiting = [
        proxy.send_future(Message("block")),
        other.proxy_for(host.address, proxy.agent_id).send_future(Message("add")),
    ]
    eventually(lambda: host.mailbox_status(proxy.agent_id)["in_progress"])
    started = time.monotonic()
    host.stop()
    for reply in waiting:
        with pytest.raises((HostError, RemoteHostError), match="h"):
            reply.get_reply(10)
    assert time.monotonic() - started < 8


def test_many_paglets_are_parked_and_come_back(start: Callable[..., Host]) -> None:
    host = start("h")
    for number in range(30):
        ask(host.create(Recorder, agent_id=f"p{number}"), "add", by=number)
    started = time.monotonic()
    host.shutdown()
    assert time.monotonic() - started < 5
    host = start("h")
    eventually(lambda: len(host.list_agents()) == 30)
    assert [ask(host.proxy_for(host.address, f"p{number}"), "add", by=0) for number in range(30)] == list(
        range(30)
    )


KILLED = """
import sys, time
from pathlib import Path
from tests.host.support import ask, start_host
from tests.host.agents import Recorder, Server

host = start_host("h", Path(sys.argv[1]))
one = host.create(Server, agent_id="one")
ask(one, "add", by=3)
host.checkpoint("one")
ask(one, "add", by=100)
host.create(Recorder, agent_id="two").deactivate()
print(one.info()["pid"], flush=True)
time.sleep(60)
"""


def test_a_host_that_was_killed(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd="."
    )
    assert process.stdout is not None
    child = int(process.stdout.readline())
    process.kill()
    process.wait()
    process.stdout.close()
    eventually(lambda: not exists(child))
    host = start_host("h", tmp_path)
    try:
        one = host.proxy_for(host.address, "one")
        assert ask(one, "add", by=0) == 3
        assert "activation@h:recovered" in ask(one, "peek")
        assert [each["agent_id"] for each in host.list_agents(active=False, inactive=True)] == ["two"]
    finally:
        host.stop()


def test_in_a_with_block(tmp_path: Path) -> None:
    with Host("w", mesh_dir=tmp_path / "mesh") as host:
        proxy = host.create(Server)
        pid = ask(proxy, "where")[2]
    assert not exists(pid)


async def test_from_the_hosts_own_loop_a_synchronous_call_is_an_error(tmp_path: Path) -> None:
    host = Host("async", mesh_dir=tmp_path / "mesh")
    await host.start()
    try:
        with pytest.raises(HostError, match="own loop thread"):
            host.create(Recorder)
        with pytest.raises(HostError, match="own loop thread"):
            host.shutdown()
        proxy = await asyncio.to_thread(host.create, Recorder)
        assert await asyncio.to_thread(ask, proxy, "add") == 1
    finally:
        await host.aclose()
