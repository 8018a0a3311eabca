"""Who is in the mesh: a state machine in the manner of SWIM, without I/O.

::

                      hello, gossip               misses a heartbeat
         (unknown) ------------------> ALIVE <------------------------> SUSPECT
                                       ^ |  refutes: new incarnation       |
                  new incarnation only | | says goodbye                    | nobody hears of it in time
                                       | v                                 v
                                      LEFT                              FAILED --> tried again, less and less

Each period a host probes one other host, chosen at random but each once per round; the heartbeat and its
answer carry a few facts about members. So the cost for a host does not grow with the mesh. A host that
does not answer is pinged through others before it is suspected, and a suspicion is told around before it
becomes a failure. Tables that differ though nothing is being told are compared page by page, at most once
in ``PULL_PAUSE`` periods.

Identity is the host id, the key that the link was authenticated with; names and URLs are hints. Time is
the caller's (any monotonic clock, seconds), and so is randomness.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from paglets.remote.attempts import Attempt, Attempts
from paglets.remote.beliefs import Beliefs
from paglets.remote.discovery import AddressHint
from paglets.remote.hints import HintTable, Lead
from paglets.remote.members import Gossip, HostFacts, MemberFact, MemberStatus, normal_url
from paglets.remote.membership_effects import (
    Effect,
    Goodbye,
    MembershipSettings,
    MeshEventKind,
    Ping,
    PingVia,
)
from paglets.remote.probe_round import ProbeRound

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from paglets.remote.member_table import MemberTable

PULL_PAUSE = 5
"""Periods between two comparisons of whole tables that this host begins."""
MAX_ACCUSED_PROBES = 2
"""Suspects of its own that a host probes again in one period."""
FAREWELLS = 8
"""Members that are told directly when a host leaves; gossip tells the rest."""
MAX_HINTED = 8


class Membership:
    """The state machine. Every input returns the effects that the caller has to bring about, in order."""

    def __init__(
        self,
        settings: MembershipSettings,
        facts: HostFacts,
        *,
        now: float,
        random: Random,
        admits: Callable[[str], bool] | None = None,
    ) -> None:
        self.settings = settings
        self.beliefs = Beliefs(
            settings, facts, session=random.getrandbits(48), admits=admits or (lambda _host_id: True)
        )
        self.hints = HintTable(settings.max_dials, settings.dials_per_second)
        self.last_heard = now
        """When any member was last heard of."""
        self._random = random
        self._attempts = Attempts()
        self._round = ProbeRound(random)
        self._next_period = now
        self._next_pull = now
        self._pull_from = ""
        self._effects: list[Effect] = []

    @property
    def own(self) -> MemberFact:
        """What this host says of itself."""
        return self.beliefs.own

    @property
    def table(self) -> MemberTable:
        """The other members."""
        return self.beliefs.table

    # --- what the world tells -------------------------------------------------------------------------

    def tick(self, now: float) -> list[Effect]:
        """Do what is due. Call it at ``next_wakeup``, or at any other time."""
        if self.beliefs.left:
            return []
        self.beliefs.conclude(now)
        if now >= self._next_period:
            self._next_period = now + self.settings.period
            self.beliefs.forget(now)
            self._probe_next()
            self._probe_accused()
            self._retry_failed(now)
        self._dial(now)
        return self._flush()

    def next_wakeup(self, now: float) -> float:
        """When ``tick`` has something to do; infinite when only the world can bring news."""
        if self.beliefs.left:
            return math.inf
        due = self.hints.next_due(now, self.knows)
        if self.table.members:
            due = min(due, self._next_period, self.beliefs.next_deadline())
        return due

    def gossip_for(self, host_id: str, *, pull: str | None = None) -> Gossip:
        """Compose a heartbeat for a member (``""``: for whoever answers)."""
        about = self.beliefs.opinion_of(host_id)
        rumours = self.table.rumours(exclude=host_id)
        return Gossip(sender=self.own, about=about, facts=rumours, digest=self.beliefs.digest, pull=pull)

    def received(self, now: float, peer_id: str, gossip: Gossip) -> tuple[Gossip, list[Effect]]:
        """Take a heartbeat in from an authenticated peer, and give the answer to it.

        ``ValueError`` for a heartbeat that speaks in another host's name.
        """
        if gossip.sender.host_id != peer_id:
            raise ValueError(f"{peer_id} sent a heartbeat in the name of {gossip.sender.host_id[:64]!r}")
        self._hear(peer_id, gossip, now)
        if gossip.pull is None:
            return self.gossip_for(peer_id), self._flush()
        facts, following = self.table.page(gossip.pull)
        about = self.beliefs.opinion_of(peer_id)
        reply = Gossip(
            sender=self.own, about=about, facts=facts, digest=self.beliefs.digest, next_pull=following
        )
        return reply, self._flush()

    def answered(self, now: float, token: int, url: str, gossip: Gossip) -> list[Effect]:
        """A ``Ping`` was answered; ``url`` says where, when only one was tried."""
        attempt = self._attempts.end(token)
        if attempt is None:
            return []
        sender = gossip.sender.host_id
        if attempt.lead is not None:
            self.hints.succeeded(attempt.lead, sender, now)
        if not attempt.target:
            # Nobody vouched for this id yet: ask again, insisting on the key.
            if sender != self.own.host_id and not self._attempts.concern(sender):
                self._ping(sender, (url,), lead=attempt.lead, pull=self._pull_from)
            return self._flush()
        if sender != attempt.target:
            self._failed_attempt(attempt, f"{sender[:64]} answered in its place", now)
            return self._flush()
        contradicted = self._hear(sender, gossip, now, answer=True, pulled=attempt.pulled)
        member = self.table.members.get(sender)
        if member is not None:
            self.beliefs.prove(member, url)
            member.retry_delay = 0.0
            if attempt.pulled:
                # Tables are paged by host id everywhere: a comparison that breaks off goes on with anyone.
                self._pull_from = gossip.next_pull or ""
            if gossip.next_pull is not None:
                self._ping(sender, member.urls, pull=gossip.next_pull)
            elif contradicted:
                self._ping(sender, member.urls)
        return self._flush()

    def unanswered(self, now: float, token: int, error: str) -> list[Effect]:
        """A ``Ping`` failed."""
        attempt = self._attempts.end(token)
        if attempt is not None:
            self._failed_attempt(attempt, error, now)
        return self._flush()

    def probed_via(self, now: float, token: int, *, reached: bool, error: str = "") -> list[Effect]:
        """A ``PingVia`` ended."""
        attempt = self._attempts.pending.get(token)
        if attempt is None:
            return []
        attempt.via -= 1
        member = self.table.members.get(attempt.target)
        if reached:
            self._attempts.end(token)
            if member is not None:
                # It lives, so nobody is told otherwise; but nothing can be moved there from here.
                member.unreachable = attempt.error
        elif attempt.via <= 0:
            self._attempts.end(token)
            self.beliefs.suspect(attempt.target, attempt.error or error, now)
        return self._flush()

    def hint(self, now: float, hint: AddressHint, *, seed: bool = False) -> list[Effect]:
        """A host may be at this address."""
        url = normal_url(hint.url)
        if self.beliefs.left or not url or hint.host_id == self.own.host_id:
            return []
        member = self.table.members.get(hint.host_id) if hint.host_id else None
        if member is not None and member.fact.up and not seed:
            if url not in member.urls:
                member.hinted = (url, *member.hinted)[:MAX_HINTED]
                self._ping(hint.host_id, member.urls)
            return self._flush()
        lead = self.hints.add(AddressHint(url, hint.host_id), now, seed=seed)
        if lead is not None and member is not None and url not in member.urls:
            member.hinted = (url, *member.hinted)[:MAX_HINTED]
        self._dial(now)
        return self._flush()

    def hello(self, facts: HostFacts) -> list[Effect]:
        """An authenticated link with this host was opened, by either side."""
        if self.beliefs.left or facts.host_id == self.own.host_id:
            return []
        member = self.table.members.get(facts.host_id)
        if member is None or not member.fact.up:
            self._ping(facts.host_id, facts.urls())
        return self._flush()

    def goodbye(self, now: float, host_id: str) -> list[Effect]:
        """An authenticated member says that it leaves."""
        self.beliefs.said_goodbye(host_id, now)
        return self._flush()

    def link_lost(self, host_id: str) -> list[Effect]:
        """A link to a member broke: look at once whether it still lives."""
        member = self.table.members.get(host_id)
        if not self.beliefs.left and member is not None and member.fact.up:
            self._ping(host_id, member.urls)
        return self._flush()

    def update(self, facts: HostFacts) -> list[Effect]:
        """This host has something else to say of itself from now on."""
        if facts != self.own.facts and not self.beliefs.left:
            urls_changed = facts.urls() != self.own.facts.urls() or facts.name != self.own.facts.name
            self.beliefs.assert_anew(facts)
            if urls_changed:
                for host_id in self._some_up(FAREWELLS):
                    self._ping(host_id, self.table.members[host_id].urls)
        return self._flush()

    def survey(self) -> list[Effect]:
        """Ping every member and every seed now."""
        for host_id, member in self.table.members.items():
            if member.fact.status != MemberStatus.LEFT:
                self._ping(host_id, member.urls, again=True, survey=True)
        for lead in self.hints.leads.values():
            if not self.knows(lead) and not lead.dialling:
                self.hints.begin(lead)
                self._try_lead(lead)
        return self._flush()

    def mark_unreachable(self, now: float, host_id: str, error: str) -> list[Effect]:
        """This host found that it cannot reach a member."""
        member = self.table.members.get(host_id)
        if member is not None and member.fact.up:
            self.beliefs.suspect(host_id, error, now)
            member.unreachable = error
        return self._flush()

    def evict(self, host_id: str) -> list[Effect]:
        """Forget a host whose key is no longer honoured."""
        self.beliefs.evict(host_id)
        return self._flush()

    def leave(self, *, timeout: float = 1.0) -> list[Effect]:
        """Say goodbye; from now on this machine only answers."""
        if not self.beliefs.left:
            self.beliefs.leave()
            for host_id in self._some_up(FAREWELLS):
                self._effects.append(Goodbye(host_id, self.table.members[host_id].urls, timeout))
        return self._flush()

    def knows(self, lead: Lead) -> bool:
        """Whether the host behind a lead is a member that is up, or this host."""
        host_id = lead.found or lead.host_id
        if host_id == self.own.host_id:
            return True
        member = self.table.members.get(host_id)
        return member is not None and member.fact.up

    # --- what it makes of it ----------------------------------------------------------------------------

    def _hear(
        self, peer_id: str, gossip: Gossip, now: float, *, answer: bool = False, pulled: bool = False
    ) -> bool:
        """Take in a message of a member; true when this host had to contradict it."""
        self.beliefs.learn(gossip.sender, now)
        member = self.table.members.get(peer_id)
        if member is not None:
            self.last_heard = now
            member.heard = True
            member.last_contact = now
            if answer:
                member.unreachable = ""
            elif member.unreachable and member.fact.up:
                # It reaches this host; look whether that holds the other way round as well.
                self._ping(peer_id, member.urls)
        contradicted = gossip.about is not None and self.beliefs.contradict(gossip.about)
        for fact in gossip.facts:
            self.beliefs.learn(fact, now, rumour=not pulled)
        calm = gossip.digest != self.beliefs.digest and gossip.next_pull is None and now >= self._next_pull
        if calm and member is not None and member.fact.up and not self.beliefs.left:
            self._next_pull = now + PULL_PAUSE * self.settings.period
            self._ping(peer_id, member.urls, pull=self._pull_from, again=True)
        return contradicted

    def _failed_attempt(self, attempt: Attempt, error: str, now: float) -> None:
        if attempt.lead is not None:
            self.hints.failed(attempt.lead, now, error)
        if attempt.pulled:
            self._next_pull = now
        member = self.table.members.get(attempt.target)
        if member is None or self.beliefs.left:
            return
        if not member.fact.up:
            member.unreachable = error
            member.retry_delay = min(
                max(member.retry_delay, self.settings.period) * 2, self.settings.retry_limit
            )
            member.retry_at = now + member.retry_delay * self._random.uniform(0.75, 1.25)
            return
        if attempt.survey:
            member.unreachable = error
        if attempt.lead is None and member.fact.status == MemberStatus.ALIVE:
            self._ask_others(attempt.target, error, now)
        elif attempt.lead is None:
            member.complaint = error

    def _ask_others(self, target: str, error: str, now: float) -> None:
        helpers = self._some_up(self.settings.indirect, exclude=target)
        if not helpers:
            self.beliefs.suspect(target, error, now)
            return
        token = self._attempts.begin(Attempt(target, via=len(helpers), error=error))
        for helper in helpers:
            urls = self.table.members[helper].urls
            self._effects.append(PingVia(token, helper, urls, target, self.settings.call_timeout))

    # --- what is due ------------------------------------------------------------------------------------

    def _probe_next(self) -> None:
        """Probe the next member of this round."""
        host_id = self._round.next(lambda host_id: host_id in self.table.members, self.table.up)
        if host_id is not None and self.table.members[host_id].fact.up:
            self._ping(host_id, self.table.members[host_id].urls)

    def _probe_accused(self) -> None:
        """Give the suspects of this host another chance each period."""
        accused = [item for item in self.table.with_status(MemberStatus.SUSPECT) if item[1].accused]
        for host_id, member in self._random.sample(accused, min(len(accused), MAX_ACCUSED_PROBES)):
            self._ping(host_id, member.urls)

    def _retry_failed(self, now: float) -> None:
        """Try one failed member again: after a partition nobody else would."""
        due = [item for item in self.table.with_status(MemberStatus.FAILED) if item[1].retry_at <= now]
        if due:
            host_id, member = self._random.choice(due)
            self._ping(host_id, member.urls)

    def _dial(self, now: float) -> None:
        """Try the hints that are due."""
        self.hints.expire(now)
        for lead in self.hints.take_due(now, self.knows):
            self._try_lead(lead)

    def _try_lead(self, lead: Lead) -> None:
        self._ping(lead.host_id, (lead.url,), lead=lead, pull=self._pull_from if lead.host_id else None)

    # --- small things -----------------------------------------------------------------------------------

    def _ping(
        self,
        host_id: str,
        urls: tuple[str, ...],
        *,
        lead: Lead | None = None,
        pull: str | None = None,
        again: bool = False,
        survey: bool = False,
    ) -> None:
        """Begin a heartbeat, unless one to that member is under way already."""
        if not urls or (lead is None and not again and self._attempts.concern(host_id)):
            return
        token = self._attempts.begin(Attempt(host_id, lead=lead, pulled=pull is not None, survey=survey))
        self._effects.append(
            Ping(token, host_id, urls, self.gossip_for(host_id, pull=pull), self.settings.call_timeout)
        )

    def _some_up(self, count: int, *, exclude: str = "") -> list[str]:
        ids = [host_id for host_id in self.table.up() if host_id != exclude]
        return self._random.sample(ids, min(count, len(ids)))

    def _flush(self) -> list[Effect]:
        news, self.beliefs.news = self.beliefs.news, []
        for event in news:
            if event.kind == MeshEventKind.JOINED:
                self._round.enter(event.host.host_id)
        effects, self._effects = self._effects, []
        return [*news, *effects]
