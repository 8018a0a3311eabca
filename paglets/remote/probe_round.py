"""Whom to probe next: each member once a round, in an order that is random anew (SWIM, section 4.3)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random


@dataclass(slots=True)
class ProbeRound:
    """The members that are still to come in this round."""

    random: Random
    waiting: list[str] = field(default_factory=list[str])

    def enter(self, host_id: str) -> None:
        """Let a newcomer come in this round, at a random place."""
        self.waiting.insert(self.random.randint(0, len(self.waiting)), host_id)

    def next(self, takes_part: Callable[[str], bool], everybody: Callable[[], list[str]]) -> str | None:
        """The next one that takes part; a round that is over is followed by another one."""
        for fresh in (False, True):
            if fresh:
                self.waiting = everybody()
                self.random.shuffle(self.waiting)
            while self.waiting:
                host_id = self.waiting.pop()
                if takes_part(host_id):
                    return host_id
        return None
