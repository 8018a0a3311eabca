"""Asks the other hosts what they have, for a host whose store was restored."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from paglets.core.errors import HostError, PagletError
from paglets.core.incarnation import Incarnation, Lineage, TransferId
from paglets.persistence.adoption_records import Whereabouts
from paglets.persistence.records import Forward
from paglets.persistence.restoring import OpenTransfer
from paglets.remote import api
from paglets.runtime.surveying import Found

if TYPE_CHECKING:
    from collections.abc import Callable

    from paglets.persistence.store import Store
    from paglets.remote.mesh_service import MeshService
    from paglets.remote.mesh_view import SeenHost
    from paglets.runtime.here import Here
    from paglets.runtime.peers import Peers

logger = logging.getLogger(__name__)

_PAGE = 1000
_LIST_SECONDS = 30.0


class _Further(msgspec.Struct, frozen=True):
    host_id: api.Text
    url: api.Text
    name: api.Text


class _Listed(msgspec.Struct, frozen=True):
    agent_id: api.Text
    lineage: api.Count
    adopter: api.Text
    epoch: api.Count
    birth: api.Text = ""
    resident: bool = False
    forward: _Further | None = None
    """Of a paglet that has moved on; its incarnation is the one that it moved on as."""


class _Page(msgspec.Struct, frozen=True):
    agents: list[_Listed]
    cursor: str | None = None


class Elsewhere(NamedTuple):
    """A paglet as another host has it, or where it says that it went."""

    agent_id: str
    host_id: str
    url: str
    name: str
    incarnation: Incarnation
    birth: str = ""

    def forward(self) -> Forward:
        """What leads there."""
        return Forward(self.host_id, self.url, self.name, self.incarnation, time.time())

    def whereabouts(self) -> Whereabouts:
        """The same, for a notice."""
        return Whereabouts(self.incarnation, self.host_id, self.url, self.name)


class Surveyed(NamedTuple):
    """What the others have said."""

    found: Found[Elsewhere]
    lost: Found[Elsewhere]
    """What was here, as they tell: it went here in the life of this host that was lost."""
    open_transfers: list[OpenTransfer]
    """Those to this host."""
    counters: dict[str, int]
    """The next transfer counter of each host that was asked, by its id."""
    silent: list[str]
    """The names of those who did not say, or their ids, where the names are not known."""


class Survey:
    """Asks one host after the other. They have greeted each other, floors and all, before one is asked.

    They also say what has left them, and as what: a paglet that moves while they are asked may be at none of
    them when it is asked about.
    """

    def __init__(
        self,
        *,
        mesh: MeshService,
        peers: Peers,
        here: Here,
        store: Store,
        is_revoked: Callable[[str], bool],
    ) -> None:
        self._mesh = mesh
        self._peers = peers
        self._here = here
        self._store = store
        self._is_revoked = is_revoked

    async def ask(self) -> Surveyed:
        """Ask all hosts that this one knows of.

        The mesh tells of those that have been there since this host started; the store of all others that it ever
        met. What was revoked is not asked.
        """
        surveyed = Surveyed(Found(), Found(), [], {}, [])
        for seen in self._mesh.view.others:
            if not seen.facts.host_id:
                continue
            try:
                if not seen.online:
                    raise HostError(seen.error or "offline")
                await self._ask_for_paglets(seen, surveyed)
                counter = await self._ask_for_transfers(seen, surveyed)
            except (PagletError, msgspec.MsgspecError) as error:
                logger.warning(
                    "a host did not say what it has", extra={"peer": seen.facts.name, "error": str(error)}
                )
                surveyed.silent.append(seen.facts.name)
            else:
                surveyed.counters[seen.facts.host_id] = counter
        surveyed.silent.extend(await self._not_heard_of())
        return surveyed

    async def _not_heard_of(self) -> list[str]:
        """The ids of hosts that the store knows and the mesh does not: they are off, or gone for good."""
        heard = {self._here.host_id, *(seen.facts.host_id for seen in self._mesh.view.others)}
        met = {record.host_id for record in await self._store.read(lambda tx: tx.peers())}
        return sorted(host_id for host_id in met - heard if not self._is_revoked(host_id))

    async def _call(self, seen: SeenHost, method: str, params: api.Params) -> bytes:
        return await self._peers.ask(seen.facts.host_id, seen.url, method, params, timeout=_LIST_SECONDS)

    async def _ask_for_paglets(self, seen: SeenHost, surveyed: Surveyed) -> None:
        cursor: str | None = ""
        while cursor is not None:
            params = api.PagletsListParams(state="known", limit=_PAGE, cursor=cursor)
            page = msgspec.json.decode(await self._call(seen, api.PAGLETS_LIST, params), type=_Page)
            for each in page.agents:
                place = _place(seen, each)
                if not each.resident:
                    was_here = place.host_id == self._here.host_id
                    (surveyed.lost if was_here else surveyed.found).add(place)
            if page.cursor is not None and page.cursor <= cursor:
                raise HostError("its pages do not go on")
            cursor = page.cursor

    async def _ask_for_transfers(self, seen: SeenHost, surveyed: Surveyed) -> int:
        """Also the host's next counter, as it was first told."""
        source, after, counter = seen.facts.host_id, 0, 0
        while True:
            raw = await self._call(seen, api.TRANSFERS_OPEN, api.OpenTransfersParams(after=after))
            page = msgspec.json.decode(raw, type=api.OpenTransfersPage)
            counter = counter or page.next_counter
            surveyed.open_transfers.extend(_open_transfer(source, each) for each in page.transfers)
            if not page.more:
                return counter
            if not page.transfers or page.transfers[-1].counter <= after:
                raise HostError("its pages do not go on")
            after = page.transfers[-1].counter


def _place(seen: SeenHost, listed: _Listed) -> Elsewhere:
    """Where a paglet is that a host tells of."""
    life = Incarnation(Lineage(listed.lineage, listed.adopter), listed.epoch)
    there = listed.forward or _Further(seen.facts.host_id, seen.url, seen.facts.name)
    return Elsewhere(listed.agent_id, there.host_id, there.url, there.name, life, listed.birth)


def _open_transfer(source: str, view: api.OpenTransferView) -> OpenTransfer:
    return OpenTransfer(
        TransferId(source, view.counter),
        view.agent_id,
        view.birth,
        view.incarnation,
        view.class_name,
        view.state_class_name,
    )
