"""Who is in the mesh: a state machine in the manner of SWIM, without I/O.

::

                    hello / gossip                  misses a heartbeat
        (unknown) ------------------> ALIVE <------------------------------> SUSPECT
                                       ^ |   refutes: higher incarnation        |
                 higher incarnation    | | says goodbye                         | nobody hears of it in time
                     only              | v                                      v
                                      LEFT                                    FAILED ---> tried again, ever less often

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
from dataclasses import dataclass

from paglets.remote.discovery import AddressHint
from paglets.remote.hints import FIRST_DELAY, HintTable, Lead
from paglets.remote.member_table import Member, MemberTable, fact_weight
from paglets.remote.members import (
    MAX_INCARNATION,
    Gossip,
    HostFacts,
    MemberFact,
    MemberStatus,
    Opinion,
    normal_url,
)
from paglets.remote.membership_effects import (
    Effect,
    Goodbye,
    MembershipSettings,
    MeshEvent,
    MeshEventKind,
    Ping,
    PingVia,
)
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random
    from collections.abc import Callable

PULL_PAUSE = 5
"""Periods between two comparisons of whole tables that this host begins."""
MAX_ACCUSED_PROBES = 2
"""Suspects of its own that a host probes again in one period."""
FAREWELLS = 8
"""Members that are told directly when a host leaves; gossip tells the rest."""
MAX_HINTED = 8


@dataclass(slots=True)
class _Attempt:
    """One probe under way."""

    target: str
    lead: Lead | None = None
    """The hint or seed that is being tried."""
    via: int = 0
    """Indirect probes still out."""
    failed_before: bool = False
    """The member had failed already: nobody needs to be told again."""
    error: str = ""


class Membership:
    """The state machine. Every input returns the effects that the caller has to bring about, in order."""

    def __init__(
        self,
        settings: MembershipSettings,
        facts: HostFacts,
        *,
        now: float,
        random: Random,
        admits: Callable[[str], bool] = lambda host_id: True,
    ) -> None:
        self.settings = settings
        self.own = MemberFact(facts, session=random.getrandbits(48))
        self.table = MemberTable(settings.max_members, admits)
        self.hints = HintTable()
        self.left = False
        self.last_heard = now
        """When any member was last heard of."""
        self._random = random
        self._attempts: dict[int, _Attempt] = {}
        self._next_token = 1
        self._round: list[str] = []
        self._next_period = now
        self._next_pull = now
        self._dial_credit = float(settings.max_dials)
        self._credit_at = now
        self._clashes: set[tuple[str, str]] = set()
        self._effects: list[Effect] = []

    # --- what the world tells -------------------------------------------------------------------------

    def tick(self, now: float) -> list[Effect]:
        """Do what is due. Call it at ``next_wakeup``, or at any other time."""
        if self.left:
            return []
        for host_id, member in self.table.with_status(MemberStatus.SUSPECT):
            if member.deadline <= now:
                self._conclude(host_id, member, now)
        if now >= self._next_period:
            self._next_period = now + self.settings.period
            self._forget(now)
            self._probe_next(now)
            self._probe_accused(now)
            self._retry_failed(now)
        self._dial(now)
        return self._flush()

    def next_wakeup(self) -> float:
        """When ``tick`` has something to do; infinite when only the world can bring news."""
        if self.left:
            return math.inf
        due = [
            lead.due_at for lead in self.hints.leads.values() if not lead.dialling and not self._served(lead)
        ]
        due += [lead.expires_at for lead in self.hints.leads.values() if not lead.seed]
        if self.table.members:
            due.append(self._next_period)
            due += [member.deadline for _, member in self.table.with_status(MemberStatus.SUSPECT)]
        return min(due, default=math.inf)

    def gossip_for(self, host_id: str, *, pull: str | None = None) -> Gossip:
        """Compose a heartbeat for a member (``""``: for whoever answers)."""
        member = self.table.members.get(host_id)
        about = None
        if member is not None:
            about = Opinion(member.fact.incarnation, member.fact.status, member.fact.session)
        rumours = self.table.rumours(exclude=host_id)
        return Gossip(sender=self.own, about=about, facts=rumours, digest=self._digest(), pull=pull)

    def received(self, now: float, peer_id: str, gossip: Gossip) -> tuple[Gossip, list[Effect]]:
        """Take a heartbeat in from an authenticated peer, and give the answer to it.

        ``ValueError`` for a heartbeat that speaks in another host's name.
        """
        if gossip.sender.host_id != peer_id:
            raise ValueError(f"{peer_id} sent a heartbeat in the name of {gossip.sender.host_id[:64]!r}")
        self._hear(peer_id, gossip, now)
        if gossip.pull is None:
            return self.gossip_for(peer_id), self._flush()
        answer = self.gossip_for(peer_id)
        facts, following = self.table.page(gossip.pull)
        reply = Gossip(
            sender=answer.sender, about=answer.about, facts=facts, digest=answer.digest, next_pull=following
        )
        return reply, self._flush()

    def answered(self, now: float, token: int, url: str, gossip: Gossip) -> list[Effect]:
        """A ``Ping`` was answered; ``url`` says where, when only one was tried."""
        attempt = self._attempts.pop(token, None)
        if attempt is None:
            return []
        sender = gossip.sender.host_id
        if attempt.lead is not None:
            self._lead_answered(attempt.lead, sender, now)
        if not attempt.target:
            # Nobody vouched for this id yet: ask again, insisting on the key.
            if sender != self.own.host_id:
                self._ping(sender, (url,), now, lead=attempt.lead, pull="")
            return self._flush()
        if sender != attempt.target:
            self._failed_attempt(attempt, f"{sender[:64]} answered in its place", now)
            return self._flush()
        contradicted = self._hear(sender, gossip, now)
        member = self.table.members.get(sender)
        if member is not None:
            self._prove(sender, member, url)
            member.retry_delay = 0.0
            if gossip.next_pull is not None:
                self._ping(sender, member.urls, now, pull=gossip.next_pull)
            elif contradicted:
                self._ping(sender, member.urls, now)
        return self._flush()

    def unanswered(self, now: float, token: int, error: str) -> list[Effect]:
        """A ``Ping`` failed."""
        attempt = self._attempts.pop(token, None)
        if attempt is not None:
            self._failed_attempt(attempt, error, now)
        return self._flush()

    def probed_via(self, now: float, token: int, *, reached: bool, error: str = "") -> list[Effect]:
        """A ``PingVia`` ended."""
        attempt = self._attempts.get(token)
        if attempt is None:
            return []
        attempt.via -= 1
        member = self.table.members.get(attempt.target)
        if reached:
            del self._attempts[token]
            if member is not None:
                # It lives, so nobody is told otherwise; but nothing can be moved there from here.
                member.unreachable = attempt.error
        elif attempt.via <= 0:
            del self._attempts[token]
            self._suspect(attempt.target, attempt.error or error, now)
        return self._flush()

    def hint(self, now: float, hint: AddressHint, *, seed: bool = False) -> list[Effect]:
        """A host may be at this address."""
        url = normal_url(hint.url)
        if self.left or not url or hint.host_id == self.own.host_id:
            return []
        member = self.table.members.get(hint.host_id) if hint.host_id else None
        if member is not None and member.fact.up and not seed:
            if url not in member.urls:
                member.hinted = (url, *member.hinted)[:MAX_HINTED]
                self._ping(hint.host_id, member.urls, now)
            return self._flush()
        lead = self.hints.add(AddressHint(url, hint.host_id), now, seed=seed)
        if lead is not None and member is not None and url not in member.urls:
            member.hinted = (url, *member.hinted)[:MAX_HINTED]
        self._dial(now)
        return self._flush()

    def hello(self, now: float, facts: HostFacts) -> list[Effect]:
        """An authenticated link with this host was opened, by either side."""
        if self.left or facts.host_id == self.own.host_id:
            return []
        member = self.table.members.get(facts.host_id)
        if member is None or not member.fact.up:
            self._ping(facts.host_id, facts.urls(), now)
        return self._flush()

    def goodbye(self, now: float, host_id: str) -> list[Effect]:
        """An authenticated member says that it leaves."""
        member = self.table.members.get(host_id)
        if member is not None and member.fact.status != MemberStatus.LEFT:
            self._learn(self._with_status(member, MemberStatus.LEFT), now)
        return self._flush()

    def link_lost(self, now: float, host_id: str) -> list[Effect]:
        """A link to a member broke: look at once whether it still lives."""
        member = self.table.members.get(host_id)
        if not self.left and member is not None and member.fact.up:
            self._ping(host_id, member.urls, now)
        return self._flush()

    def update(self, now: float, facts: HostFacts) -> list[Effect]:
        """This host has something else to say of itself from now on."""
        if facts != self.own.facts and not self.left:
            urls_changed = facts.urls() != self.own.facts.urls() or facts.name != self.own.facts.name
            self._reincarnate(self.own.incarnation + 1, facts)
            if urls_changed:
                for host_id in self._some_up(FAREWELLS):
                    self._ping(host_id, self.table.members[host_id].urls, now)
        return self._flush()

    def survey(self, now: float) -> list[Effect]:
        """Ping every member and every seed now."""
        for host_id, member in self.table.members.items():
            if member.fact.status != MemberStatus.LEFT:
                self._ping(host_id, member.urls, now)
        for lead in self.hints.leads.values():
            if not self._served(lead) and not lead.dialling:
                self._try_lead(lead, now)
        return self._flush()

    def mark_unreachable(self, now: float, host_id: str, error: str) -> list[Effect]:
        """This host found that it cannot reach a member."""
        member = self.table.members.get(host_id)
        if member is not None and member.fact.up:
            self._suspect(host_id, error, now)
            member.unreachable = error
        return self._flush()

    def evict(self, host_id: str) -> list[Effect]:
        """Forget a host whose key is no longer honoured."""
        member = self.table.members.get(host_id)
        if member is not None:
            self.table.forget(host_id)
            self._tell(MeshEventKind.FAILED, member.fact, "its certificate was revoked")
        return self._flush()

    def leave(self, now: float, *, timeout: float = 1.0) -> list[Effect]:
        """Say goodbye; from now on this machine only answers."""
        if not self.left:
            self.left = True
            self.own = MemberFact(
                self.own.facts, self.own.incarnation, status=MemberStatus.LEFT, session=self.own.session
            )
            for host_id in self._some_up(FAREWELLS):
                self._effects.append(Goodbye(host_id, self.table.members[host_id].urls, timeout))
        return self._flush()

    def knows(self, lead: Lead) -> bool:
        """Whether the host behind a lead is a member that is up, or this host."""
        return self._served(lead)

    # --- what it makes of it ----------------------------------------------------------------------------

    def _hear(self, peer_id: str, gossip: Gossip, now: float) -> bool:
        """Take in a message of a member; true when this host had to contradict it."""
        self._learn(gossip.sender, now)
        member = self.table.members.get(peer_id)
        if member is not None:
            self.last_heard = now
            member.heard = True
            member.last_contact = now
            member.unreachable = ""
        contradicted = gossip.about is not None and self._consider(gossip.about)
        for fact in gossip.facts:
            self._learn(fact, now)
        calm = gossip.digest != self._digest() and gossip.next_pull is None and now >= self._next_pull
        if calm and member is not None and member.fact.up and not self.left:
            self._next_pull = now + PULL_PAUSE * self.settings.period
            self._ping(peer_id, member.urls, now, pull="", again=True)
        return contradicted

    def _consider(self, opinion: Opinion) -> bool:
        """Contradict what somebody believes of this host, when it is wrong."""
        own = self.own
        if self.left or opinion.incarnation < own.incarnation or opinion.incarnation >= MAX_INCARNATION:
            return False
        same = opinion.session == own.session and opinion.status == MemberStatus.ALIVE
        if opinion.incarnation == own.incarnation and same:
            return False
        self._reincarnate(opinion.incarnation + 1, own.facts)
        return True

    def _reincarnate(self, incarnation: int, facts: HostFacts) -> None:
        self.own = MemberFact(facts, incarnation, session=self.own.session)

    def _learn(self, fact: MemberFact, now: float) -> None:
        """Merge one fact, and tell what it changes."""
        if fact.host_id == self.own.host_id:
            self._consider(Opinion(fact.incarnation, fact.status, fact.session))
            return
        merged = self.table.merge(fact, now)
        if merged is None:
            return
        member, previous = merged
        host_id = fact.host_id
        member.accused = False
        member.deadline = now + self.settings.suspicion if fact.status == MemberStatus.SUSPECT else math.inf
        if previous is not None and previous.facts.urls() != fact.facts.urls():
            member.proven_url = ""
            self._tell(MeshEventKind.ADDRESS_CHANGED, fact, previous.facts.url)
        if fact.up and (previous is None or not previous.up):
            member.unreachable = ""
            self._enter_round(host_id)
            self._tell(MeshEventKind.JOINED, fact)
        elif fact.status == MemberStatus.LEFT:
            self._tell(MeshEventKind.LEFT, fact)
        elif fact.status == MemberStatus.FAILED:
            self._mourn(member, now)
            self._tell(MeshEventKind.FAILED, fact, member.unreachable or "other hosts of the mesh lost it")
        self._report_clashes(fact)

    def _conclude(self, host_id: str, member: Member, now: float) -> None:
        """Nobody heard of a suspected member in time."""
        member.unreachable = member.unreachable or "it stopped answering"
        self._learn(self._with_status(member, MemberStatus.FAILED), now)

    def _suspect(self, host_id: str, error: str, now: float) -> None:
        member = self.table.members.get(host_id)
        if member is None or member.fact.status != MemberStatus.ALIVE:
            return
        self._learn(self._with_status(member, MemberStatus.SUSPECT), now)
        member.accused = True
        member.unreachable = error

    def _mourn(self, member: Member, now: float) -> None:
        member.retry_delay = self.settings.period
        member.retry_at = now + self.settings.period

    def _with_status(self, member: Member, status: MemberStatus) -> MemberFact:
        fact = member.fact
        return MemberFact(fact.facts, fact.incarnation, status=status, session=fact.session)

    def _prove(self, host_id: str, member: Member, url: str) -> None:
        """Remember a URL that worked and that the member does not announce itself."""
        if url and url not in member.fact.facts.urls() and url != member.proven_url:
            previous = member.url
            member.proven_url = url
            if member.url != previous:
                self._tell(MeshEventKind.ADDRESS_CHANGED, member.fact, previous)

    def _failed_attempt(self, attempt: _Attempt, error: str, now: float) -> None:
        if attempt.lead is not None:
            self.hints.failed(attempt.lead, now, error)
        member = self.table.members.get(attempt.target)
        if member is None or self.left:
            return
        if not member.fact.up:
            member.unreachable = error
            member.retry_delay = min(
                max(member.retry_delay, self.settings.period) * 2, self.settings.retry_limit
            )
            member.retry_at = now + member.retry_delay * self._random.uniform(0.75, 1.25)
        elif attempt.lead is None and member.fact.status == MemberStatus.ALIVE:
            self._ask_others(attempt.target, error, now)
        elif attempt.lead is None:
            member.unreachable = member.unreachable or error

    def _ask_others(self, target: str, error: str, now: float) -> None:
        helpers = self._some_up(self.settings.indirect, exclude=target)
        if not helpers:
            self._suspect(target, error, now)
            return
        token = self._begin(_Attempt(target, via=len(helpers), error=error))
        for helper in helpers:
            urls = self.table.members[helper].urls
            self._effects.append(PingVia(token, helper, urls, target, self.settings.call_timeout))

    # --- what is due ------------------------------------------------------------------------------------

    def _probe_next(self, now: float) -> None:
        """Probe the next member of this round; a new round is a new random order."""
        for fresh in (False, True):
            if fresh:
                self._round = self.table.up()
                self._random.shuffle(self._round)
            while self._round:
                host_id = self._round.pop()
                member = self.table.members.get(host_id)
                if member is not None and member.fact.up:
                    self._ping(host_id, member.urls, now)
                    return

    def _enter_round(self, host_id: str) -> None:
        """Let a newcomer be probed in this round, at a random place."""
        self._round.insert(self._random.randint(0, len(self._round)), host_id)

    def _probe_accused(self, now: float) -> None:
        """Give the suspects of this host another chance each period."""
        accused = [item for item in self.table.with_status(MemberStatus.SUSPECT) if item[1].accused]
        for host_id, member in self._random.sample(accused, min(len(accused), MAX_ACCUSED_PROBES)):
            self._ping(host_id, member.urls, now)

    def _retry_failed(self, now: float) -> None:
        """Try one failed member again: after a partition nobody else would."""
        due = [item for item in self.table.with_status(MemberStatus.FAILED) if item[1].retry_at <= now]
        if due:
            host_id, member = self._random.choice(due)
            self._ping(host_id, member.urls, now)

    def _forget(self, now: float) -> None:
        for host_id, member in self.table.with_status(MemberStatus.FAILED, MemberStatus.LEFT):
            left = member.fact.status == MemberStatus.LEFT
            memory = self.settings.left_memory if left else self.settings.failed_memory
            if member.changed_at + memory <= now:
                self.table.forget(host_id)

    def _dial(self, now: float) -> None:
        """Try the hints that are due, within the bounds on dials."""
        self.hints.expire(now)
        rate = self.settings.dials_per_second
        self._dial_credit = min(
            float(self.settings.max_dials), self._dial_credit + (now - self._credit_at) * rate
        )
        self._credit_at = now
        dialling = sum(lead.dialling for lead in self.hints.leads.values())
        for lead in sorted(self.hints.leads.values(), key=lambda lead: lead.due_at):
            if lead.due_at > now or dialling >= self.settings.max_dials:
                break
            if lead.dialling or self._served(lead):
                continue
            if self._dial_credit < 1.0:
                lead.due_at = now + 1.0 / rate
                continue
            self._dial_credit -= 1.0
            dialling += 1
            self._try_lead(lead, now)

    def _try_lead(self, lead: Lead, now: float) -> None:
        lead.dialling = True
        self._ping(lead.host_id, (lead.url,), now, lead=lead, pull="" if lead.host_id else None)

    def _lead_answered(self, lead: Lead, sender: str, now: float) -> None:
        lead.dialling = False
        lead.found = sender
        lead.delay = FIRST_DELAY
        lead.due_at = now + self.settings.period
        lead.error = ""
        self.hints.drop(lead)

    def _served(self, lead: Lead) -> bool:
        """Whether the host behind a lead is known to be up, so that nothing has to be tried."""
        host_id = lead.found or lead.host_id
        if host_id == self.own.host_id:
            return True
        member = self.table.members.get(host_id)
        if member is not None:
            return member.fact.up
        return False

    # --- small things -----------------------------------------------------------------------------------

    def _ping(
        self,
        host_id: str,
        urls: tuple[str, ...],
        now: float,
        *,
        lead: Lead | None = None,
        pull: str | None = None,
        again: bool = False,
    ) -> None:
        """Begin a heartbeat, unless one to that member is under way already."""
        busy = (
            not again
            and lead is None
            and any(attempt.target == host_id for attempt in self._attempts.values())
        )
        if not urls or busy:
            return
        token = self._begin(_Attempt(host_id, lead=lead))
        self._effects.append(
            Ping(token, host_id, urls, self.gossip_for(host_id, pull=pull), self.settings.call_timeout)
        )

    def _begin(self, attempt: _Attempt) -> int:
        token = self._next_token
        self._next_token += 1
        self._attempts[token] = attempt
        return token

    def _some_up(self, count: int, *, exclude: str = "") -> list[str]:
        ids = [host_id for host_id in self.table.up() if host_id != exclude]
        return self._random.sample(ids, min(count, len(ids)))

    def _digest(self) -> int:
        return self.table.digest ^ fact_weight(self.own)

    def _report_clashes(self, fact: MemberFact) -> None:
        """Report, once, that two hosts have one name."""
        if not fact.up:
            return
        others = [self.own, *(self.table.members[host_id].fact for host_id in self.table.up())]
        for other in others:
            if other.host_id == fact.host_id or other.facts.name != fact.facts.name:
                continue
            pair = (min(fact.host_id, other.host_id), max(fact.host_id, other.host_id))
            if pair not in self._clashes and len(self._clashes) < self.settings.max_members:
                self._clashes.add(pair)
                detail = f"{other.facts.url} ({other.host_id}) has the same name; use the URL, or rename one"
                self._tell(MeshEventKind.NAME_CLASH, fact, detail)

    def _tell(self, kind: MeshEventKind, fact: MemberFact, detail: str = "") -> None:
        compatible = fact.facts.code_version == self.own.facts.code_version
        self._effects.append(MeshEvent(kind, fact.facts, compatible=compatible, detail=detail))

    def _flush(self) -> list[Effect]:
        effects, self._effects = self._effects, []
        return effects
