"""Which paglets have to be somewhere, as a walk goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from paglets.core.incarnation import Lineage
from paglets.persistence.journal.meeting import last_known
from paglets.persistence.records import Phase
from tests.transfers.exploring.invariants import LIVE, is_clone
from tests.transfers.exploring.stores import records

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tests.transfers.exploring.world import HostState


class Census:
    """The same as `living` says of all facts, but kept up with each, and found out anew at every rest."""

    def __init__(self, born: Iterable[str]) -> None:
        self._alive = set(born)
        self._doubtful: set[str] = set()
        """Its one copy may have been on a disk that was lost: where it is found at rest, it lives on."""
        self._adopted: dict[str, Lineage] = {}
        self._disposed: dict[str, Lineage] = {}
        self._known: dict[str, Lineage] = {}
        """The highest that any host knew of at the last rest: whatever is lower gives way to it one day."""

    def __len__(self) -> int:
        return len(self._alive)

    def __contains__(self, agent_id: object) -> bool:
        """Whether it has to be somewhere."""
        return agent_id in self._alive and agent_id not in self._doubtful

    def hear(self, fact: tuple[Any, ...]) -> None:
        """Something has happened."""
        match fact:
            case ("lives", agent_id):
                self._alive.add(agent_id)
            case ("adopted", agent_id, lineage):
                self._alive.add(agent_id)
                self._adopted[agent_id] = max(self._adopted.get(agent_id, lineage), lineage)
                if lineage < self._known.get(agent_id, lineage):
                    self._doubtful.add(agent_id)
            case ("disposed", agent_id, lineage):
                self._disposed[agent_id] = max(self._disposed.get(agent_id, lineage), lineage)
            case ("gone", agent_id) | ("back", agent_id):
                self._doubtful.add(agent_id)
            case _:
                return
        if self._is_disposed_of(fact[1]):
            self._alive.discard(fact[1])

    def brought_back(self, restored: HostState, hosts: Sequence[HostState]) -> None:
        """A backup was put back: it may hold a paglet of which a later life was lost before, with another disk.

        Not one that was disposed of, as long as a host knows that.
        """
        for agent_id, record in records(restored.store).items():
            known = [records(host.store).get(agent_id) for host in hosts]
            disposed = any(each is not None and each.phase is Phase.TOMBSTONE for each in known)
            if record.phase in LIVE and agent_id not in self._alive and not disposed:
                self._doubtful.add(agent_id)

    def _is_disposed_of(self, agent_id: str) -> bool:
        lineage = self._disposed.get(agent_id)
        return lineage is not None and lineage >= self._adopted.get(agent_id, Lineage())

    def at(self, hosts: Sequence[HostState]) -> set[str]:
        """Those that have to be somewhere when nothing is open: the doubtful ones where they are.

        Not a clone on its way that nobody will settle: at its source it is none yet, only where it arrived.
        """
        here = {
            agent_id
            for host in hosts
            for agent_id, record in records(host.store).items()
            if record.phase in LIVE or (record.phase is Phase.PREPARED and not is_clone(record))
        }
        return (self._alive - self._doubtful) | (self._doubtful & here)

    def take(self, hosts: Sequence[HostState]) -> None:
        """At rest: what is there lives, and is doubtful only if a higher lineage is known of somewhere."""
        self._alive = self.at(hosts)
        self._disposed.clear()
        self._adopted.clear()
        self._known.clear()
        for host in hosts:
            for agent_id, record in records(host.store).items():
                lineage = last_known(record).lineage
                self._known[agent_id] = max(self._known.get(agent_id, lineage), lineage)
                if record.phase in LIVE:
                    self._adopted[agent_id] = lineage
        self._doubtful = {
            agent_id for agent_id, lineage in self._adopted.items() if lineage < self._known[agent_id]
        }
