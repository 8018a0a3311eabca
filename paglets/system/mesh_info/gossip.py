"""How the facts of all hosts get to all hosts: anti-entropy gossip as a state machine without I/O.

::

    A: every round                           B: a random host that is online
    look at oneself, version + 1
    SyncRequest ── own entry, latest news, ──▶ takes what is newer than its own
                   versions of all it knows    looks up what A lacks
    takes that  ◀── SyncReply ──────────────── only what A lacks

One request a round and host, whatever the size of the mesh, and as many answers on average: news doubles its
hearers with each round (Demers et al., "Epidemic algorithms for replicated database maintenance", 1987).

Rounds are far apart while nobody asks for the landscape, and close together when somebody does: that interest
travels with the gossip, as the seconds it has left, so the hosts one asks about hurry too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from paglets.system.mesh_info.contract import HostFacts, SyncReply, SyncRequest
from paglets.system.mesh_info.table import Known, Table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

_HURRY = 0.5
"""Seconds to a round that puts something right; not less, so that a peer cannot make a host spin."""
_UNDERWAY = 1.0
"""Seconds that an interest loses on each way, or messages that are long under way would keep it up for ever."""


@dataclass(frozen=True, slots=True)
class GossipSettings:
    """Times in seconds."""

    idle_interval: float = 20.0
    """Between rounds while nobody asks."""
    busy_interval: float = 2.0
    """While somebody does."""
    demand_lasts: float = 60.0
    """How long one question keeps the mesh awake."""
    jitter: float = 0.2
    """A pause is shorter or longer by up to this share, so that hosts do not fall into step."""
    stale_after: float = 400.0
    """200 idle hosts have heard of each other well within that."""
    forget_after: float = 1800.0
    pushed_entries: int = 8
    """In a request."""
    answered_entries: int = 256
    """In an answer; the rest comes with the following rounds."""


class Gossip:
    """One host's part. ``clock``: seconds, monotonic; ``random``: whom to ask, and when.

    Its shell calls ``begin_round`` with the peers that are online, sends what that gives, hands the answer to
    ``take_reply``, and waits for ``pause()``.
    """

    def __init__(
        self,
        own_id: str,
        *,
        clock: Callable[[], float],
        random: Random,
        settings: GossipSettings | None = None,
    ) -> None:
        self.settings = settings or GossipSettings()
        self.table = Table(own_id, clock=clock, forget_after=self.settings.forget_after)
        self._clock = clock
        self._random = random
        self._demand_until = -math.inf
        self._hurry = False  # something must be put right in the next round, now

    # --- rounds ------------------------------------------------------------------------------------------

    def begin_round(self, facts: HostFacts, peers: Sequence[str]) -> tuple[str, SyncRequest] | None:
        """Take in the host's look at itself; whom of ``peers`` (URLs) to ask what. None when there are none."""
        self._hurry = False
        self.table.put_own(facts)
        self.table.forget()
        if not peers:
            return None
        return self._random.choice(peers), SyncRequest(
            sender=self.table.own_id,
            entries=self.table.latest(self.settings.pushed_entries),
            versions=self.table.versions(),
            demand_seconds=self.demand_left(),
        )

    def answer(self, request: SyncRequest) -> SyncReply:
        """Take in what a peer has sent; what it lacks."""
        self.table.take(request.entries)
        self._notice(request.versions.get(self.table.own_id, 0))
        self._take_demand(request.demand_seconds - _UNDERWAY)
        return SyncReply(
            self.table.news_for(request.versions, self.settings.answered_entries), self.demand_left()
        )

    def take_reply(self, reply: SyncReply) -> int:
        """Take in the answer of the round; how many entries were news."""
        own = next((e.version for e in reply.entries if e.facts.host_id == self.table.own_id), 0)
        self._notice(own)
        self._take_demand(reply.demand_seconds - _UNDERWAY)
        return self.table.take(reply.entries)

    # --- pace --------------------------------------------------------------------------------------------

    def demand(self) -> bool:
        """Somebody asks for the landscape; whether nobody did before, so that a round is due now."""
        was_idle = not self.demand_left()
        self._take_demand(self.settings.demand_lasts)
        return was_idle

    def demand_left(self) -> float:
        """Seconds for which the landscape shall be kept fresh; 0 when nobody asks."""
        return max(0.0, self._demand_until - self._clock())

    def pause(self) -> float:
        """Seconds until the next round."""
        if self._hurry:
            return _HURRY
        settings = self.settings
        interval = settings.busy_interval if self.demand_left() else settings.idle_interval
        return interval * (1.0 + self._random.uniform(-settings.jitter, settings.jitter))

    # --- reading -----------------------------------------------------------------------------------------

    def age(self, known: Known) -> float:
        """Seconds since the host of that entry looked at itself."""
        return max(0.0, self._clock() - known.sampled_at)

    def is_stale(self, known: Known) -> bool:
        """Whether its figures mean little by now."""
        return self.age(known) > self.settings.stale_after

    # --- private -----------------------------------------------------------------------------------------

    def _notice(self, own_version: int) -> None:
        """Others hold facts of an earlier life of this host: its next ones have to go beyond those, soon."""
        if self.table.outdated_by(own_version):
            self._hurry = True

    def _take_demand(self, seconds: float) -> None:
        # What others say is bounded by what a question here would say, so it cannot keep a mesh awake for ever.
        if seconds > 0.0:
            until = self._clock() + min(seconds, self.settings.demand_lasts)
            self._demand_until = max(self._demand_until, until)
