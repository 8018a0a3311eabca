"""What one host knows of all: the newest entry of each, and how old it is. No I/O.

An entry carries the version that its origin gave it, and the greater version wins wherever two meet. Only the
origin raises it. Ages are carried as durations and grow where they are kept, so no two hosts need to agree on
the time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from paglets.system.mesh_info.contract import HostFacts, SyncEntry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

MAX_HOSTS = 1024
"""Entries that are kept, as many as a mesh has members."""
MAX_FACTS_BYTES = 8 * 1024
"""One host's facts in JSON; twice of what the mesh lets a host say of itself."""
MAX_VERSION = 2**53
"""Beyond this JSON readers may round."""


@dataclass(frozen=True, slots=True)
class Known:
    """One host's newest entry."""

    facts: HostFacts
    version: int
    sampled_at: float
    """When its origin looked, by the clock of this host."""
    learned_at: float
    """When it came here."""


class Table:
    """The entries of one host. ``clock``: seconds, monotonic. ``forget_after``: seconds of age."""

    def __init__(self, own_id: str, *, clock: Callable[[], float], forget_after: float) -> None:
        self.own_id = own_id
        self._clock = clock
        self._forget_after = forget_after
        self._known: dict[str, Known] = {}
        self._floor = 0  # the greatest version that anybody has shown of this host

    def __len__(self) -> int:
        return len(self._known)

    def get(self, host_id: str) -> Known | None:
        """What is known of a host."""
        return self._known.get(host_id)

    def all(self) -> list[Known]:
        """Every entry, those that are too old forgotten."""
        self.forget()
        return list(self._known.values())

    def versions(self) -> dict[str, int]:
        """The version of each host's entry; 0 for an own one that is yet to be made."""
        return {self.own_id: 0, **{host_id: known.version for host_id, known in self._known.items()}}

    def put_own(self, facts: HostFacts) -> None:
        """This host has looked at itself."""
        own = self._known.get(self.own_id)
        version = max(self._floor, own.version if own else 0) + 1
        now = self._clock()
        self._known[self.own_id] = Known(facts, version, now, now)

    def take(self, entries: Iterable[SyncEntry]) -> int:
        """Take in what another host knows; how many entries were news.

        Entries of this host itself are of an earlier life of it, and only raise its next version.
        """
        now = self._clock()
        news = 0
        for entry in entries:
            host_id = entry.facts.host_id
            if not host_id or not 0 < entry.version <= MAX_VERSION or not entry.age_seconds >= 0:
                continue
            if host_id == self.own_id:
                self.outdated_by(entry.version)
            elif self._is_news(host_id, entry):
                self._known[host_id] = Known(entry.facts, entry.version, now - entry.age_seconds, now)
                news += 1
        return news

    def outdated_by(self, version: int) -> bool:
        """Somebody has seen this host at that version; whether that is further than it is in this life."""
        own = self._known.get(self.own_id)
        ahead = version > (own.version if own else 0) and version <= MAX_VERSION
        if ahead:
            self._floor = max(self._floor, version)
        return ahead

    def news_for(self, versions: Mapping[str, int], limit: int) -> list[SyncEntry]:
        """What somebody lacks who has those versions, the freshest first."""
        lacking = [known for known in self.all() if known.version > versions.get(known.facts.host_id, 0)]
        return self.outgoing(sorted(lacking, key=lambda known: -known.sampled_at)[:limit])

    def latest(self, limit: int) -> list[SyncEntry]:
        """The own entry, and then what came last."""
        others = [known for known in self.all() if known.facts.host_id != self.own_id]
        others.sort(key=lambda known: -known.learned_at)
        own = self._known.get(self.own_id)
        return self.outgoing(([own] if own else []) + others[: limit - 1])

    def outgoing(self, entries: Iterable[Known]) -> list[SyncEntry]:
        """Entries with the age that they have now."""
        now = self._clock()
        return [SyncEntry(each.facts, each.version, max(0.0, now - each.sampled_at)) for each in entries]

    def forget(self) -> None:
        """Drop the entries of hosts that nothing was heard of for long."""
        oldest = self._clock() - self._forget_after
        gone = [
            host_id
            for host_id, known in self._known.items()
            if known.sampled_at < oldest and host_id != self.own_id
        ]
        for host_id in gone:
            del self._known[host_id]

    def _is_news(self, host_id: str, entry: SyncEntry) -> bool:
        # Everybody forgets at the same age, so what is refused here cannot come back from others for ever.
        if entry.age_seconds > self._forget_after:
            return False
        known = self._known.get(host_id)
        newer = len(self._known) < MAX_HOSTS if known is None else entry.version > known.version
        return newer and _fits(entry.facts)


def _fits(facts: HostFacts) -> bool:
    try:
        return len(msgspec.json.encode(facts)) <= MAX_FACTS_BYTES
    except (TypeError, ValueError, OverflowError, RecursionError):
        return False  # properties that no host would have
