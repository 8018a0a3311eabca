"""Two hosts of one name: reported, once for each pair, and never resolved."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from paglets.remote.members import MemberFact


@dataclass(slots=True)
class NameClashes:
    """The clashes that were reported already; at most ``limit``."""

    limit: int
    reported: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])

    def found(self, fact: MemberFact, others: Iterable[MemberFact]) -> list[MemberFact]:
        """The other hosts with this host's name that it was not reported with yet."""
        clashing: list[MemberFact] = []
        for other in others:
            if other.host_id == fact.host_id or other.facts.name != fact.facts.name:
                continue
            pair = (min(fact.host_id, other.host_id), max(fact.host_id, other.host_id))
            if pair not in self.reported and len(self.reported) < self.limit:
                self.reported.add(pair)
                clashing.append(other)
        return clashing
