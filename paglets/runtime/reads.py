"""The JSON reads that a host answers over GET."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from paglets.core.agent_ids import check_agent_id
from paglets.core.errors import SerializationError
from paglets.remote.wire.settings import WireSettings

if TYPE_CHECKING:
    from paglets.remote.mesh import MeshRegistry
    from paglets.remote.wire.reads import Query, Read
    from paglets.runtime.events import Events
    from paglets.runtime.lifecycle import Lifecycle
    from paglets.runtime.residents import Residents
    from paglets.runtime.status import Status
    from paglets.runtime.views import Views

_MAX_STATE = WireSettings().max_response_bytes - 1024
"""Bytes of a state as JSON: callers read no longer answers."""


class Reads:
    """Answers the paths of the API page."""

    def __init__(
        self,
        *,
        status: Status,
        mesh: MeshRegistry,
        views: Views,
        residents: Residents,
        lifecycle: Lifecycle,
        events: Events,
    ) -> None:
        self._status = status
        self._mesh = mesh
        self._views = views
        self._residents = residents
        self._lifecycle = lifecycle
        self._events = events

    def table(self) -> dict[str, Read]:
        """Path patterns and what answers them."""
        return {
            "/health": self.health,
            "/hosts": self.hosts,
            "/agents": self.agents,
            "/agents/{agent_id}": self.agent,
            "/agents/{agent_id}/state": self.state,
            "/events": self.events,
        }

    async def health(self, _query: Query) -> Any:
        """Counts and capabilities."""
        return self._status.health()

    async def hosts(self, query: Query) -> Any:
        """The hosts of the mesh."""
        online = query.choice("online_only", ("false", "true")) == "true"
        return {"hosts": [host.to_wire() for host in self._mesh.hosts(online_only=online)]}

    async def agents(self, query: Query) -> Any:
        """A page of paglets."""
        return await self._views.list(
            query.choice("state", ("active", "inactive", "all")), query.limit, query.cursor
        )

    async def agent(self, query: Query) -> Any:
        """One paglet."""
        agent_id = check_agent_id(query.path["agent_id"])
        resident = self._residents.get(agent_id)
        record = resident.record if resident is not None else await self._lifecycle.record(agent_id)
        return self._views.describe(record)

    async def state(self, query: Query) -> Any:
        """Its state, as a child made it JSON."""
        agent_id = check_agent_id(query.path["agent_id"])
        _, state = await self._lifecycle.read_state(agent_id)
        if len(state) > _MAX_STATE:
            raise SerializationError(
                f"the state of paglet {agent_id} is {len(state)} bytes as JSON, over the bound of {_MAX_STATE} "
                "for a read; Host.get_state gives more, in the program that embeds the host"
            )
        return {"state": msgspec.Raw(state)}

    async def events(self, query: Query) -> Any:
        """Events after a number."""
        limit = query.integer("limit", 100, minimum=1, maximum=1000)
        events = self._events.log.events_since(query.integer("since", 0), limit=limit)
        return {"events": [event.to_wire() for event in events]}
