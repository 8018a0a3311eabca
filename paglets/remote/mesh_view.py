"""A picture of the mesh at one moment: immutable, so that any thread may read it without asking the loop."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from paglets.remote.members import MemberStatus

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from paglets.remote.member_table import Member
    from paglets.remote.members import HostFacts
    from paglets.remote.membership import Membership


@dataclass(frozen=True, slots=True)
class SeenHost:
    """One host as it was at that moment."""

    facts: HostFacts
    url: str
    """Where it is known to be; what it announces, unless only another URL answered."""
    urls: tuple[str, ...]
    """Everywhere it may be reached."""
    online: bool
    last_seen: float
    """Unix time."""
    error: str = ""
    """Why it cannot be reached."""
    left: bool = False
    """Whether it said goodbye."""


@dataclass(frozen=True)
class MeshView:
    """The mesh at one moment. What is looked up in it for every message has an index, made when it is first asked."""

    own: HostFacts
    others: tuple[SeenHost, ...] = ()
    seeds: tuple[str, ...] = ()
    """URLs that somebody named, whether or not a host answered there."""

    @cached_property
    def by_key(self) -> Mapping[str, SeenHost]:
        """The other hosts by host id, but for those whose key is not known yet."""
        return {seen.facts.host_id: seen for seen in reversed(self.others) if seen.facts.host_id}

    @cached_property
    def by_url(self) -> Mapping[str, Sequence[SeenHost]]:
        """The other hosts that were seen at a URL."""
        found: dict[str, list[SeenHost]] = {}
        for seen in self.others:
            for url in {seen.url, *seen.urls}:
                found.setdefault(url, []).append(seen)
        return found


def draw(machine: Membership, registered: Iterable[SeenHost], now: float) -> MeshView:
    """The picture of what a membership knows, with the hosts that programs registered and nobody met yet.

    A host that has heard of nobody for long shows everybody as offline: it is the one that is cut off.
    Safe beside the loop that the membership lives on: it looks at copies of its tables.
    """
    silence = now - machine.last_heard
    alone = f"nobody has answered for {silence:.0f} s" if silence > machine.settings.offline_after else ""
    offset = time.time() - now
    others = tuple(_seen(member, offset, alone) for member in tuple(machine.table.members.values()))
    known = {url for seen in others for url in seen.urls}
    unmet = tuple(seen for seen in registered if seen.url not in known)
    seeds = tuple(lead.url for lead in tuple(machine.hints.leads.values()) if lead.seed)
    return MeshView(machine.own.facts, others + unmet, seeds)


def _seen(member: Member, offset: float, alone: str) -> SeenHost:
    left = member.fact.status == MemberStatus.LEFT
    return SeenHost(
        facts=member.fact.facts,
        url=member.url,
        urls=member.urls,
        online=member.fact.up and not member.unreachable and not alone,
        last_seen=member.last_contact + offset,
        error="it said goodbye" if left else member.unreachable or alone,
        left=left,
    )
