"""A bounded whole that many take from, so that nobody can take all of it."""

from __future__ import annotations

import logging
import time

logger = logging.getLogger(__name__)

_LOG_SECONDS = 10.0
"""At most one line in this time says that a bound was reached."""


class FairShare:
    """Counts what each of many holds of one whole: messages, bytes, connections.

    Nobody gets more than ``share`` times what is still free, nor more than ``each``; whoever holds nothing gets
    what fits. So one who floods leaves ``1 / (1 + share)`` of the whole to others, two leave each other the same, and
    what is refused now fits again as soon as something was given back: "dynamic thresholds" (Choudhury and Hahne,
    Dynamic queue length thresholds for shared-memory packet switches, IEEE/ACM Transactions on Networking 6, 1998).

    Not for several threads at once. Who holds nothing takes no room.
    """

    __slots__ = ("_each", "_held", "_logged_at", "_share", "limit", "name", "refused", "refused_at", "used")

    def __init__(self, name: str, limit: int, *, share: float = 1.0, each: int | None = None) -> None:
        self.name = name
        """What is counted, for people; empty: nothing is logged."""
        self.limit = limit
        self.used = 0
        self.refused = 0
        """How often there was no room, since the start."""
        self.refused_at: float | None = None
        """When there was none the last time, by the monotonic clock."""
        self._share = share
        self._each = limit if each is None else each
        self._held: dict[str, int] = {}
        self._logged_at: float | None = None

    def held(self, who: str) -> int:
        """How much one holds."""
        return self._held.get(who, 0)

    def fits(self, who: str, amount: int = 1) -> bool:
        """Whether one may take that much more now."""
        held, free = self._held.get(who, 0), self.limit - self.used
        return amount <= free and (
            not held or (held + amount <= self._each and held + amount <= self._share * free)
        )

    def take(self, who: str, amount: int = 1) -> bool:
        """Take it if it fits; a refusal is counted, and logged now and then."""
        if not self.fits(who, amount):
            self.refuse(who)
            return False
        self.add(who, amount)
        return True

    def add(self, who: str, amount: int = 1) -> None:
        """Take it whether it fits or not: what was promised before is not refused later."""
        self.used += amount
        self._held[who] = self._held.get(who, 0) + amount

    def give_back(self, who: str, amount: int = 1) -> None:
        """Let go of what was taken."""
        self.used -= amount
        left = self._held[who] - amount
        if left:
            self._held[who] = left
        else:
            del self._held[who]

    def refuse(self, who: str) -> None:
        """Somebody found no room."""
        now = time.monotonic()
        self.refused += 1
        self.refused_at = now
        if self.name and (self._logged_at is None or now - self._logged_at >= _LOG_SECONDS):
            self._logged_at = now
            logger.warning(
                "a bound is reached: %s",
                self.name,
                extra={"who": who, "held": self.held(who), "used": self.used, "limit": self.limit},
            )
