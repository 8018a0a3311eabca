"""Paglets as people and programs are shown them: plain values, made off the loop where there may be many."""

from __future__ import annotations

import asyncio
import heapq
from typing import TYPE_CHECKING, Any

from paglets.persistence.journal.meeting import last_known
from paglets.persistence.records import MoveKind, PagletRecord, Phase

if TYPE_CHECKING:
    from collections.abc import Sequence

    from paglets.persistence.store import Store
    from paglets.runtime.here import Here
    from paglets.runtime.residents import Resident, Residents

PAGE = 1000
_BATCHES = 4
"""A page looks at so many times ``PAGE`` records at most: of paglets that are gone there may be any number."""


def status_of(record: PagletRecord, resident: Resident | None) -> str:
    """``active``, ``inactive``, ``queued`` (in the outbox), ``in-doubt``, ``restarting`` (it crashed), ``failed``."""
    if record.queued is not None and (resident is None or resident.doubt is None):
        return "queued"
    if record.phase is Phase.DEPARTED:
        return "departed"
    if record.phase is Phase.PREPARED or (resident is not None and resident.doubt is not None):
        return "in-doubt" if resident is None or resident.child is None else "active"
    if resident is not None and resident.returning:
        return "restarting"
    if record.failed or (resident is not None and resident.crashed):
        return "failed"
    return "inactive" if record.phase is Phase.INACTIVE else "active"


class Views:
    """What a host tells of its paglets."""

    def __init__(self, *, residents: Residents, store: Store, here: Here) -> None:
        self._residents = residents
        self._store = store
        self._here = here
        self._counted_at = -1
        self._inactive = 0

    def describe(self, record: PagletRecord) -> dict[str, Any]:
        """One paglet, as ``GET /agents/ID`` shows it. Sizes in bytes, times in seconds of wall clock.

        ``memory_bytes`` is None here; ``weigh`` fills it in.
        """
        resident = self._residents.get(record.agent_id)
        child = resident.child if resident is not None else None
        if resident is not None:
            record = resident.record
        status = status_of(record, resident)
        incarnation = last_known(record)
        lineage = incarnation.lineage
        view: dict[str, Any] = {
            "agent_id": record.agent_id,
            "birth": record.birth,
            "class_name": record.class_name,
            "state_class_name": record.state_class_name,
            "host_name": self._here.name,
            "host_url": self._here.address,
            "active": status == "active",
            "status": status,
            "lineage": lineage.number,
            "adopter": lineage.adopter,
            "epoch": incarnation.epoch,
            "pid": child.pid if child is not None and status == "active" else None,
            "crashed": bool(resident is not None and resident.crashed) or bool(record.failed),
            "exitcode": resident.exit_code if resident is not None else None,
            "reason": (resident.crashed if resident is not None else "") or record.failed,
            "waiting_messages": len(resident.mailbox) if resident is not None else 0,
            "state_bytes": record.state.size if record.state else 0,
            "memory_bytes": None,
            "created_at": record.created_at,
            "changed_at": record.changed_at,
            "resident": record.host_scoped,
        }
        if record.forward is not None:
            forward = record.forward
            view["forward"] = {"host_id": forward.host_id, "url": forward.url, "name": forward.name}
        return view

    async def list(self, state: str, limit: int, cursor: str, *, memory: bool = False) -> dict[str, Any]:
        """A page of paglets by id: ``{"agents": [...]}``, with the last one's as ``"cursor"`` when there are more."""
        limit = max(1, min(limit, PAGE))
        if state == "active":
            found, last = self._active(limit, cursor)
            page = [view for view in map(self.describe, found) if view["active"]]
        else:
            found, last = await asyncio.to_thread(self._scan, state, limit, cursor)
            page = [self.describe(each) for each in found]
        if memory:
            await self.weigh(page)
        return {"agents": page} if last is None else {"agents": page, "cursor": last}

    async def weigh(self, page: Sequence[dict[str, Any]]) -> None:
        """Fill in how much memory the process of each paglet uses; the kernel counts for a while, off the loop."""
        children = [
            (view, resident.child)
            for view in page
            if (resident := self._residents.get(view["agent_id"])) is not None and resident.child is not None
        ]

        def ask() -> None:
            for view, child in children:
                view["memory_bytes"] = child.memory()

        if children:
            await asyncio.to_thread(ask)

    def _active(self, limit: int, cursor: str) -> tuple[list[PagletRecord], str | None]:
        """So many of those that have a process, and where the next page begins, if there is one."""
        later = (each.record for each in self._residents if each.running and each.agent_id > cursor)
        found = heapq.nsmallest(limit + 1, later, key=lambda record: record.agent_id)
        page = found[:limit]
        return page, page[-1].agent_id if len(found) > limit else None

    def _scan(self, state: str, limit: int, cursor: str) -> tuple[list[PagletRecord], str | None]:
        """So many of those in the store, and where the next page begins, if there is one.

        What does not belong on the list is passed over, but not without end: then a page has less than it might.
        """
        found: list[PagletRecord] = []
        for _ in range(_BATCHES):
            batch = self._store.read_sync(lambda tx, after=cursor: tx.paglets(after, PAGE))
            for record in batch:
                cursor = record.agent_id
                if is_shown(record, state):
                    found.append(record)
                    if len(found) >= limit:
                        return found, cursor
            if len(batch) < PAGE:
                return found, None
        return found, cursor

    def active_count(self) -> int:
        """How many paglets live here now."""
        return sum(1 for each in self._residents if each.child is not None and not each.crashed)

    def failed_count(self) -> int:
        """How many are here, and down for good: their restarts are used up, or their class wants none."""
        return sum(1 for each in self._residents if each.crashed and not each.returning)

    def inactive_count(self) -> int:
        """How many are parked here.

        Heartbeats ask every second, and a look into the store marks a page of its lock file as changed, which the
        kernel then writes to disk: so the store is looked into only after it has changed itself.
        """
        commit = self._store.commit_number
        if self._counted_at != commit:
            self._inactive = self._store.read_sync(lambda tx: tx.phase_counts())[Phase.INACTIVE]
            self._counted_at = commit
        return self._inactive


def is_shown(record: PagletRecord, state: str) -> bool:
    """Whether a list of ``state`` has it: ``inactive``, ``all``, or ``known``, with those that were here."""
    if record.phase in {Phase.DEPARTED, Phase.TOMBSTONE}:
        return state == "known"
    if record.phase is Phase.PREPARED:
        return state in {"all", "known"} and (
            record.outgoing is None or record.outgoing.kind is not MoveKind.CLONE
        )
    if state == "inactive":
        return record.phase is Phase.INACTIVE
    return record.phase in {Phase.ACTIVE, Phase.INACTIVE}
