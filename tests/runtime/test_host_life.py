"""Starting and stopping hosts in a program, on a thread of their own and on the program's loop."""

from __future__ import annotations

import asyncio
import importlib
import os
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from paglets.core.errors import HostError, RemoteHostError
from paglets.core.messages import Message
from paglets.persistence.read_transaction import ReadTransaction
from paglets.persistence.store import Store, StoreSettings
from paglets.runtime.host import Host
from paglets.runtime.settings import HostSettings, Limits
from tests.host.agents import Server
from tests.host.support import eventually


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_stopping_on_the_own_loop_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    host = Host("adopted", mesh_dir=tmp_path / "mesh", persistence_dir=tmp_path / "data")
    await host.start()
    try:
        with pytest.raises(HostError, match="its own loop thread"):
            host.stop()
        with pytest.raises(HostError, match="its own loop thread"):
            host.shutdown()
        status = await asyncio.to_thread(host.status)
        assert status["ready"]
    finally:
        await host.aclose()


async def test_whoever_waits_on_another_thread_hears_that_the_host_has_stopped(tmp_path: Path) -> None:
    host = Host("adopted", mesh_dir=tmp_path / "mesh", persistence_dir=tmp_path / "data")
    await host.start()
    try:
        proxy = await asyncio.to_thread(host.create, Server)
        waiting = asyncio.ensure_future(asyncio.to_thread(host.wait_message, proxy.agent_id))
        await asyncio.to_thread(host.status)  # the wait has begun by then, or will be refused
    finally:
        await host.aclose()
    with pytest.raises(HostError):
        await asyncio.wait_for(waiting, 10)


async def test_a_start_that_fails_leaves_nothing_open(tmp_path: Path) -> None:
    store = Store(tmp_path / "first", settings=StoreSettings(reader_threads=1))
    first = Host("first", mesh_dir=tmp_path / "mesh", store=store)
    await first.start()
    try:
        await store.read(ReadTransaction.counter)  # its reader's thread has begun now, and there is no other
        port = int(first.address.rpartition(":")[2])
        before = set(threading.enumerate())
        descriptors = open_descriptors()
        second = Host("second", port=port, mesh_dir=tmp_path / "mesh", persistence_dir=tmp_path / "data")
        with pytest.raises(HostError, match=str(port)):
            await second.start()
        assert open_descriptors() <= descriptors
        since = [
            each for each in set(threading.enumerate()) - before if not each.name.startswith("paglets-first-")
        ]
        for thread in since:
            thread.join(5.0)  # a reader has been told to end, and is not waited for
        assert [thread.name for thread in since if thread.is_alive()] == []
        third = Host("third", mesh_dir=tmp_path / "mesh", persistence_dir=tmp_path / "data")
        await third.aclose()
    finally:
        await first.aclose()


def test_a_data_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(HostError, match="file/data"):
        Host("lost", mesh_dir=tmp_path / "mesh", persistence_dir=tmp_path / "file" / "data")


def test_paglets_of_a_zygote_that_died_come_back_by_themselves(tmp_path: Path) -> None:
    from paglets.runtime.launchers.keeper import ZygoteKeeper  # noqa: PLC0415 - only this test needs it
    from paglets.runtime.launchers.zygote_launcher import ZygoteLauncher  # noqa: PLC0415

    keeper = ZygoteKeeper()
    with Host("orphanage", mesh_dir=tmp_path / "mesh", launcher=ZygoteLauncher(keeper)) as host:
        proxy = host.create(Server)
        life = proxy.info()["epoch"]
        pid = keeper.pid
        assert pid is not None
        came_back = threading.Event()
        host.add_listener(lambda _event: came_back.set(), kinds={"restarted"})
        os.kill(pid, signal.SIGKILL)
        assert came_back.wait(10)
        assert proxy.send(Message("value", arg=5), timeout=10) == 5
        assert proxy.info()["epoch"] == life + 1


async def test_synchronous_calls_on_the_own_loop_are_refused(tmp_path: Path) -> None:
    host = Host("adopted", mesh_dir=tmp_path / "mesh")
    await host.start()
    try:
        for call in (
            lambda: host.create(Server),
            lambda: host.get_proxy("any"),
            host.get_proxies,
            host.list_agents,
            host.list_hosts,
            host.health,
            host.list_events,
            lambda: host.work_dir_for("any"),
            lambda: host.client.get_json(host.address + "/health"),
        ):
            with pytest.raises(HostError, match="loop"):
                call()
    finally:
        await host.aclose()


def test_many_paglets_come_back_though_they_start_slowly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each start is fast enough; all of them together take longer than one may."""
    (tmp_path / "slow_to_import.py").write_text(
        "import time\n"
        "from dataclasses import dataclass\n"
        "from paglets.core.agent import Paglet, PagletState\n"
        "time.sleep(0.6)\n"
        "@dataclass\n"
        "class State(PagletState):\n"
        "    n: int = 0\n"
        "class Slow(Paglet[State]):\n"
        "    State = State\n"
    )
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    slow = importlib.import_module("slow_to_import").Slow
    settings = HostSettings(
        name="crowded",
        data_dir=tmp_path / "data",
        limits=Limits(start_timeout=2.0, concurrent_starts=2),
    )
    with Host.from_settings(settings, mesh_dir=tmp_path / "mesh") as host, ThreadPoolExecutor(2) as threads:
        ids = [proxy.agent_id for proxy in threads.map(host.create, [slow] * 8)]
    with Host.from_settings(settings, mesh_dir=tmp_path / "mesh") as host:
        for agent_id in ids:
            info = host.activate(agent_id).info()
            assert (info["status"], info["epoch"]) == ("active", 2), info


def test_a_host_is_ready_when_its_paglets_are_back_and_can_be_called_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "slow_to_wake.py").write_text(
        "import time\n"
        "from dataclasses import dataclass\n"
        "from pathlib import Path\n"
        "from paglets.core.agent import Paglet, PagletState\n"
        "@dataclass\n"
        "class State(PagletState):\n"
        "    awaited: str = ''\n"
        "class Slow(Paglet[State]):\n"
        "    State = State\n"
        "    def on_activation(self, event):\n"
        "        while not Path(self.state.awaited).exists():\n"
        "            time.sleep(0.005)\n"
    )
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    module = importlib.import_module("slow_to_wake")
    mesh, data = tmp_path / "mesh", tmp_path / "data"
    awaited = tmp_path / "awaited"
    with Host("patient", mesh_dir=mesh, persistence_dir=data) as host:
        assert host.status()["ready"]
        made = host.create(module.Slow, module.State(str(awaited))).agent_id
    with Host("patient", mesh_dir=mesh, persistence_dir=data) as host:
        assert not host.status()["ready"]
        with pytest.raises(RemoteHostError, match="503"):
            host.client.get_json(f"{host.address}/readyz")
        assert [
            entry["agent_id"] for entry in host.client.get_json(f"{host.address}/agents?state=all")["agents"]
        ] == [made]
        awaited.touch()
        host.activate(made)
        eventually(lambda: host.status()["ready"])
        assert host.client.get_json(f"{host.address}/readyz") == {"ok": True}


def test_a_paglet_that_takes_too_long_does_not_keep_its_host_from_being_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("paglets.runtime.core._RECOVERY_PATIENCE", 0.1)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    (tmp_path / "never_awake.py").write_text(
        "import time\n"
        "from dataclasses import dataclass\n"
        "from paglets.core.agent import Paglet, PagletState\n"
        "@dataclass\n"
        "class State(PagletState):\n"
        "    n: int = 0\n"
        "class Never(Paglet[State]):\n"
        "    State = State\n"
        "    def on_activation(self, event):\n"
        "        time.sleep(1000)\n"
    )
    never = importlib.import_module("never_awake").Never
    mesh, data = tmp_path / "mesh", tmp_path / "data"
    with Host("patient", mesh_dir=mesh, persistence_dir=data) as host:
        host.create(never)
    with Host("patient", mesh_dir=mesh, persistence_dir=data) as host:
        eventually(lambda: host.status()["ready"])
