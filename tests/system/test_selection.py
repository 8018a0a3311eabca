"""Which hosts suit a job, and what the others lack."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from paglets.remote.mesh import HostRef
from paglets.system.mesh_info.contract import (
    HostFacts,
    LandscapeEntry,
    TargetPreference,
    TargetSelectionRequest,
)
from paglets.system.mesh_info.landscape import joined
from paglets.system.mesh_info.selection import select_targets

GIB = 1024**3


def host(name: str, **fields: Any) -> HostFacts:
    good = HostFacts(
        f"id-{name}",
        name,
        f"https://{name}:1",
        cpu_count=4,
        load_1=0.4,
        memory_total_bytes=4 * GIB,
        memory_available_bytes=2 * GIB,
        disk_total_bytes=20 * GIB,
        disk_free_bytes=10 * GIB,
    )
    return dataclasses.replace(good, **fields)


def entry(
    name: str, *, age: float = 1.0, stale: bool = False, online: bool = True, **fields: Any
) -> LandscapeEntry:
    return LandscapeEntry(host(name, **fields), 1, age, stale, online)


def chosen(entries: list[LandscapeEntry], count: int = 9, **wanted: Any) -> list[str]:
    selection = select_targets(entries, TargetSelectionRequest(count=count, **wanted), own_id="id-me")
    return [target.host_name for target in selection.targets]


def test_a_request_with_nothing_set_takes_the_host_with_most_free_memory() -> None:
    entries = [
        entry("me"),
        entry("big", memory_available_bytes=3 * GIB),
        entry("small", memory_available_bytes=GIB),
    ]
    selection = select_targets(entries, TargetSelectionRequest(), own_id="id-me")
    [target] = selection.targets
    assert (target.host_name, target.host_url, target.host_id) == ("big", "https://big:1", "id-big")
    assert target.memory_available_bytes == 3 * GIB
    assert target.load_per_cpu == pytest.approx(0.1)
    assert selection.rejected == []


def test_what_goes_first_is_chosen() -> None:
    entries = [
        entry("me", memory_available_bytes=GIB, load_1=4.0),
        entry("idle", load_1=0.0),
        entry("big", memory_available_bytes=3 * GIB),
        entry("mute", load_1=None, memory_available_bytes=4 * GIB),
    ]
    assert chosen(entries) == ["mute", "big", "idle", "me"]
    assert chosen(entries, prefer=TargetPreference.LEAST_LOAD) == ["idle", "big", "me", "mute"]
    assert chosen(entries, prefer=TargetPreference.LOCAL) == ["me", "mute", "big", "idle"]
    assert chosen(entries, prefer=TargetPreference.LOCAL, include_self=False) == ["mute", "big", "idle"]


def test_equals_come_by_name() -> None:
    assert chosen([entry("b"), entry("a"), entry("c")], count=2) == ["a", "b"]
    assert chosen([entry("a")], count=0) == []
    assert chosen([entry("a")], count=-1) == []


@pytest.mark.parametrize(
    ("lacking", "wanted", "reason"),
    [
        (entry("x"), {"min_free_memory_bytes": 3 * GIB}, "bytes of memory are free"),
        (entry("x"), {"min_free_disk_bytes": 11 * GIB}, "bytes of disk are free"),
        (entry("x"), {"min_cpu_count": 8}, "it has 4 processors, of 8 needed"),
        (entry("x", load_1=4.0), {"max_load": 0.5}, "its load per processor is 1.00, more than 0.5"),
        (entry("x", load_1=None), {"max_load": 0.5}, "cannot tell its load"),
        (entry("x", tags=("gpu",)), {"tags": ("gpu", "Camera")}, "it lacks the tags camera"),
        (entry("x"), {"properties": {"room": 3}}, "it has no property 'room'"),
        (entry("x", properties={"room": 4}), {"properties": {"room": 3}}, "its property 'room' is 4, not 3"),
        (entry("x"), {"exclude_hosts": ("x",)}, "it is excluded"),
        (entry("x"), {"exclude_hosts": ("https://x:1/",)}, "it is excluded"),
        (entry("x"), {"exclude_hosts": ("id-x",)}, "it is excluded"),
        (entry("me"), {"include_self": False}, "left out"),
        (entry("x", online=False), {}, "it is not online"),
        (entry("x", stale=True, age=400.0), {}, "for 400 s"),
        (entry("x", age=40.0), {"max_age_seconds": 30.0}, "its figures are 40 s old"),
        (LandscapeEntry(host("x"), 0, 0.0), {"min_cpu_count": 99}, "nothing is known of its resources yet"),
    ],
    ids=[
        "memory", "disk", "processors", "load", "no-load", "tags", "no-property", "property", "name", "url", "id",
        "self", "offline", "stale", "old", "unheard-of",
    ],
)  # fmt: skip
def test_a_host_that_will_not_do_is_told_with_the_reason(
    lacking: LandscapeEntry, wanted: dict[str, Any], reason: str
) -> None:
    selection = select_targets(
        [lacking, entry("good", tags=("gpu", "camera"))], TargetSelectionRequest(**wanted), own_id="id-me"
    )
    [rejected] = [each for each in selection.rejected if each.host_name == lacking.facts.name]
    assert rejected.host_url == lacking.facts.url
    [why] = rejected.reasons
    assert reason in why


def test_all_reasons_are_told_at_once() -> None:
    bad = entry("x", online=False, cpu_count=1, memory_available_bytes=0)
    selection = select_targets(
        [bad], TargetSelectionRequest(min_cpu_count=2, min_free_memory_bytes=1), own_id=""
    )
    assert len(selection.rejected[0].reasons) == 3


def test_tags_and_properties_that_are_there_do() -> None:
    fitting = entry("x", tags=("camera", "gpu"), properties={"room": 3, "floor": "2"})
    assert chosen([fitting], tags=("GPU",), properties={"room": 3}) == ["x"]


# --- what gossip and the mesh say, together --------------------------------------------------------------


def ref(name: str, url: str = "", *, online: bool = True) -> HostRef:
    return HostRef(name, url or f"https://{name}:1", "1", online, 0.0, 2, 3, ("t",), {"p": 1})


def test_the_mesh_says_who_is_online_and_who_is_there_at_all() -> None:
    hosts = [ref("me"), ref("a"), ref("b", online=False), ref("new")]
    entries = joined(entry("me"), [entry("a"), entry("b"), entry("gone")], hosts)

    assert [(each.facts.name, each.online, each.version) for each in entries] == [
        ("a", True, 1), ("b", False, 1), ("gone", False, 1), ("me", True, 1), ("new", True, 0),
    ]  # fmt: skip
    new = entries[-1].facts
    assert (new.active_count, new.inactive_count, new.tags, new.properties) == (2, 3, ("t",), {"p": 1})


def test_a_host_is_given_with_the_url_by_which_this_one_reaches_it() -> None:
    [_, b] = joined(entry("a"), [entry("b")], [ref("a"), ref("b", "https://10.0.0.2:1")])
    assert (b.facts.url, b.online) == ("https://10.0.0.2:1", True)


def test_a_name_that_two_hosts_have_identifies_none() -> None:
    hosts = [ref("a"), ref("b", "https://10.0.0.2:1"), ref("b", "https://10.0.0.3:1")]
    entries = joined(entry("a"), [entry("b")], hosts)
    assert [(each.facts.url, each.version, each.online) for each in entries[1:]] == [
        ("https://10.0.0.2:1", 0, True),
        ("https://10.0.0.3:1", 0, True),
        ("https://b:1", 1, False),
    ]
