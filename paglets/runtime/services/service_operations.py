"""Operations on services: offer, take back, find, list."""

from __future__ import annotations

import asyncio
import logging
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import msgspec

from paglets.core.errors import ForbiddenError, InvalidAgentError, LifecycleError
from paglets.core.runtime_values import ServiceScope
from paglets.remote import api
from paglets.remote.wire.peer import PeerKind
from paglets.runtime.operations import LOCAL, Entry
from paglets.runtime.services.finding import MAX_ANSWER_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from paglets.remote.wire.reads import Query
    from paglets.runtime.caller import Caller
    from paglets.runtime.residents import Resident, Residents
    from paglets.runtime.services.desk import ServiceDesk
    from paglets.runtime.services.finding import Finder
    from paglets.services.records import ServiceRecord

logger = logging.getLogger(__name__)

PAGE = 1000
_FEW = 100


class ServiceOperations:
    """The services of this host, as operations."""

    def __init__(self, *, desk: ServiceDesk, finder: Finder, residents: Residents) -> None:
        self._desk = desk
        self._finder = finder
        self._residents = residents

    def entries(self) -> dict[str, Entry]:
        """The operations by name."""
        return {
            api.SERVICES_ADVERTISE: Entry(api.AdvertiseParams, self.advertise, LOCAL),
            api.SERVICES_UNADVERTISE: Entry(api.UnadvertiseParams, self.unadvertise, LOCAL),
            api.SERVICES_LOOKUP: Entry(api.LookupParams, self.lookup),
            api.SERVICES_LIST: Entry(api.ServicesListParams, self.list),
        }

    async def advertise(self, caller: Caller, params: api.AdvertiseParams) -> Any:
        """Enter an offer of the paglet that asks."""
        return self._desk.advertise(self._provider(caller, params.agent_id), params).to_wire()

    async def unadvertise(self, caller: Caller, params: api.UnadvertiseParams) -> Any:
        """Take an offer back."""
        if caller.child is not None:
            self._provider(caller, params.agent_id)
        return _services(self._desk.unadvertise(params.name, params.agent_id))

    def _provider(self, caller: Caller, agent_id: str) -> Resident:
        """The paglet at work; paglets ask for themselves, and for the life that they are in."""
        if caller.child is not None and caller.agent_id != agent_id:
            raise ForbiddenError(
                f"paglet {caller.agent_id} offers services for itself only, not for {agent_id}"
            )
        resident = self._residents.get(agent_id)
        if resident is None:
            raise InvalidAgentError(f"there is no active paglet {agent_id} on this host")
        if caller.child is not None and caller.child is not resident.child:
            raise LifecycleError(f"paglet {agent_id} has left this process; it offers nothing here any more")
        return resident

    async def lookup(self, caller: Caller, params: api.LookupParams) -> Any:
        """Find offers. Another host hears of what is offered to the whole mesh, from this host alone."""
        if caller.peer is not None and caller.peer.kind is PeerKind.MEMBER:
            found = await self._finder.here(params, ServiceScope.MESH)
        else:
            found = await self._finder.find(params)
        return await _encoded(found)

    async def list(self, _caller: Caller, params: api.ServicesListParams) -> Any:
        """A page of this host's offers."""
        wanted = api.LookupParams(name=params.name, capability=params.capability)
        return await self._page(wanted, params.scope, params.limit, params.cursor)

    async def read(self, query: Query) -> Any:
        """``GET /services``."""
        scope = ServiceScope(query.choice("scope", (ServiceScope.LOCAL.value, ServiceScope.MESH.value)))
        wanted = api.LookupParams(name=query.text("name"), capability=query.text("capability"))
        return await self._page(wanted, scope, query.limit, query.cursor)

    async def _page(self, wanted: api.LookupParams, scope: ServiceScope, limit: int, cursor: str) -> Any:
        here = await self._finder.here(wanted, scope)
        found = sorted(((_place(record), record) for record in here), key=itemgetter(0))
        limit = min(limit, PAGE)
        rest = [(place, record) for place, record in found if place > cursor]
        return await _encoded([record for _, record in rest[:limit]], of=len(rest))


def _place(record: ServiceRecord) -> str:
    """Where an offer stands in a list; no id has a space."""
    return f"{record.proxy.agent_id} {record.name}"


def _services(records: Sequence[ServiceRecord]) -> dict[str, Any]:
    return {"services": [record.to_wire() for record in records]}


async def _encoded(records: Sequence[ServiceRecord], *, of: int | None = None) -> msgspec.Raw:
    """As JSON, made off the loop when there are many; what is too much for one answer is cut off at its end.

    ``of``: how many there are from the first of these on; then it says where the next page begins, if there is one.
    """

    def encode() -> msgspec.Raw:
        encoded: list[msgspec.Raw] = []
        room = MAX_ANSWER_BYTES
        for record in records:
            text = msgspec.json.encode(record.to_wire())
            room -= len(text) + 1
            if room < 0:
                break
            encoded.append(msgspec.Raw(text))
        answer: dict[str, Any] = {"services": encoded}
        if of is not None:
            if len(encoded) < of:
                answer["cursor"] = _place(records[len(encoded) - 1])
        elif len(encoded) < len(records):
            logger.warning(
                "a search for services found more than one answer holds; ask for a name or a capability",
                extra={"found": len(records), "told": len(encoded)},
            )
        return msgspec.Raw(msgspec.json.encode(answer))

    return await asyncio.to_thread(encode) if len(records) > _FEW else encode()
