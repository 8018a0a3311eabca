"""What one host believes of the mesh, and which news change it.

The part of membership that sends nothing; ``Membership`` probes and talks.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from paglets.remote.member_table import Member, MemberTable, fact_weight
from paglets.remote.members import MAX_INCARNATION, HostFacts, MemberFact, MemberStatus, Opinion
from paglets.remote.membership_effects import MembershipSettings, MeshEvent, MeshEventKind
from paglets.remote.name_clashes import NameClashes

if TYPE_CHECKING:
    from collections.abc import Callable

KEY_CLASH_AFTER = 5
"""Contradictions with another session of this host's key. A restart makes one; a copied disk never stops."""


class Beliefs:
    """The facts this host holds for true: about itself, and about the others."""

    def __init__(
        self, settings: MembershipSettings, facts: HostFacts, *, session: int, admits: Callable[[str], bool]
    ) -> None:
        self.settings = settings
        self.own = MemberFact(facts, session=session)
        self.table = MemberTable(settings.max_members, admits)
        self.left = False
        """Whether this host said goodbye: it lets others think so."""
        self.news: list[MeshEvent] = []
        """What happened since somebody looked."""
        self._clashes = NameClashes(settings.max_members)
        self._other_sessions = 0

    @property
    def digest(self) -> int:
        """Of everything believed; hosts that agree have the same."""
        return self.table.digest ^ fact_weight(self.own)

    def opinion_of(self, host_id: str) -> Opinion | None:
        """What to tell a member that this host believes of it."""
        member = self.table.members.get(host_id)
        if member is None:
            return None
        return Opinion(member.fact.incarnation, member.fact.status, member.fact.session)

    def assert_anew(self, facts: HostFacts) -> None:
        """This host has something else to say of itself."""
        self.own = MemberFact(facts, self.own.incarnation + 1, session=self.own.session)

    def leave(self) -> None:
        """This host leaves; from now on it contradicts nobody."""
        self.left = True
        self.own = _with_status(self.own, MemberStatus.LEFT)

    def contradict(self, opinion: Opinion) -> bool:
        """Take a new incarnation if an opinion of this host is wrong; true when it was."""
        own = self.own
        if self.left or opinion.incarnation < own.incarnation or opinion.incarnation >= MAX_INCARNATION:
            return False
        right = opinion.session == own.session and opinion.status == MemberStatus.ALIVE
        if right and opinion.incarnation == own.incarnation:
            return False
        self.own = MemberFact(own.facts, opinion.incarnation + 1, session=own.session)
        if opinion.session != own.session:
            self._other_sessions += 1
            if self._other_sessions == KEY_CLASH_AFTER:
                detail = "another host shows the key of this one, as if its disk had been copied"
                self._tell(MeshEventKind.KEY_CLASH, own, detail)
        return True

    def learn(self, fact: MemberFact, now: float, *, rumour: bool = True) -> None:
        """Merge one fact, and note what it changes. ``rumour``: pass it on."""
        if fact.host_id == self.own.host_id:
            self.contradict(Opinion(fact.incarnation, fact.status, fact.session))
            return
        merged = self.table.merge(fact, now, rumour=rumour)
        if merged is None:
            return
        member, previous = merged
        member.accused = False
        member.complaint = ""
        member.deadline = now + self.settings.suspicion if fact.status == MemberStatus.SUSPECT else math.inf
        if previous is not None and previous.facts.urls() != fact.facts.urls():
            member.proven_url = ""
            self._tell(MeshEventKind.ADDRESS_CHANGED, fact, previous.facts.url)
        if fact.up and (previous is None or not previous.up):
            member.unreachable = ""
            self._tell(MeshEventKind.JOINED, fact)
        elif fact.status == MemberStatus.LEFT:
            self._tell(MeshEventKind.LEFT, fact)
        elif fact.status == MemberStatus.FAILED:
            member.unreachable = member.unreachable or "other hosts of the mesh lost it"
            member.retry_delay = self.settings.period
            member.retry_at = now + self.settings.period
            self._tell(MeshEventKind.FAILED, fact, member.unreachable)
        if fact.up:
            self._report_clashes(fact)

    def suspect(self, host_id: str, error: str, now: float) -> None:
        """This host could not reach a member, nor could others."""
        member = self.table.members.get(host_id)
        if member is not None and member.fact.status == MemberStatus.ALIVE:
            self.learn(_with_status(member.fact, MemberStatus.SUSPECT), now)
            member.accused = True
            member.complaint = error

    def said_goodbye(self, host_id: str, now: float) -> None:
        """A member leaves."""
        member = self.table.members.get(host_id)
        if member is not None and member.fact.status != MemberStatus.LEFT:
            self.learn(_with_status(member.fact, MemberStatus.LEFT), now)

    def prove(self, member: Member, url: str) -> None:
        """A member answered at this URL; remember it if the member does not announce it itself."""
        if url and url not in member.fact.facts.urls() and url != member.proven_url:
            previous = member.url
            member.proven_url = url
            if member.url != previous:
                self._tell(MeshEventKind.ADDRESS_CHANGED, member.fact, previous)

    def evict(self, host_id: str) -> None:
        """Forget a host whose key is no longer honoured."""
        member = self.table.members.get(host_id)
        if member is not None:
            self.table.forget(host_id)
            if member.fact.up:
                self._tell(MeshEventKind.FAILED, member.fact, "its certificate was revoked")

    def conclude(self, now: float) -> None:
        """Give up the suspected members that nobody heard of in time."""
        for _, member in self.table.with_status(MemberStatus.SUSPECT):
            if member.deadline > now:
                continue
            if member.accused:
                member.unreachable = member.unreachable or member.complaint or "it stopped answering"
                self.learn(_with_status(member.fact, MemberStatus.FAILED), now)
            else:
                # Who was only told of the suspicion looks for itself first.
                member.accused = True
                member.deadline = now + self.settings.period + self.settings.call_timeout

    def forget(self, now: float) -> None:
        """Drop those that are gone for long."""
        for host_id, member in self.table.with_status(MemberStatus.FAILED, MemberStatus.LEFT):
            left = member.fact.status == MemberStatus.LEFT
            memory = self.settings.left_memory if left else self.settings.failed_memory
            if member.changed_at + memory <= now:
                self.table.forget(host_id)

    def next_deadline(self) -> float:
        """When ``conclude`` has something to do; infinite when nobody is suspected."""
        suspects = self.table.with_status(MemberStatus.SUSPECT)
        return min((member.deadline for _, member in suspects), default=math.inf)

    def _report_clashes(self, fact: MemberFact) -> None:
        others = (self.own, *(self.table.members[host_id].fact for host_id in self.table.up()))
        for other in self._clashes.found(fact, others):
            where = f"{other.facts.url} ({other.host_id})"
            detail = f"{where} has the same name; use the URL, or rename one"
            self._tell(MeshEventKind.NAME_CLASH, fact, detail)

    def _tell(self, kind: MeshEventKind, fact: MemberFact, detail: str = "") -> None:
        compatible = fact.facts.code_version == self.own.facts.code_version
        self.news.append(MeshEvent(kind, fact.facts, compatible=compatible, detail=detail))


def _with_status(fact: MemberFact, status: MemberStatus) -> MemberFact:
    return MemberFact(fact.facts, fact.incarnation, status=status, session=fact.session)
