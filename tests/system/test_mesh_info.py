"""Hosts that tell each other what they have to offer."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from paglets.core.errors import NotHandledError, ServiceContractError
from paglets.core.messages import Message
from paglets.core.runtime_values import ResidentLifecycle, ServiceScope
from paglets.core.version import VERSION
from paglets.system.mesh_info import (
    LANDSCAPE,
    MESH_INFO,
    SELECT_TARGETS,
    SNAPSHOT,
    SYNC,
    LandscapeEntry,
    SyncRequest,
    TargetPreference,
    TargetSelectionRequest,
)
from paglets.system.mesh_info import facts as facts_of_this_machine
from paglets.system.mesh_info.agent import MeshInfo
from tests.host.support import eventually
from tests.system.support import call, mesh_info

if TYPE_CHECKING:
    from collections.abc import Callable

    from paglets.remote.proxy import PagletProxy
    from paglets.runtime.host import Host
    from tests.host.support import Pair


def heard_of(service: PagletProxy) -> dict[str, LandscapeEntry]:
    """What is known of those hosts that gossip has come from."""
    return {entry.facts.name: entry for entry in call(service, LANDSCAPE).entries if entry.version}


def test_it_is_offered_to_the_mesh_and_always_there() -> None:
    [spec] = MeshInfo.RESIDENT_SERVICES
    assert (spec.contract, spec.provider_id) == (MESH_INFO, "service.mesh-info")
    assert (spec.scope, spec.lifecycle) == (ServiceScope.MESH, ResidentLifecycle.EAGER)
    assert MESH_INFO.name == "mesh-info"
    assert MESH_INFO.capabilities == ("snapshot", "landscape", "sync", "select")


def test_a_host_tells_what_it_has(pair: Pair) -> None:
    facts = call(mesh_info(pair.a), SNAPSHOT)
    assert (facts.name, facts.url, facts.tags, facts.properties) == (
        "a",
        pair.a.address,
        ("camera",),
        {"room": 3},
    )
    assert facts.host_id
    assert facts.cpu_count == len(os.sched_getaffinity(0))
    assert 0 < facts.memory_available_bytes < facts.memory_total_bytes
    assert 0 < facts.disk_free_bytes < facts.disk_total_bytes
    assert facts.load_per_cpu is not None
    assert (facts.system, facts.product_version) == (os.uname().sysname, VERSION)
    assert facts.active_count >= 1


def test_hosts_hear_of_each_other_and_choose(pair: Pair) -> None:
    a, b = mesh_info(pair.a), mesh_info(pair.b)
    eventually(lambda: set(heard_of(a)) == set(heard_of(b)) == {"a", "b"})

    other = heard_of(b)["a"]
    assert (other.facts.url, other.facts.tags) == (pair.a.address, ("camera",))
    assert other.facts.host_id == call(a, SNAPSHOT).host_id
    assert other.online
    assert not other.stale
    assert other.age_seconds < 60.0

    wanted = TargetSelectionRequest(tags=("camera",), properties={"room": 3}, min_cpu_count=1)
    selection = call(b, SELECT_TARGETS, wanted)
    assert [target.host_url for target in selection.targets] == [pair.a.address]
    assert [(each.host_name, each.reasons) for each in selection.rejected] == [
        ("b", ["it lacks the tags camera", "it has no property 'room'"])
    ]
    local = TargetSelectionRequest(count=5, prefer=TargetPreference.LOCAL)
    assert [target.host_name for target in call(b, SELECT_TARGETS, local).targets] == ["b", "a"]
    assert call(b, SELECT_TARGETS).targets


def test_gossip_of_others_is_taken_and_answered_with_what_they_lack(pair: Pair) -> None:
    a = mesh_info(pair.a)
    own = call(a, SNAPSHOT).host_id
    eventually(lambda: "a" in heard_of(a))
    reply = call(a, SYNC, SyncRequest("somebody"))
    assert own in {entry.facts.host_id for entry in reply.entries}
    assert reply.demand_seconds > 0
    everything = {entry.facts.host_id: 2**52 for entry in reply.entries if entry.facts.host_id != own}
    lacking = call(a, SYNC, SyncRequest("somebody", versions=everything))
    assert [entry.facts.host_id for entry in lacking.entries] == [own]


def test_what_is_no_question_is_refused(pair: Pair) -> None:
    a = mesh_info(pair.a)
    with pytest.raises(NotHandledError):
        a.send(Message("shutdown"), timeout=10.0)
    with pytest.raises(ServiceContractError, match="count"):
        a.send(Message("select", {"count": "many"}), timeout=10.0)


def test_a_host_without_the_service_is_known_as_unheard_of_and_one_that_stops_as_offline(
    start: Callable[..., Host],
) -> None:
    a = start("a", mesh_offline_after=2.0, mesh_gossip_interval=0.2)
    b = start("b", peers=[a.address])
    a.mesh.wait_for_host("b", timeout=10.0)
    service = mesh_info(a)
    selection = call(service, SELECT_TARGETS, TargetSelectionRequest(include_self=False))
    assert [(each.host_name, len(each.reasons)) for each in selection.rejected] == [("a", 1), ("b", 1)]

    mesh_info(b)
    eventually(lambda: "b" in heard_of(service))
    chosen = call(service, SELECT_TARGETS, TargetSelectionRequest(include_self=False))
    assert [target.host_name for target in chosen.targets] == ["b"]

    b.stop()
    eventually(lambda: not heard_of(service)["b"].online)
    assert not call(service, SELECT_TARGETS, TargetSelectionRequest(include_self=False)).targets


def test_it_comes_back_after_it_was_parked_and_after_a_restart(start: Callable[..., Host]) -> None:
    a = start("a")
    service = mesh_info(a)
    service.deactivate()
    assert call(service, SNAPSHOT).name == "a"
    a.shutdown()
    assert set(heard_of(mesh_info(start("a")))) == {"a"}


# --- machines that cannot tell ---------------------------------------------------------------------------


def test_memory_is_read_where_linux_tells_it_and_otherwise_asked_for(tmp_path: Path) -> None:
    told = tmp_path / "meminfo"
    told.write_text("MemTotal:  2048 kB\nMemFree: 12 kB\nMemAvailable:  1024 kB\nHugePages_Total: 0\n")
    assert facts_of_this_machine.memory(told) == (2048 * 1024, 1024 * 1024)
    told.write_text("MemTotal: lots\n")
    total, available = facts_of_this_machine.memory(told)
    assert 0 < available < total


def test_a_directory_that_is_yet_to_be_made_is_on_the_disk_of_the_next_one_up(tmp_path: Path) -> None:
    assert (
        facts_of_this_machine.disk(tmp_path / "no" / "such")[0] == facts_of_this_machine.disk(tmp_path)[0] > 0
    )


def test_a_machine_without_load_averages_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "getloadavg")
    monkeypatch.delattr(os, "sched_getaffinity")
    assert facts_of_this_machine.load() is None
    assert facts_of_this_machine.cpu_count() == os.cpu_count()


# --- what it costs ---------------------------------------------------------------------------------------


def processor_seconds(pid: int) -> float:
    """What all threads of a process have used; see proc(5), schedstat."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def bytes_written(pid: int) -> int:
    """What a process has caused to be written to disk; see proc(5), io."""
    lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    return int(dict(line.split(": ") for line in lines)["write_bytes"])


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_an_idle_mesh_of_three_costs_a_host_less_than_a_thousandth_of_a_core_and_no_write(
    start: Callable[..., Host],
) -> None:
    a = start("a")
    hosts = [a, start("b", peers=[a.address]), start("c", peers=[a.address])]
    for host in hosts:
        eventually(lambda host=host: len(host.list_hosts(online_only=True)) == 3)
    pids = [int(mesh_info(host).info()["pid"]) for host in hosts]
    time.sleep(5.0)  # the first rounds, and what is made once

    before = [(processor_seconds(pid), bytes_written(pid)) for pid in pids]
    time.sleep(45.0)
    for pid, (seconds, written) in zip(pids, before, strict=True):
        assert (processor_seconds(pid) - seconds) / 45.0 < 0.001
        assert bytes_written(pid) == written
