"""Starting and stopping hosts in a program, on a thread of their own and on the program's loop."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from typing import TYPE_CHECKING

import pytest

from paglets.core.errors import HostError
from paglets.core.messages import Message
from paglets.runtime.host import Host
from tests.host.agents import Server

if TYPE_CHECKING:
    from pathlib import Path


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
    first = Host("first", mesh_dir=tmp_path / "mesh")
    await first.start()
    try:
        port = int(first.address.rpartition(":")[2])
        before = set(threading.enumerate())
        descriptors = len(os.listdir("/proc/self/fd"))
        second = Host("second", port=port, mesh_dir=tmp_path / "mesh", persistence_dir=tmp_path / "data")
        with pytest.raises(HostError, match=str(port)):
            await second.start()
        assert len(os.listdir("/proc/self/fd")) <= descriptors
        assert set(threading.enumerate()) <= before
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
        os.kill(pid, signal.SIGKILL)
        came_back = threading.Event()
        host.add_listener(lambda event: came_back.set() if event.kind == "recovered" else None)
        assert came_back.wait(10) or proxy.info()["epoch"] > life
        assert proxy.send(Message("value", arg=5), timeout=10) == 5
        assert proxy.info()["epoch"] == life + 1
