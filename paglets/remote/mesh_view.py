"""A picture of the mesh at one moment: immutable, so that any thread may read it without asking the loop."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from paglets.remote.members import MemberStatus

if TYPE_CHECKING:
    from collections.abc import Iterable

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


@dataclass(frozen=True, slots=True)
class MeshView:
    """The mesh at one moment."""

    own: HostFacts
    others: tuple[SeenHost, ...] = ()
    seeds: tuple[str, ...] = ()
    """URLs that somebody named, whether or not a host answered there."""


def draw(machine: Membership, registered: Iterable[SeenHost], now: float) -> MeshView:
    """The picture of what a membership knows, with the hosts that programs registered and nobody met yet.

    A host that has heard of nobody for long shows everybody as offline: it is the one that is cut off.
    """
    silence = now - machine.last_heard
    alone = f"nobody has answered for {silence:.0f} s" if silence > machine.settings.offline_after else ""
    offset = time.time() - now
    others = tuple(_seen(member, offset, alone) for member in machine.table.members.values())
    known = {url for seen in others for url in seen.urls}
    unmet = tuple(seen for seen in registered if seen.url not in known)
    seeds = tuple(lead.url for lead in machine.hints.leads.values() if lead.seed)
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
