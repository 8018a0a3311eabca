"""A host whose store is a restored copy: it parks what it holds, and waits for its operator to accept the copy."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from paglets.core.deactivation import DeactivationRequest
from paglets.core.errors import HostError, PagletError
from paglets.core.incarnation import Incarnation, Lineage
from paglets.persistence import restoring
from paglets.persistence.agenda import Matter
from paglets.persistence.journal.conflict import JournalConflict
from paglets.persistence.records import Forward, MoveKind, PagletRecord, Phase
from paglets.remote import api

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from paglets.persistence.store import Store
    from paglets.remote.mesh_service import MeshService
    from paglets.remote.mesh_view import SeenHost
    from paglets.runtime.endings import Endings
    from paglets.runtime.gate import Gate
    from paglets.runtime.here import Here
    from paglets.runtime.peers import Peers
    from paglets.runtime.residents import Residents

logger = logging.getLogger(__name__)

_PAGE = 1000
_AT_ONCE = 200
"""Records that are parked in one commit."""
_LIST_SECONDS = 30.0
_PARK_SECONDS = 10.0
_LOOKS = 40
_LOOK_AGAIN = 0.25


class _Further(msgspec.Struct, frozen=True):
    host_id: api.Text
    url: api.Text
    name: api.Text


class _Listed(msgspec.Struct, frozen=True):
    agent_id: api.Text
    lineage: api.Count
    adopter: api.Text
    epoch: api.Count
    resident: bool = False
    forward: _Further | None = None
    """Of a paglet that has moved on; its incarnation is the one that it moved on as."""


class _Page(msgspec.Struct, frozen=True):
    agents: list[_Listed]
    cursor: str | None = None


class _Elsewhere(NamedTuple):
    """A paglet as another host has it."""

    host_id: str
    url: str
    name: str
    incarnation: Incarnation

    def forward(self) -> Forward:
        return Forward(self.host_id, self.url, self.name, self.incarnation, time.time())


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
    ) -> None:
        self._store = store
        self._gate = gate
        self._residents = residents
        self._endings = endings
        self._mesh = mesh
        self._peers = peers
        self._here = here
        self._parking: asyncio.Task[None] | None = None
        self._accepting = asyncio.Lock()
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

    async def accept(self, *, force: bool) -> dict[str, Any]:
        """Compare with the other hosts, give up what lives on elsewhere, and set the rest going.

        ``HostError``, with nothing changed, when the store is no restored copy, or when a host that may have
        paglets of this one cannot be asked and ``force`` does not say to go on without it.
        """
        async with self._accepting:
            if not self._gate.held:
                raise HostError(
                    f"the store of host {self._here.name} is no restored copy; there is nothing to accept"
                )
            elsewhere, silent = await self._survey()
            if silent and not force:
                raise HostError(
                    f"{', '.join(silent)} cannot be asked whether paglets of this host went there since the backup; "
                    "wait until they are online, or, if they are lost, go on without them with --force"
                )
            given_up, doubled = await self._compare(elsewhere)
            await self._store.commit(self._accepted)
            self._gate.held = ""
            await self.aclose()
            logger.warning(
                "a restored store was accepted", extra={"given_up": len(given_up), "silent": silent}
            )
            if self.on_accepted is not None:
                await self.on_accepted()
        return {"host": self._here.name, "given_up": given_up, "doubled": doubled, "silent": silent}

    def _accepted(self, tx: Any) -> None:
        restoring.accept(tx, self._here.host_id)
        self._store.skip_commit_numbers(restoring.SKIPPED)

    async def _survey(self) -> tuple[dict[str, _Elsewhere], list[str]]:
        """What all other hosts have, each in its latest life, and the names of those who did not say.

        They also say what has left them, and as what: a paglet that moves while they are asked may be at none of
        them when it is asked about.
        """
        found: dict[str, _Elsewhere] = {}
        silent: list[str] = []
        for seen in self._mesh.view.others:
            if not seen.facts.host_id:
                continue
            try:
                if not seen.online:
                    raise HostError(seen.error or "offline")
                await self._ask(seen, found)
            except (PagletError, msgspec.MsgspecError) as error:
                logger.warning(
                    "a host did not say what it has", extra={"peer": seen.facts.name, "error": str(error)}
                )
                silent.append(seen.facts.name)
        return found, silent

    async def _ask(self, seen: SeenHost, found: dict[str, _Elsewhere]) -> None:
        cursor: str | None = ""
        while cursor is not None:
            params = api.PagletsListParams(state="known", limit=_PAGE, cursor=cursor)
            raw = await self._peers.call(
                seen.facts.host_id, seen.url, api.PAGLETS_LIST, params, timeout=_LIST_SECONDS
            )
            page = msgspec.json.decode(raw, type=_Page)
            for each in page.agents:
                place = _place(seen, each)
                known = found.get(each.agent_id)
                if each.resident or place.host_id == self._here.host_id:
                    continue  # what came here in the life that was lost is here no more
                if known is None or known.incarnation < place.incarnation:
                    found[each.agent_id] = place
            if page.cursor is not None and page.cursor <= cursor:
                raise HostError("its pages do not go on")
            cursor = page.cursor

    async def _compare(self, elsewhere: dict[str, _Elsewhere]) -> tuple[list[str], list[str]]:
        """Give up what is elsewhere in a later life; also the ids of those that both have, ours in the later one."""
        given_up: list[str] = []
        doubled: list[str] = []
        ids = sorted(elsewhere)
        for start in range(0, len(ids), _PAGE):
            page = ids[start : start + _PAGE]
            for record in await self._store.read(lambda tx, some=page: tx.some_paglets(some)):
                if not _may_wake(record):
                    continue
                forward = elsewhere[record.agent_id].forward()
                if forward.incarnation <= record.incarnation:
                    doubled.append(record.agent_id)
                elif await self._give_way(record, forward):
                    given_up.append(record.agent_id)
        return given_up, doubled

    async def _give_way(self, record: PagletRecord, forward: Forward) -> bool:
        try:
            await self._store.commit(
                lambda tx: restoring.give_way(
                    tx, record.agent_id, record.incarnation, forward, at=time.time()
                )
            )
        except JournalConflict:
            return False  # disposed of meanwhile
        return True

    async def aclose(self) -> None:
        """Park no more; the next start does."""
        parking, self._parking = self._parking, None
        if parking is not None:
            parking.cancel()
            await asyncio.gather(parking, return_exceptions=True)


def _place(seen: SeenHost, listed: _Listed) -> _Elsewhere:
    """Where a paglet is that a host tells of."""
    life = Incarnation(Lineage(listed.lineage, listed.adopter), listed.epoch)
    if listed.forward is not None:
        return _Elsewhere(listed.forward.host_id, listed.forward.url, listed.forward.name, life)
    return _Elsewhere(seen.facts.host_id, seen.url, seen.facts.name, life)


def _park(tx: Any, agent_ids: list[str]) -> None:
    for agent_id in agent_ids:
        restoring.park(tx, agent_id, at=time.time())


def _may_wake(record: PagletRecord) -> bool:
    if record.host_scoped or record.phase not in {Phase.INACTIVE, Phase.PREPARED}:
        return False
    return record.outgoing is None or record.outgoing.kind is not MoveKind.CLONE
