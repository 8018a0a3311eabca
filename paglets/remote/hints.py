"""Where hosts may be: a bounded table of addresses to try, with patience that grows.

Hints come from strangers (multicast), so they expire, are few, and cause few dials. Seeds come from the
person who runs the host; they stay.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from paglets.remote.discovery import AddressHint

FIRST_DELAY = 0.25
"""Seconds after the first failed dial; doubles with each."""
MAX_SEED_DELAY = 15.0
MAX_HINT_DELAY = 30.0


@dataclass(slots=True)
class Lead:
    """One address to try, and how it went so far."""

    url: str
    host_id: str
    """Whom to expect; empty: anyone."""
    seed: bool
    expires_at: float
    due_at: float
    delay: float = FIRST_DELAY
    dialling: bool = False
    found: str = ""
    """The host id that answered there."""
    error: str = ""


@dataclass(slots=True)
class HintTable:
    """Leads by URL and expected id, and the bounds on trying them."""

    max_dials: int = 8
    """Leads tried at the same time."""
    dials_per_second: float = 10.0
    """Leads tried in the long run."""
    limit: int = 256
    """Hints at most; the one nearest its end makes room."""
    seed_limit: int = 1024
    lifetime: float = 60.0
    """Seconds until a hint that nobody repeats is dropped."""
    leads: dict[tuple[str, str], Lead] = field(default_factory=dict[tuple[str, str], Lead])
    dialling: int = 0
    _credit: float = 0.0
    _credit_at: float = -math.inf

    def add(self, hint: AddressHint, now: float, *, seed: bool = False) -> Lead | None:
        """Remember where to look. A repeated hint lives longer but is not tried sooner."""
        key = (hint.url, hint.host_id)
        lead = self.leads.get(key)
        if lead is not None:
            lead.expires_at = now + self.lifetime
            lead.seed = lead.seed or seed
            return lead
        if not self._room(seed=seed):
            return None
        lead = Lead(hint.url, hint.host_id, seed=seed, expires_at=now + self.lifetime, due_at=now)
        self.leads[key] = lead
        return lead

    def expire(self, now: float) -> None:
        """Drop the hints that nobody repeated."""
        for key in [key for key, lead in self.leads.items() if not lead.seed and lead.expires_at <= now]:
            if not self.leads[key].dialling:
                del self.leads[key]

    def take_due(self, now: float, served: Callable[[Lead], bool]) -> list[Lead]:
        """The leads to try now, within the bounds; those whose host is up already are left alone."""
        elapsed = now - self._credit_at
        self._credit = min(float(self.max_dials), self._credit + elapsed * self.dials_per_second)
        self._credit_at = now
        if self.dialling >= self.max_dials or self._credit < 1.0:
            return []
        taken: list[Lead] = []
        due = [lead for lead in self.leads.values() if lead.due_at <= now and not lead.dialling]
        for lead in sorted(due, key=lambda lead: (not lead.seed, lead.due_at)):
            if self.dialling >= self.max_dials or self._credit < 1.0:
                break
            if not served(lead):
                self._credit -= 1.0
                self.begin(lead)
                taken.append(lead)
        return taken

    def next_due(self, now: float, served: Callable[[Lead], bool]) -> float:
        """When ``take_due`` or ``expire`` has something to do again."""
        waiting = [lead for lead in self.leads.values() if not lead.dialling]
        times = [lead.expires_at for lead in waiting if not lead.seed]
        if self.dialling < self.max_dials:
            affordable = now + max(0.0, 1.0 - self._credit) / self.dials_per_second
            times += [max(lead.due_at, affordable) for lead in waiting if not served(lead)]
        return min(times, default=math.inf)

    def begin(self, lead: Lead) -> None:
        """A lead is being tried."""
        lead.dialling = True
        self.dialling += 1

    def succeeded(self, lead: Lead, host_id: str, now: float) -> None:
        """A host answered; a hint has served, a seed stays for the day that host is gone."""
        self._end(lead)
        lead.found = host_id
        lead.error = ""
        lead.delay = FIRST_DELAY
        lead.due_at = now + FIRST_DELAY
        if not lead.seed:
            self.leads.pop((lead.url, lead.host_id), None)

    def failed(self, lead: Lead, now: float, error: str) -> None:
        """Wait longer before this address is tried again."""
        self._end(lead)
        lead.error = error
        lead.due_at = now + lead.delay
        lead.delay = min(lead.delay * 2, MAX_SEED_DELAY if lead.seed else MAX_HINT_DELAY)

    def _end(self, lead: Lead) -> None:
        if lead.dialling:
            lead.dialling = False
            self.dialling -= 1

    def _room(self, *, seed: bool) -> bool:
        same = [lead for lead in self.leads.values() if lead.seed == seed]
        if len(same) < (self.seed_limit if seed else self.limit):
            return True
        if seed:
            return False
        # The oldest came first; a dictionary remembers.
        oldest = next((lead for lead in same if not lead.dialling), None)
        if oldest is None:
            return False
        del self.leads[oldest.url, oldest.host_id]
        return True
