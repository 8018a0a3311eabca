"""What paglets offer by the word of their class, or of their host, whenever they are active."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from paglets.core.errors import PagletError
from paglets.core.runtime_values import ResidentLifecycle
from paglets.persistence.records import HookKind
from paglets.remote.api import AdvertiseParams
from paglets.services.contracts import CONTRACT_METADATA_KEY
from paglets.services.resident import RESIDENT_SERVICE_METADATA_KEY

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from paglets.runtime.child_specs import ServiceFacts
    from paglets.runtime.children.child import Child
    from paglets.runtime.events import Events
    from paglets.runtime.residents import Resident
    from paglets.runtime.services.desk import ServiceDesk

logger = logging.getLogger(__name__)

START_PATIENCE = 1.5
SET_UP_PATIENCE = 60.0
"""Seconds that setting up all of them may take."""


class ClassOffers:
    """Offers the ``RESIDENT_SERVICES`` of a paglet with each of its lives, and has lazy ones parked when idle.

    Of paglets that the host itself keeps, what the host was told goes before what the class says.
    """

    def __init__(self, *, desk: ServiceDesk, events: Events) -> None:
        self._desk = desk
        self._events = events
        self._kept: dict[str, tuple[ServiceFacts, ...]] = {}
        self.known = asyncio.Event()
        """Set when what the host keeps is on offer; not for a moment after it started, if it keeps anything."""
        self.known.set()
        self.watch_idle: Callable[[Resident, float], None] | None = None
        """Has a paglet parked when it was idle for so many seconds; set once, when the host is put together."""

    def keep(self, agent_id: str, services: Sequence[ServiceFacts]) -> None:
        """The host keeps that paglet for these services."""
        self._kept[agent_id] = tuple(services)

    def is_kept(self, agent_id: str) -> bool:
        """Whether the host keeps that paglet."""
        return agent_id in self._kept

    async def settle(self) -> bool:
        """Give a host that has just started a moment, so that what it keeps is found; False: it needs none."""
        if self.known.is_set():
            return False
        with suppress(TimeoutError):
            async with asyncio.timeout(START_PATIENCE):
                await self.known.wait()
        return True

    async def settle_all(self) -> bool:
        """Wait until all that the host keeps is set up; False when that takes longer than it may."""
        with suppress(TimeoutError):
            async with asyncio.timeout(SET_UP_PATIENCE):
                await self.known.wait()
        return self.known.is_set()

    def check(self, agent_id: str, child: Child) -> None:
        """``HostError`` when a new paglet may not offer what its class says."""
        for facts in self._services(agent_id, child):
            self._desk.check_free(facts.name, agent_id, alone=facts.singleton)

    def begun(self, resident: Resident, hook: HookKind | None) -> None:
        """The first hook of a life has returned."""
        child = resident.child
        if child is None:
            return
        services = self._services(resident.agent_id, child)
        self._desk.drop_kept(resident.agent_id, keep=[facts.name for facts in services])
        offered = [facts for facts in services if self._offer(resident.agent_id, facts, child)]
        fresh = hook in {HookKind.CREATION, HookKind.CLONE}
        for facts in offered:
            self._tell("resident-service-create" if fresh else "resident-service-activate", resident, facts)
        lazy = [facts.idle_timeout for facts in offered if facts.lifecycle is ResidentLifecycle.LAZY]
        if lazy and len(lazy) == len(offered) and self.watch_idle is not None:
            self.watch_idle(resident, max(lazy))

    def stand(self, agent_id: str) -> None:
        """Offer what a kept paglet does when it is asked, before it runs."""
        for facts in self._kept[agent_id]:
            self._offer(agent_id, facts, None)

    def parking(self, resident: Resident) -> None:
        """The paglet has been parked; its process is about to end."""
        self._desk.keep_parked(resident.agent_id)
        child = resident.child
        for facts in self._services(resident.agent_id, child) if child is not None else ():
            self._tell("resident-service-deactivate", resident, facts)

    def _services(self, agent_id: str, child: Child) -> tuple[ServiceFacts, ...]:
        kept = self._kept.get(agent_id)
        if kept is not None:
            return kept
        return child.admitted.services if child.admitted is not None else ()

    def _offer(self, agent_id: str, facts: ServiceFacts, child: Child | None) -> bool:
        lazy = facts.lifecycle is ResidentLifecycle.LAZY
        try:
            self._desk.enter(_terms(agent_id, facts), child=child, singleton=facts.singleton, keeps=lazy)
        except PagletError as error:
            # It goes on without: the paglet itself is well, and whoever offers the service is named.
            logger.warning(
                "a resident service is not offered",
                extra={"agent_id": agent_id, "service": facts.name, "error": str(error)},
            )
            self._events.emit(
                "service-remove", agent_id=agent_id, service_name=facts.name, error=f"not offered: {error}"
            )
            return False
        return True

    def _tell(self, kind: str, resident: Resident, facts: ServiceFacts) -> None:
        self._events.emit(
            kind,
            agent_id=resident.agent_id,
            class_name=resident.record.class_name,
            service_name=facts.name,
            data={"lifecycle": facts.lifecycle.value, "epoch": resident.incarnation.epoch},
        )


def _terms(agent_id: str, facts: ServiceFacts) -> AdvertiseParams:
    metadata: dict[str, Any] = {
        CONTRACT_METADATA_KEY: {
            "name": facts.name,
            "version": facts.version,
            "operations": list(facts.operations),
        },
        RESIDENT_SERVICE_METADATA_KEY: {
            "agent_id": agent_id,
            "lifecycle": facts.lifecycle.value,
            "singleton": facts.singleton,
            "idle_timeout": facts.idle_timeout,
        },
    }
    return AdvertiseParams(
        agent_id=agent_id,
        name=facts.name,
        capabilities=list(facts.operations),
        metadata=metadata,
        scope=facts.scope,
    )
