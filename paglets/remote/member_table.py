"""The table of members: which fact wins, what is passed on, and how two tables are compared."""

from __future__ import annotations

import hashlib
import heapq
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from paglets.remote.members import MemberFact, MemberStatus, fact_problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

PAGE = 32
"""Facts in one answer to a pull."""
PIGGYBACK = 8
"""Facts that ride on a heartbeat."""
RETRANSMIT = 3
"""A fact is passed on this many times the logarithm of the mesh's size (SWIM, section 4.1)."""


@dataclass(slots=True)
class Member:
    """One member as this host sees it."""

    fact: MemberFact
    last_contact: float
    """Loop time of the last sign of life that reached this host."""
    changed_at: float
    """Loop time of the last change of status."""
    heard: bool = False
    """Whether it was ever talked to, and not only told of."""
    proven_url: str = ""
    """The URL that answered last."""
    hinted: tuple[str, ...] = ()
    """Where discovery has seen it lately, the latest first; bounded."""
    unreachable: str = ""
    """Why this host cannot reach it, whatever the others say; shown as offline."""
    complaint: str = ""
    """What the last probe of a suspect met; the reason, should it fail."""
    deadline: float = math.inf
    """When a suspicion becomes a failure."""
    accused: bool = False
    """Whether this host began the suspicion."""
    retry_at: float = 0.0
    """When a failed member is tried again."""
    retry_delay: float = 0.0

    @property
    def url(self) -> str:
        """Where it is: what it announces, unless only another URL answered."""
        announced = self.fact.facts.urls()
        if self.proven_url and self.proven_url not in announced:
            return self.proven_url
        return announced[0] if announced else self.proven_url

    @property
    def urls(self) -> tuple[str, ...]:
        """Every URL worth a try, the likeliest first."""
        proven = (self.proven_url,) if self.proven_url else ()
        return tuple(dict.fromkeys((*proven, *self.fact.facts.urls(), *self.hinted)))


def fact_weight(fact: MemberFact) -> int:
    """What a fact adds (exclusive or) to the digest of a table: 48 bits."""
    text = f"{fact.host_id}\0{fact.incarnation}\0{int(fact.status)}\0{fact.session}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=6).digest(), "big")


@dataclass(slots=True)
class _Rumour:
    """A fact that is being passed on."""

    urgent: bool = False
    """It changes what is known of a member: a suspicion, its refutation, a death. Newcomers can wait."""
    told: int = 0


@dataclass(slots=True)
class MemberTable:
    """Members by host id. Facts about this host itself never enter; see ``Membership``."""

    limit: int
    """Members at most; beyond it a newcomer only takes the place of one that is gone."""
    admits: Callable[[str], bool]
    """Whether a host id may be a member at all; false for a revoked key."""
    members: dict[str, Member] = field(default_factory=dict[str, Member])
    digest: int = 0
    refused: int = 0
    """Facts that were malformed, or for which there was no room."""
    _queue: dict[str, _Rumour] = field(default_factory=dict[str, "_Rumour"])

    def merge(
        self, fact: MemberFact, now: float, *, rumour: bool = True
    ) -> tuple[Member, MemberFact | None] | None:
        """Take a fact in if it is news.

        Returns the member and its previous fact (none for a newcomer), or none when nothing changed.
        With ``rumour`` it is passed on; what was read from another's table is no news to the mesh.
        """
        member = self.members.get(fact.host_id)
        if member is not None and fact.rank <= member.fact.rank:
            return None
        if fact_problem(fact) or not self.admits(fact.host_id):
            self.refused += 1
            return None
        if member is None:
            if not fact.up or not self._room():
                # An obituary of somebody nobody knew is no news, and would keep itself alive for ever.
                self.refused += fact.up
                return None
            member = Member(fact, last_contact=now, changed_at=now)
            self.members[fact.host_id] = member
            self.digest ^= fact_weight(fact)
            if rumour:
                self._queue[fact.host_id] = _Rumour()
            return member, None
        previous = member.fact
        self._weigh(previous)
        member.fact = fact
        self._weigh(fact)
        if fact.status != previous.status:
            member.changed_at = now
        if fact.incarnation > previous.incarnation and fact.status == MemberStatus.ALIVE:
            member.last_contact = now
        if rumour:
            self._queue[fact.host_id] = _Rumour(urgent=True)
        else:
            self._queue.pop(fact.host_id, None)
        return member, previous

    def forget(self, host_id: str) -> None:
        """Drop a member as if it had never been heard of."""
        member = self.members.pop(host_id, None)
        self._queue.pop(host_id, None)
        if member is not None:
            self._weigh(member.fact)

    def rumours(self, *, exclude: str, count: int = PIGGYBACK) -> tuple[MemberFact, ...]:
        """Take the facts to put on one message: urgent ones first, then those that were passed on least."""
        if not self._queue:
            return ()
        enough = RETRANSMIT * math.ceil(math.log2(len(self.members) + 2))
        waiting = [(not rumour.urgent, rumour.told, host_id) for host_id, rumour in self._queue.items()]
        chosen = [host_id for _, _, host_id in heapq.nsmallest(count + 1, waiting) if host_id != exclude][
            :count
        ]
        for host_id in chosen:
            self._queue[host_id].told += 1
            if self._queue[host_id].told >= enough:
                del self._queue[host_id]
        return tuple(self.members[host_id].fact for host_id in chosen)

    def page(self, after: str) -> tuple[tuple[MemberFact, ...], str | None]:
        """One page of all facts, by host id, and where the next begins."""
        ids = sorted(host_id for host_id in self.members if host_id > after)
        chosen = ids[:PAGE]
        return tuple(self.members[host_id].fact for host_id in chosen), chosen[-1] if len(
            ids
        ) > PAGE else None

    def with_status(self, *statuses: MemberStatus) -> Iterable[tuple[str, Member]]:
        """The members of these statuses."""
        return [
            (host_id, member) for host_id, member in self.members.items() if member.fact.status in statuses
        ]

    def up(self) -> list[str]:
        """The ids of those that take part."""
        return [host_id for host_id, member in self.members.items() if member.fact.up]

    def _weigh(self, fact: MemberFact) -> None:
        if fact.up:
            self.digest ^= fact_weight(fact)

    def _room(self) -> bool:
        if len(self.members) < self.limit:
            return True
        gone = [
            (member.changed_at, host_id) for host_id, member in self.members.items() if not member.fact.up
        ]
        if not gone:
            return False
        self.forget(min(gone)[1])
        return True
