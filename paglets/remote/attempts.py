"""The probes of a membership that are under way."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from paglets.remote.hints import Lead


@dataclass(slots=True)
class Attempt:
    """One probe, direct or through others."""

    target: str
    """Whom it is for; empty: whoever answers at a hinted address."""
    lead: Lead | None = None
    """The hint or seed that is being tried."""
    pulled: bool = False
    """Whether a page of the other's table was asked for."""
    survey: bool = False
    """Whether somebody wants to know now, and not when all means are tried."""
    via: int = 0
    """Indirect probes still out."""
    error: str = ""
    """What the direct probe met."""


@dataclass(slots=True)
class Attempts:
    """By token, which each effect carries and each outcome brings back."""

    pending: dict[int, Attempt] = field(default_factory=dict[int, Attempt])
    _last: int = 0

    def begin(self, attempt: Attempt) -> int:
        """The token of a new attempt."""
        self._last += 1
        self.pending[self._last] = attempt
        return self._last

    def end(self, token: int) -> Attempt | None:
        """An attempt is over; none when it was before."""
        return self.pending.pop(token, None)

    def concern(self, host_id: str) -> bool:
        """Whether a probe of that host is under way."""
        return any(attempt.target == host_id for attempt in self.pending.values())
