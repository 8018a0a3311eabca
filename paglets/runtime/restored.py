"""A host whose store is a restored copy: it parks what it holds, and waits for its operator to accept the copy."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any

from paglets.core.deactivation import DeactivationRequest
from paglets.core.errors import HostError, PagletError
from paglets.persistence import restoring
from paglets.persistence.agenda import Matter
from paglets.persistence.journal.conflict import JournalConflict
from paglets.runtime.survey import Survey
from paglets.runtime.surveying import gives_way, may_wake
from paglets.runtime.undivided import Undivided, undivided

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from paglets.persistence.records import Forward, PagletRecord
    from paglets.persistence.restoring import OpenTransfer
    from paglets.persistence.store import Store
    from paglets.remote.mesh_service import MeshService
    from paglets.runtime.endings import Endings
    from paglets.runtime.events import Events
    from paglets.runtime.gate import Gate
    from paglets.runtime.here import Here
    from paglets.runtime.peers import Peers
    from paglets.runtime.residents import Residents
    from paglets.runtime.survey import Elsewhere, Surveyed
    from paglets.runtime.surveying import Found
    from paglets.runtime.work_places import WorkPlaces

logger = logging.getLogger(__name__)

_PAGE = 1000
_AT_ONCE = 200
"""Records that are parked in one commit."""
_PARK_SECONDS = 10.0
_LOOKS = 40
_LOOK_AGAIN = 0.25


class Restored:
    """Keeps a restored host still, and sets it going again."""

    def __init__(
        self,
        *,
        store: Store,
        gate: Gate,
        residents: Residents,
        endings: Endings,
        mesh: MeshService,
        peers: Peers,
        here: Here,
        is_revoked: Callable[[str], bool],
        work_places: WorkPlaces,
        events: Events,
    ) -> None:
        self._store = store
        self._gate = gate
        self._residents = residents
        self._endings = endings
        self._survey = Survey(mesh=mesh, peers=peers, here=here, store=store, is_revoked=is_revoked)
        self._here = here
        self._work_places = work_places
        self._events = events
        self._parking: asyncio.Task[None] | None = None
        self._accepting = asyncio.Lock()
        self.undivided = Undivided()
        self.on_accepted: Callable[[], Awaitable[None]] | None = None
        """Takes up what was left lying."""

    async def park_records(self) -> None:
        """Park what the store says is running, before anything is brought back."""
        running = await self._store.read(lambda tx: tx.agenda(Matter.RUNNING))
        for start in range(0, len(running), _AT_ONCE):
            page = running[start : start + _AT_ONCE]
            await self._store.commit(lambda tx, ids=page: _park(tx, ids))

    def hold(self) -> None:
        """It has just come out, while paglets run: park them."""
        if self._parking is None:
            self._parking = asyncio.create_task(
                self._park_running(), name="parking, as the store was restored"
            )

    async def _park_running(self) -> None:
        """Several times, since some may just be waking up."""
        for _ in range(_LOOKS):
            for resident in self._residents:
                if resident.running and not resident.record.host_scoped:
                    await self._park(resident.agent_id)
            if not self._gate.held:
                return
            await asyncio.sleep(_LOOK_AGAIN)

    async def _park(self, agent_id: str) -> None:
        request = DeactivationRequest(reason="restored", source="host")
        try:
            async with asyncio.timeout(_PARK_SECONDS):
                await self._endings.deactivate(agent_id, request, resume=True, timeout=_PARK_SECONDS)
        except (PagletError, TimeoutError) as error:
            logger.warning(
                "a paglet of a restored store could not be parked",
                extra={"agent_id": agent_id, "error": str(error)},
            )

    # --- acceptance --------------------------------------------------------------------------------------

    @undivided
    async def accept(self, *, force: bool) -> dict[str, Any]:
        """Compare with the other hosts, give up what lives on elsewhere, and set the rest going.

        What the lost life took in and sent on is ARRIVED for the sources that still wait for a verdict; when not
        everybody was asked, no verdict is given on what cannot be known.

        ``HostError``, with nothing changed, when the store is no restored copy, or when a host that may have
        paglets of this one cannot be asked and ``force`` does not say to go on without it.
        """
        async with self._accepting:
            if not self._gate.held:
                raise HostError(
                    f"the store of host {self._here.name} is no restored copy; there is nothing to accept"
                )
            surveyed = await self._survey.ask()
            silent = surveyed.silent
            if silent and not force:
                raise HostError(
                    f"{', '.join(silent)} cannot be asked whether paglets of this host went there since the backup; "
                    "wait until they are online; if they are lost, revoke them, or go on without them with --force"
                )
            given_up, doubled = await self._compare(surveyed.found)
            await self._outlive(surveyed.lost)
            await self._settle_lost(surveyed)
            await self._tell_lower(surveyed.found)
            await self._store.commit(lambda tx: self._accepted(tx, surveyed))
            self._gate.held = ""
            await self._park_no_more()
            logger.warning(
                "a restored store was accepted", extra={"given_up": len(given_up), "silent": silent}
            )
            if self.on_accepted is not None:
                await self.on_accepted()
        return {"host": self._here.name, "given_up": given_up, "doubled": doubled, "silent": silent}

    def _accepted(self, tx: Any, surveyed: Surveyed) -> None:
        complete = not surveyed.silent
        restoring.accept(tx, self._here.host_id, surveyed.counters, complete=complete)
        self._store.skip_commit_numbers(restoring.numbered_anew(self._store.commit_number, time.time()))

    async def _compare(self, found: Found[Elsewhere]) -> tuple[list[str], list[str]]:
        """Give up what is elsewhere in a later life; also the ids of those that both have, ours in the later one."""
        given_up: list[str] = []
        doubled: list[str] = []
        ids = sorted(found)
        for start in range(0, len(ids), _PAGE):
            page = ids[start : start + _PAGE]
            for record in await self._store.read(lambda tx, some=page: tx.some_paglets(some)):
                place = found.latest(record.agent_id)
                if place is None:
                    continue
                if gives_way(record, place):
                    if await self._give_way(record, place.forward()) and may_wake(record):
                        given_up.append(record.agent_id)
                elif may_wake(record):
                    doubled.append(record.agent_id)
        return given_up, doubled

    async def _outlive(self, lost: Found[Elsewhere]) -> None:
        """What goes on here does so in a life that is later than all that others know of."""
        ids = sorted(lost)
        for start in range(0, len(ids), _AT_ONCE):
            page = ids[start : start + _AT_ONCE]

            def rule(tx: Any, some: list[str] = page) -> list[tuple[PagletRecord, PagletRecord]]:
                changed: list[tuple[PagletRecord, PagletRecord]] = []
                for record in tx.some_paglets(some):
                    known = lost.latest(record.agent_id)
                    if known is None:
                        continue
                    later = restoring.outlive(tx, record.agent_id, known.incarnation, at=time.time())
                    if later is not None:
                        changed.append((record, later))
                return changed

            for earlier, later in await self._store.commit(rule):
                await self._work_places.hand_on(later.agent_id, earlier.incarnation, later.incarnation)

    async def _settle_lost(self, surveyed: Surveyed) -> None:
        """Say ARRIVED of what the lost life took in and sent on: its sources wait for that."""
        for start in range(0, len(surveyed.open_transfers), _AT_ONCE):
            page = surveyed.open_transfers[start : start + _AT_ONCE]

            def rule(tx: Any, some: list[OpenTransfer] = page) -> None:
                for lost in some:
                    place = surveyed.found.of_transfer(lost)
                    restoring.settle_lost(tx, lost, place.forward() if place else None, at=time.time())

            await self._store.commit(rule)

    async def _tell_lower(self, found: Found[Elsewhere]) -> None:
        """Owe hosts news of adoptions: who owed it to them may have been the lost life."""
        ids = sorted(found)
        for start in range(0, len(ids), _AT_ONCE):
            page = ids[start : start + _AT_ONCE]

            def rule(tx: Any, some: list[str] = page) -> None:
                for agent_id in some:
                    latest = found.latest(agent_id)
                    if latest is not None and latest.birth:  # hosts of earlier versions do not tell it
                        places = [place.whereabouts() for place in found.lineages(agent_id)]
                        restoring.tell_lower(tx, self._here.host_id, agent_id, latest.birth, places)

            await self._store.commit(rule)

    async def _give_way(self, record: PagletRecord, forward: Forward) -> bool:
        agent_id, life = record.agent_id, record.incarnation

        def rule(tx: Any) -> bool:
            restoring.give_way(tx, agent_id, life, forward, at=time.time())
            return any(copy.record.incarnation == life for copy in tx.copies(agent_id))

        try:
            kept = await self._store.commit(rule)
        except JournalConflict:
            return False  # disposed of meanwhile
        if kept and may_wake(record):
            there = forward.name or forward.host_id
            data = {"life": str(life), "higher": str(forward.incarnation), "at": there, "told_by": there}
            self._events.emit("quarantined", agent_id=agent_id, class_name=record.class_name, data=data)
        return True

    async def aclose(self) -> None:
        """Accept and park no more; the next start does."""
        await self.undivided.aclose()
        await self._park_no_more()

    async def _park_no_more(self) -> None:
        parking, self._parking = self._parking, None
        if parking is not None:
            parking.cancel()
            await asyncio.gather(parking, return_exceptions=True)


def _park(tx: Any, agent_ids: list[str]) -> None:
    for agent_id in agent_ids:
        restoring.park(tx, agent_id, at=time.time())
