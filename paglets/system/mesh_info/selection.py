"""Which hosts suit a job: a pure function of the landscape and of what is asked for."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from paglets.system.mesh_info.contract import (
    LandscapeEntry,
    RejectedHost,
    TargetHost,
    TargetPreference,
    TargetSelection,
    TargetSelectionRequest,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def select_targets(
    entries: Iterable[LandscapeEntry], request: TargetSelectionRequest, *, own_id: str
) -> TargetSelection:
    """The hosts that have what is asked for, best first; the others with everything that speaks against them.

    Hosts that are equally good come in the order of their names, so equal questions have equal answers.
    """
    fitting: list[LandscapeEntry] = []
    rejected: list[RejectedHost] = []
    for entry in sorted(entries, key=lambda entry: (entry.facts.name, entry.facts.url)):
        if reasons := reasons_against(entry, request, own_id=own_id):
            rejected.append(RejectedHost(entry.facts.name, entry.facts.url, reasons))
        else:
            fitting.append(entry)
    fitting.sort(key=_order(request.prefer, own_id))
    return TargetSelection([_target(entry) for entry in fitting[: max(0, request.count)]], rejected)


def reasons_against(entry: LandscapeEntry, request: TargetSelectionRequest, *, own_id: str) -> list[str]:
    """Why a host will not do; empty when it will."""
    return [
        *_about_being_there(entry, request, own_id),
        *_about_resources(entry, request),
        *_about_kind(entry, request),
    ]


def _about_being_there(entry: LandscapeEntry, request: TargetSelectionRequest, own_id: str) -> Iterable[str]:
    facts = entry.facts
    if facts.host_id == own_id and not request.include_self:
        yield "it is the host that was asked, which is left out"
    excluded = {each.rstrip("/") for each in request.exclude_hosts}
    if excluded & {facts.name, facts.url.rstrip("/"), facts.host_id} - {""}:
        yield "it is excluded"
    if not entry.online:
        yield "it is not online"
    if entry.version == 0:
        yield "nothing is known of its resources yet"
    elif entry.stale:
        yield f"nothing was heard of its resources for {entry.age_seconds:.0f} s"
    elif 0 < request.max_age_seconds < entry.age_seconds:
        yield f"its figures are {entry.age_seconds:.0f} s old, more than {request.max_age_seconds:g} s"


def _about_resources(entry: LandscapeEntry, request: TargetSelectionRequest) -> Iterable[str]:
    facts = entry.facts
    if entry.version == 0:
        return
    if facts.memory_available_bytes < request.min_free_memory_bytes:
        yield f"{facts.memory_available_bytes} bytes of memory are free, of {request.min_free_memory_bytes} needed"
    if facts.disk_free_bytes < request.min_free_disk_bytes:
        yield f"{facts.disk_free_bytes} bytes of disk are free, of {request.min_free_disk_bytes} needed"
    if facts.cpu_count < request.min_cpu_count:
        yield f"it has {facts.cpu_count} processors, of {request.min_cpu_count} needed"
    load = facts.load_per_cpu
    if request.max_load is not None and load is None:
        yield "it cannot tell its load"
    elif request.max_load is not None and load is not None and load > request.max_load:
        yield f"its load per processor is {load:.2f}, more than {request.max_load:g}"


def _about_kind(entry: LandscapeEntry, request: TargetSelectionRequest) -> Iterable[str]:
    facts = entry.facts
    has = set(facts.tags)
    # Tags are kept in lower case, so that is how they are asked for, too.
    if missing := sorted({tag.strip().lower() for tag in request.tags} - has - {""}):
        yield f"it lacks the tags {', '.join(missing)}"
    for key, wanted in sorted(request.properties.items()):
        if key not in facts.properties:
            yield f"it has no property {key!r}"
        elif facts.properties[key] != wanted:
            yield f"its property {key!r} is {facts.properties[key]!r}, not {wanted!r}"


def _order(prefer: TargetPreference, own_id: str) -> Callable[[LandscapeEntry], tuple[float, ...]]:
    def free_memory(entry: LandscapeEntry) -> tuple[float, ...]:
        return (-entry.facts.memory_available_bytes,)

    def least_load(entry: LandscapeEntry) -> tuple[float, ...]:
        load = entry.facts.load_per_cpu
        return (math.inf if load is None else load, *free_memory(entry))

    def local(entry: LandscapeEntry) -> tuple[float, ...]:
        return (entry.facts.host_id != own_id, *free_memory(entry))

    return {
        TargetPreference.FREE_MEMORY: free_memory,
        TargetPreference.LEAST_LOAD: least_load,
        TargetPreference.LOCAL: local,
    }[prefer]


def _target(entry: LandscapeEntry) -> TargetHost:
    facts = entry.facts
    return TargetHost(
        facts.name,
        facts.url,
        facts.host_id,
        entry.age_seconds,
        facts.memory_available_bytes,
        facts.load_per_cpu,
    )
