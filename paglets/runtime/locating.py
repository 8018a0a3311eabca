"""Finds paglets by id, or by the beginning of one, here and on the other hosts of the mesh."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec

from paglets.core.agent_ids import check_agent_id
from paglets.core.errors import InvalidAgentError, PagletError
from paglets.persistence.records import MoveKind, Phase
from paglets.remote import api
from paglets.remote.api import LocateParams

if TYPE_CHECKING:
    from paglets.persistence.store import Store
    from paglets.remote.mesh_service import MeshService
    from paglets.remote.mesh_view import SeenHost
    from paglets.runtime.caller import Caller
    from paglets.runtime.here import Here
    from paglets.runtime.peers import Peers, Target

_TIMEOUT = 5.0
_MAX_PLACES = 100


class _Place(msgspec.Struct, frozen=True):
    """What another host says of a paglet that it has."""

    agent_id: api.Text
    host_url: api.Text
    host_name: api.Text


class _Places(msgspec.Struct, frozen=True):
    places: list[_Place]


class Locator:
    """Answers where a paglet is. Asks the whole mesh unless the very id is one of this host."""

    def __init__(self, *, store: Store, mesh: MeshService, peers: Peers, here: Here) -> None:
        self._store = store
        self._mesh = mesh
        self._peers = peers
        self._here = here

    async def locate(self, _caller: Caller, params: LocateParams) -> Any:
        """``{"places": [...], "silent": [...]}``: here first, then other hosts; names of hosts that did not answer.

        The others are asked unless that very id is here, or a host is named.
        """
        check_agent_id(params.prefix)
        limit = max(1, min(params.limit, _MAX_PLACES))
        if params.host and not self._here.is_me(params.host):
            target = await self._peers.find(params.host)
            onward = LocateParams(prefix=params.prefix, limit=limit, mesh=False)
            return await self._peers.ask(
                target.host_id, target.url, api.PAGLETS_LOCATE, onward, timeout=_TIMEOUT
            )
        places = await asyncio.to_thread(self._here_by_prefix, params.prefix, limit)
        silent: list[str] = []
        here = any(place["agent_id"] == params.prefix for place in places)
        if not here and params.mesh and not params.host:
            # What only begins so here must not be taken for the paglet of that id, or for another that begins so.
            elsewhere, silent = await self._elsewhere(params.prefix, limit)
            exact = [place for place in elsewhere if place["agent_id"] == params.prefix]
            places = exact or [*places, *elsewhere]
        return {"places": places[:limit], "silent": silent}

    async def host_of(self, agent_id: str) -> Target:
        """The host that has the paglet; ``InvalidAgentError`` when no host that can be reached does."""
        found, _ = await self._elsewhere(agent_id, 2)
        exact = [place for place in found if place["agent_id"] == agent_id]
        if not exact:
            raise InvalidAgentError(f"no host of the mesh that can be reached has a paglet {agent_id}")
        return await self._peers.find(exact[0]["host_url"])

    def _here_by_prefix(self, prefix: str, limit: int) -> list[dict[str, str]]:
        places: list[dict[str, str]] = []
        exact = self._store.read_sync(lambda tx: tx.paglet(prefix))
        batch = self._store.read_sync(lambda tx: tx.paglets(prefix, limit * 4))
        for record in [*([exact] if exact else []), *batch]:
            if not record.agent_id.startswith(prefix):
                break
            clone = record.outgoing is not None and record.outgoing.kind is MoveKind.CLONE
            if record.phase in {Phase.ACTIVE, Phase.INACTIVE, Phase.PREPARED} and not clone:
                places.append(self._place(record.agent_id))
        return places[:limit]

    def _place(self, agent_id: str) -> dict[str, str]:
        return {"agent_id": agent_id, "host_url": self._here.address, "host_name": self._here.name}

    async def _elsewhere(self, prefix: str, limit: int) -> tuple[list[dict[str, str]], list[str]]:
        """What the other hosts say, and the names of those that say nothing."""
        params = LocateParams(prefix=prefix, limit=limit, mesh=False)

        async def ask(seen: SeenHost) -> list[dict[str, str]] | None:
            if not seen.online or not seen.facts.host_id:
                return None
            with suppress(PagletError, msgspec.MsgspecError):
                raw = await self._peers.ask(
                    seen.facts.host_id, seen.url, api.PAGLETS_LOCATE, params, timeout=_TIMEOUT
                )
                said = msgspec.json.decode(raw, type=_Places).places
                return [msgspec.structs.asdict(place) for place in said if place.agent_id.startswith(prefix)][
                    :limit
                ]
            return None

        others = self._mesh.view.others
        answers = await asyncio.gather(*map(ask, others))
        found = [place for places in answers for place in places or ()]
        return found, sorted(
            seen.facts.name or seen.url
            for seen, places in zip(others, answers, strict=True)
            if places is None
        )
