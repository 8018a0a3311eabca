"""Where hosts may be: a bounded table of addresses to try, with patience that grows.

Hints come from strangers (multicast), so they expire, are few, and cause few dials. Seeds come from the
person who runs the host; they stay.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from typing import TYPE_CHECKING

if TYPE_CHECKING:
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
    """Leads by URL and expected id."""

    limit: int = 256
    """Hints at most; the one nearest its end makes room."""
    seed_limit: int = 1024
    lifetime: float = 60.0
    """Seconds until a hint that nobody repeats is dropped."""
    leads: dict[tuple[str, str], Lead] = field(default_factory=dict[tuple[str, str], Lead])

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

    def drop(self, lead: Lead) -> None:
        """Forget a hint that has served; a seed stays."""
        if not lead.seed:
            self.leads.pop((lead.url, lead.host_id), None)

    def failed(self, lead: Lead, now: float, error: str) -> None:
        """Wait longer before this address is tried again."""
        lead.dialling = False
        lead.error = error
        lead.due_at = now + lead.delay
        lead.delay = min(lead.delay * 2, MAX_SEED_DELAY if lead.seed else MAX_HINT_DELAY)

    def _room(self, *, seed: bool) -> bool:
        same = [lead for lead in self.leads.values() if lead.seed == seed]
        if len(same) < (self.seed_limit if seed else self.limit):
            return True
        if seed:
            return False
        idle = [lead for lead in same if not lead.dialling]
        if not idle:
            return False
        self.drop(min(idle, key=lambda lead: lead.expires_at))
        return True
