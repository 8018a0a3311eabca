"""What gossip tells and what the mesh tells, put together: a pure function."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import TYPE_CHECKING

from paglets.system.mesh_info.contract import HostFacts, LandscapeEntry

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from paglets.remote.host_refs import HostRef


def joined(
    own: LandscapeEntry, heard: Iterable[LandscapeEntry], hosts: Sequence[HostRef]
) -> list[LandscapeEntry]:
    """Every host that gossip or the mesh knows, once, by name.

    Whether a host is online, and by which URL this host reaches it, is the mesh's word (``hosts``). It knows
    hosts by URL; one that calls itself by another of its URLs is told by its name, if only one has that.
    """
    others = [ref for ref in hosts if ref.url != own.facts.url]
    by_url = {ref.url: ref for ref in others}
    counted = Counter(ref.name for ref in others)
    by_name = {ref.name: ref for ref in others if counted[ref.name] == 1}
    entries = [own]
    met: set[str] = set()
    for entry in heard:
        ref = by_url.get(entry.facts.url) or by_name.get(entry.facts.name)
        if ref is None or ref.url in met:
            entries.append(dataclasses.replace(entry, online=False))
            continue
        met.add(ref.url)
        facts = dataclasses.replace(entry.facts, url=ref.url)
        entries.append(dataclasses.replace(entry, facts=facts, online=ref.online))
    entries += [_unheard_of(ref) for ref in others if ref.url not in met]
    return sorted(entries, key=lambda entry: (entry.facts.name, entry.facts.url))


def _unheard_of(ref: HostRef) -> LandscapeEntry:
    """A host that the mesh knows and no gossip has come from yet."""
    known = HostFacts(
        "",
        ref.name,
        ref.url,
        active_count=ref.active_count,
        inactive_count=ref.inactive_count,
        tags=ref.tags,
        properties=ref.properties,
    )
    return LandscapeEntry(known, version=0, age_seconds=0.0, online=ref.online)
