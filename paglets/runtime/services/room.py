"""The parts of a host that are about services, put together."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from paglets.core.deactivation import DeactivationPolicy, DeactivationRequest
from paglets.core.errors import PagletError
from paglets.runtime.services.finding import Finder
from paglets.runtime.services.idle import IdleParking
from paglets.runtime.services.kept import KeptServices
from paglets.runtime.services.leases import Leases
from paglets.runtime.services.leasing import Leasing
from paglets.runtime.services.service_operations import ServiceOperations
from paglets.runtime.services.startup import StartupPaglets

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any

    from paglets.remote.wire.reads import Query
    from paglets.runtime.ground import Ground
    from paglets.runtime.neighbours import Neighbours
    from paglets.runtime.operations import Entry
    from paglets.runtime.population import Population

logger = logging.getLogger(__name__)


class ServiceRoom:
    """Services on one host: who offers what, what the host keeps itself, and leases."""

    def __init__(self, ground: Ground, neighbours: Neighbours, population: Population) -> None:
        self._settings = ground.settings
        self._residents = ground.residents
        self._population = population
        self.desk = population.desk
        self.leases = Leases(ground.residents)
        self.idle = IdleParking(
            residents=ground.residents, leased=self.leases.holds, park=_parker(population)
        )
        self.leases.ended = self.idle.touch
        population.offers.watch_idle = self.idle.watch
        self.kept = KeptServices(
            supervisor=population.supervisor,
            births=population.births,
            lifecycle=population.lifecycle,
            offers=population.offers,
            store=ground.store,
            residents=ground.residents,
        )
        self.startup = StartupPaglets(births=population.births, store=ground.store)
        self._leasing = Leasing(
            desk=self.desk,
            leases=self.leases,
            residents=ground.residents,
            lifecycle=population.lifecycle,
            circles=population.circles,
            peers=neighbours.peers,
            here=ground.here,
        )
        self._operations = ServiceOperations(
            desk=self.desk,
            finder=Finder(
                desk=self.desk, mesh=neighbours.mesh, peers=neighbours.peers, offers=population.offers
            ),
            residents=ground.residents,
        )

    def entries(self) -> dict[str, Entry]:
        """The operations on services by name."""
        return {**self._operations.entries(), **self._leasing.entries()}

    async def read(self, query: Query) -> Any:
        """``GET /services``."""
        return await self._operations.read(query)

    def start(self) -> None:
        """Set up what the host is to keep and to create by itself, in the background."""
        self.kept.start(self._settings.resident_services)
        self.startup.start(self._settings.startup_agents)

    async def retire(self) -> None:
        """Park the services that an earlier life of this host kept and this one does not; they keep their states.

        To be called when the paglets of that life are back.
        """
        if not await self._population.offers.settle_all():
            return
        request = DeactivationRequest(reason="retired", source="resident-service")
        for resident in self._residents:
            if resident.record.host_scoped and not self._population.offers.is_kept(resident.agent_id):
                try:
                    await self._population.endings.deactivate(resident.agent_id, request)
                except PagletError as error:
                    logger.warning(
                        "a service that is not kept any more could not be parked",
                        extra={"agent_id": resident.agent_id, "error": str(error)},
                    )

    async def aclose(self) -> None:
        """Start, park and release no more."""
        await self.startup.aclose()
        await self.kept.aclose()
        await self.idle.aclose()
        await self._leasing.aclose()
        self.leases.close()
        self.desk.close()


def _parker(population: Population) -> Callable[[str], Awaitable[None]]:
    async def park(agent_id: str) -> None:
        # What the host keeps is on offer again when the host comes back; of others only they themselves know.
        policy = DeactivationPolicy(activate_on_startup=not population.offers.is_kept(agent_id))
        request = DeactivationRequest(reason="idle", source="resident-service", policy=policy)
        await population.endings.deactivate(agent_id, request)

    return park
