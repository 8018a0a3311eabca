"""How the machine of a host is."""

from __future__ import annotations

import os
import platform
import shutil
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NoReturn

import psutil
import pytest

from paglets.core.errors import NotHandledError
from paglets.core.messages import Message
from paglets.core.runtime_values import ResidentLifecycle, ServiceScope
from paglets.core.version import VERSION
from paglets.serialization.codec import dataclass_from_wire, dataclass_to_wire
from paglets.system.server_info import (
    DF,
    LOAD,
    MAX_PROCESSES,
    PLIST,
    SERVER_INFO,
    SUMMARY,
    Load,
    ProcessListRequest,
    ProcessOrder,
)
from paglets.system.server_info.agent import ServerInfo
from paglets.system.server_info.machine import read_file_systems, read_load, read_summary
from paglets.system.server_info.processes import read_processes
from tests.system.support import call, server_info

if TYPE_CHECKING:
    from tests.host.support import Pair


def test_it_is_offered_to_the_mesh_and_started_when_it_is_needed() -> None:
    [spec] = ServerInfo.RESIDENT_SERVICES
    assert (spec.contract, spec.provider_id) == (SERVER_INFO, "service.server-info")
    assert (spec.scope, spec.lifecycle) == (ServiceScope.MESH, ResidentLifecycle.LAZY)
    assert SERVER_INFO.name == "server-info"
    assert SERVER_INFO.capabilities == ("load", "df", "plist", "summary")


# --- the paglet ------------------------------------------------------------------------------------------


def test_a_host_tells_how_busy_its_machine_is(pair: Pair) -> None:
    load = call(server_info(pair.a), LOAD)
    assert load.cpu_count == psutil.cpu_count()
    assert load.cpu_percent is not None
    assert 0.0 <= load.cpu_percent <= 100.0
    assert load.load_1 is not None
    assert load.memory_total_bytes == psutil.virtual_memory().total
    assert 0 < load.memory_available_bytes <= load.memory_total_bytes
    assert load.uptime_seconds is not None
    assert load.uptime_seconds > 0
    assert load.boot_time is not None
    assert load.boot_time < time.time()


def test_a_host_tells_how_full_its_file_systems_are(pair: Pair) -> None:
    [root] = [each for each in call(server_info(pair.a), DF).file_systems if each.mountpoint == "/"]
    assert root.total_bytes == shutil.disk_usage("/").total
    assert 0 <= root.free_bytes <= root.total_bytes
    assert root.fstype


def test_a_host_tells_which_processes_use_most(pair: Pair) -> None:
    service = server_info(pair.a)
    listed = call(service, PLIST, ProcessListRequest(limit=3, sort_by=ProcessOrder.MEMORY))
    assert listed.total >= 3
    sizes = [each.memory_bytes for each in listed.processes]
    assert len(sizes) == 3
    assert sizes == sorted(sizes, reverse=True)
    assert all(each.cpu_percent is None for each in listed.processes)

    by_cpu = call(service, PLIST).processes
    uses = [each.cpu_percent or 0.0 for each in by_cpu]
    assert len(uses) <= 10
    assert uses == sorted(uses, reverse=True)
    assert all(each.cpu_percent is not None for each in by_cpu)


def test_a_host_tells_what_it_is(pair: Pair) -> None:
    summary = call(server_info(pair.b), SUMMARY)
    assert (summary.host_name, summary.host_url) == ("b", pair.b.address)
    assert (summary.system, summary.kernel) == (platform.system(), platform.release())
    assert (summary.architecture, summary.python_version) == (platform.machine(), platform.python_version())
    assert (summary.product_version, summary.node_name) == (VERSION, platform.node())
    assert summary.process_count > 1
    assert summary.load.cpu_count > 0


def test_what_it_does_not_answer_is_not_handled(pair: Pair) -> None:
    with pytest.raises(NotHandledError):
        server_info(pair.a).send(Message("shutdown"), timeout=10.0)


# --- machines that cannot tell ---------------------------------------------------------------------------


def test_a_machine_that_can_tell_nothing_still_gets_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_args: Any, **_options: Any) -> NoReturn:
        raise PermissionError("no")

    for name in (
        "virtual_memory",
        "swap_memory",
        "boot_time",
        "cpu_percent",
        "cpu_count",
        "pids",
        "disk_partitions",
    ):
        monkeypatch.setattr(psutil, name, denied)
    monkeypatch.setattr(os, "getloadavg", denied)
    monkeypatch.setattr(platform, "freedesktop_os_release", denied)
    monkeypatch.delattr(time, "CLOCK_BOOTTIME")

    assert read_load() == Load(cpu_count=os.cpu_count() or 0)
    assert read_file_systems().file_systems == []
    summary = read_summary("a", "u")
    assert (summary.distribution, summary.process_count) == ("", 0)
    assert dataclass_from_wire(Load, dataclass_to_wire(summary.load)) == summary.load


def test_processes_that_end_or_are_not_ours_do_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: Any) -> NoReturn:
        raise psutil.NoSuchProcess(1)

    def denied(*_: Any) -> NoReturn:
        raise psutil.AccessDenied(1)

    for name in ("cpu_times", "memory_info", "username"):
        monkeypatch.setattr(psutil.Process, name, denied)
    for name in ("name", "status", "num_threads", "create_time"):
        monkeypatch.setattr(psutil.Process, name, gone)
    for order in ProcessOrder:
        listed = read_processes(ProcessListRequest(limit=2, sort_by=order))
        assert [(each.name, each.memory_bytes) for each in listed.processes] == [("", 0)] * 2


def test_the_number_of_processes_is_bounded() -> None:
    def count(limit: int) -> int:
        return len(read_processes(ProcessListRequest(limit, ProcessOrder.MEMORY)).processes)

    assert count(-5) == 1
    assert count(10**9) <= MAX_PROCESSES


def mounts(monkeypatch: pytest.MonkeyPatch, *, on_devices: list[str], others: list[str]) -> None:
    """Each given as "device mountpoint fstype"."""

    def listed(lines: list[str]) -> list[SimpleNamespace]:
        fields = ("device", "mountpoint", "fstype")
        return [SimpleNamespace(**dict(zip(fields, line.split(), strict=True))) for line in lines]

    def partitions(**options: bool) -> list[SimpleNamespace]:
        return listed(on_devices + others if options["all"] else on_devices)

    monkeypatch.setattr(psutil, "disk_partitions", partitions)


def test_a_device_is_told_once_and_images_never(monkeypatch: pytest.MonkeyPatch) -> None:
    mounts(
        monkeypatch,
        on_devices=["/dev/a /home/bound ext4", "/dev/a / ext4", "/dev/l /dev squashfs"],
        others=["proc /proc proc"],
    )
    assert [(each.device, each.mountpoint) for each in read_file_systems().file_systems] == [("/dev/a", "/")]


def test_in_a_container_the_root_is_told_although_no_device_holds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    mounts(monkeypatch, on_devices=[], others=["proc /proc proc", "overlay / overlay"])
    assert [(each.device, each.mountpoint) for each in read_file_systems().file_systems] == [("overlay", "/")]
