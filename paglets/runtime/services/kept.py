"""The resident services that a host keeps: described, then enlisted or started."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import msgspec

from paglets.core.agent_ids import is_agent_id
from paglets.core.errors import HostError, PagletError
from paglets.core.runtime_values import ResidentLifecycle
from paglets.persistence.records import Phase

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable, Sequence

    from paglets.config.launch_config import AutoStartSpec
    from paglets.persistence.records import PagletRecord
    from paglets.persistence.store import Store
    from paglets.runtime.births import Births
    from paglets.runtime.child_specs import ServiceFacts
    from paglets.runtime.lifecycle import Lifecycle
    from paglets.runtime.residents import Residents
    from paglets.runtime.services.class_offers import ClassOffers
    from paglets.runtime.supervisor import Supervisor

logger = logging.getLogger(__name__)


class KeptServices:
    """Keeps the services that the host was told to, under the same ids on every host.

    ``start`` returns at once. Each service is set up beside the others: its class is described by a process of
    its own, then a lazy one is enlisted, to run when it is first asked, and an eager one is started. A service
    that cannot be set up is named in the log and in ``failures``; the host goes on without.
    """

    def __init__(
        self,
        *,
        supervisor: Supervisor,
        births: Births,
        lifecycle: Lifecycle,
        offers: ClassOffers,
        store: Store,
        residents: Residents,
    ) -> None:
        self._supervisor = supervisor
        self._births = births
        self._lifecycle = lifecycle
        self._offers = offers
        self._store = store
        self._residents = residents
        self._tasks: set[asyncio.Task[None]] = set()
        self.failures: dict[str, str] = {}
        """Why classes could not be set up."""

    def start(self, wanted: Sequence[AutoStartSpec]) -> None:
        """Set these services up, in the background."""
        if wanted:
            self._offers.known.clear()
            self._own(self._set_up_all(wanted))

    async def _set_up_all(self, wanted: Sequence[AutoStartSpec]) -> None:
        try:
            await asyncio.gather(*(self._set_up(each) for each in wanted))
        finally:
            self._offers.known.set()

    async def _set_up(self, spec: AutoStartSpec) -> None:
        try:
            described = await self._supervisor.describe(spec.class_name)
            if not described.services:
                raise HostError(
                    f"{spec.class_name} declares no RESIDENT_SERVICES, so it cannot be kept as a service"
                )
            for agent_id, services in _by_provider(spec, described.services).items():
                await self._keep(spec, agent_id, described.class_name, services)
        except PagletError as error:
            self.failures[spec.class_name] = str(error)
            logger.warning(
                "a resident service cannot be kept",
                extra={"class": spec.class_name, "asked_for_in": spec.source, "error": str(error)},
            )

    async def _keep(
        self, spec: AutoStartSpec, agent_id: str, class_name: str, services: Sequence[ServiceFacts]
    ) -> None:
        if self._offers.is_kept(agent_id):
            raise HostError(f"two resident services of this host have the id {agent_id}")
        record = await self._store.read(lambda tx: tx.paglet(agent_id))
        if record is not None and record.phase is not Phase.TOMBSTONE:
            _check_is_it(record, class_name)
        self._offers.keep(agent_id, services)
        lazy = all(facts.lifecycle is ResidentLifecycle.LAZY for facts in services)
        if record is None or record.phase is Phase.TOMBSTONE:
            state = msgspec.Raw(msgspec.json.encode(_first_state(spec, services)))
            if lazy:
                await self._births.enlist(
                    agent_id=agent_id, class_name=class_name, state_json=state, init=spec.init
                )
            else:
                await self._create(agent_id, class_name, state, spec.init)
        elif not lazy:
            await self._wake(agent_id)
        resident = self._residents.get(agent_id)
        if resident is not None and resident.child is not None and resident.settled.done():
            self._offers.begun(resident, None)  # it was faster
        elif lazy:
            self._offers.stand(agent_id)

    async def _create(self, agent_id: str, class_name: str, state: msgspec.Raw, init: Any) -> None:
        try:
            await self._births.create(
                agent_id=agent_id, class_name=class_name, state_json=state, init=init, host_scoped=True
            )
        except PagletError as error:
            logger.warning(
                "a resident service could not be started",
                extra={"agent_id": agent_id, "class": class_name, "error": str(error)},
            )

    async def _wake(self, agent_id: str) -> None:
        try:
            await self._lifecycle.activate(agent_id)
        except PagletError as error:
            logger.warning(
                "a resident service could not be started", extra={"agent_id": agent_id, "error": str(error)}
            )

    # --- tasks -------------------------------------------------------------------------------------------

    def _own(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("keeping a resident service failed", exc_info=error)

    async def aclose(self) -> None:
        """Set up no more."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _by_provider(
    spec: AutoStartSpec, services: Iterable[ServiceFacts]
) -> dict[str, tuple[ServiceFacts, ...]]:
    """The services of a class as the host wants them, by the id of the paglet that provides them."""
    wanted = {
        key: value
        for key in ("agent_id", "singleton", "lifecycle", "scope", "idle_timeout")
        if (value := getattr(spec, key)) is not None
    }
    providers: dict[str, tuple[ServiceFacts, ...]] = {}
    for facts in services:
        chosen = msgspec.structs.replace(facts, **wanted)
        if not is_agent_id(chosen.agent_id):
            raise HostError(
                f"{chosen.agent_id!r} cannot be the id of the service {chosen.name!r}: use up to 128 letters, digits "
                "and . _ : -"
            )
        providers[chosen.agent_id] = (*providers.get(chosen.agent_id, ()), chosen)
    return providers


def _first_state(spec: AutoStartSpec, services: Iterable[ServiceFacts]) -> dict[str, Any]:
    """What the class names, and over it what the host was told."""
    state: dict[str, Any] = {}
    for facts in services:
        state |= msgspec.json.decode(facts.state, type=dict[str, Any])
    return state | (spec.state or {})


def _check_is_it(record: PagletRecord, class_name: str) -> None:
    if not record.host_scoped:
        raise HostError(
            f"the id {record.agent_id} is taken by an ordinary paglet of class {record.class_name}; dispose of it, or "
            "give the service another id"
        )
    if record.class_name != class_name:
        raise HostError(
            f"the service {record.agent_id} was kept with class {record.class_name} so far, not {class_name}; dispose "
            "of it to begin anew, or give the new one another id"
        )
