"""Finding services: on this host, and on every other host of the mesh that answers in time."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec

from paglets.core.agent_ids import is_agent_id
from paglets.core.errors import HostError, PagletError
from paglets.core.references import PagletProxyRef
from paglets.core.runtime_values import ServiceScope
from paglets.remote import api
from paglets.runtime.services.desk import offers_contract
from paglets.services.records import ServiceRecord

if TYPE_CHECKING:
    from paglets.remote.mesh_service import MeshService
    from paglets.remote.mesh_view import SeenHost
    from paglets.runtime.peers import Peers
    from paglets.runtime.services.class_offers import ClassOffers
    from paglets.runtime.services.desk import ServiceDesk

logger = logging.getLogger(__name__)

PATIENCE = 2.0
"""Seconds that each other host has to answer."""
_AT_A_TIME = 32
MAX_FROM_ONE_HOST = 1_000
MAX_ANSWER_BYTES = 4 * 1024 * 1024
"""Of the offers that one host tells at a time: what a control link takes, and a paglet's."""
_MAX_MET_BYTES = 2 * MAX_ANSWER_BYTES
"""Of what all other hosts answer to one question."""


class _Found(msgspec.Struct, frozen=True):
    services: list[dict[str, Any]]


class Finder:
    """Looks services up. Other hosts are asked anew each time: what they no longer offer is not found."""

    def __init__(self, *, desk: ServiceDesk, mesh: MeshService, peers: Peers, offers: ClassOffers) -> None:
        self._desk = desk
        self._offers = offers
        self._mesh = mesh
        self._peers = peers

    async def find(self, wanted: api.LookupParams) -> list[ServiceRecord]:
        """Offers on this host, oldest first; with ``MESH`` those of the others behind, by host name.

        Only compatible hosts that are online are asked. One that does not answer well is passed over.
        """
        here = await self.here(wanted)
        if wanted.first:
            here = here[:1]
        if wanted.scope is ServiceScope.LOCAL or (wanted.first and here):
            return here
        view = self._mesh.view
        others = [
            seen
            for seen in view.others
            if seen.online and seen.facts.host_id and seen.facts.code_version == view.own.code_version
        ]
        others.sort(key=lambda seen: (seen.facts.name, seen.url))
        return here + await (self._first(others, wanted) if wanted.first else self._all(others, wanted))

    async def here(
        self, wanted: api.LookupParams, scope: ServiceScope = ServiceScope.LOCAL
    ) -> list[ServiceRecord]:
        """Offers on this host alone. One that has just started is given a moment, when it has nothing yet."""
        found = self._desk.find(wanted, scope=scope)
        if not (found and wanted.first) and await self._offers.settle():
            found = self._desk.find(wanted, scope=scope)
        return found

    async def _all(self, others: list[SeenHost], wanted: api.LookupParams) -> list[ServiceRecord]:
        turns, room = asyncio.Semaphore(_AT_A_TIME), _Room(_MAX_MET_BYTES)
        answers = await asyncio.gather(*(self._ask(seen, wanted, turns, room) for seen in others))
        return [record for answer in answers for record in answer]

    async def _first(self, others: list[SeenHost], wanted: api.LookupParams) -> list[ServiceRecord]:
        turns, room = asyncio.Semaphore(_AT_A_TIME), _Room(_MAX_MET_BYTES)
        tasks = [asyncio.create_task(self._ask(seen, wanted, turns, room)) for seen in others]
        try:
            for answer in asyncio.as_completed(tasks):
                if found := await answer:
                    return found[:1]
            return []
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _ask(
        self, seen: SeenHost, wanted: api.LookupParams, turns: asyncio.Semaphore, room: _Room
    ) -> list[ServiceRecord]:
        try:
            async with turns, asyncio.timeout(PATIENCE):
                raw = await self._peers.ask(
                    seen.facts.host_id, seen.url, api.SERVICES_LOOKUP, wanted, timeout=PATIENCE
                )
            room.take(len(raw), seen.facts.name)
            told = msgspec.json.decode(raw, type=_Found).services[:MAX_FROM_ONE_HOST]
            records = [_as_seen(ServiceRecord.from_wire(each), seen) for each in told]
        except (PagletError, msgspec.MsgspecError, TimeoutError) as error:
            logger.debug(
                "a host was passed over in a search for services",
                extra={"host": seen.facts.name, "error": str(error)},
            )
            return []
        return [record for record in records if _is_wanted(record, wanted)]


class _Room:
    """How much the answers to one question may take."""

    def __init__(self, size: int) -> None:
        self._left = size

    def take(self, size: int, host_name: str) -> None:
        """``HostError`` for an answer that is too large, by itself or with the others."""
        if size > MAX_ANSWER_BYTES + 1024 or size > self._left:
            raise HostError(f"host {host_name} answers with {size} bytes of offers")
        self._left -= size


def _as_seen(record: ServiceRecord, seen: SeenHost) -> ServiceRecord:
    """Another host speaks of its own paglets only, wherever it says that they are."""
    url = record.host_url if record.host_url in {seen.url, *seen.urls} else seen.url
    proxy = PagletProxyRef(url, record.proxy.agent_id)
    return replace(record, proxy=proxy, host_url=url, host_name=seen.facts.name)


def _is_wanted(record: ServiceRecord, wanted: api.LookupParams) -> bool:
    return (
        record.scope is ServiceScope.MESH
        and is_agent_id(record.proxy.agent_id)
        and record.matches(wanted.name or None, wanted.capability or None)
        and offers_contract(record, wanted.version, wanted.operations)
    )
