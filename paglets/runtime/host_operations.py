"""Operations on the host itself: status, health, hosts, properties, events, logs, transfers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from paglets.core.errors import HostError
from paglets.remote import api
from paglets.remote.wire.control_server import SubscriptionOperation
from paglets.runtime.operations import LOCAL, Entry

if TYPE_CHECKING:
    from collections.abc import Callable

    from paglets.core.context_events import ContextEvent
    from paglets.remote.mesh import MeshRegistry
    from paglets.remote.wire.peer import Peer
    from paglets.remote.wire.subscriptions import Push
    from paglets.runtime.adoption.duties import Duties
    from paglets.runtime.backups import Backups
    from paglets.runtime.caller import Caller
    from paglets.runtime.draining import Draining
    from paglets.runtime.events import Events
    from paglets.runtime.files.leaving import LeavingFiles
    from paglets.runtime.outbox.dispatches import QueuedDispatches
    from paglets.runtime.outputs import Outputs
    from paglets.runtime.restored import Restored
    from paglets.runtime.status import Status
    from paglets.runtime.store_health import StoreHealth
    from paglets.runtime.transfers.arrivals import Arrivals
    from paglets.runtime.transfers.mover import Mover

_PAGE = 1000
MAX_PROPERTIES = 256
MAX_PROPERTY_BYTES = 64 * 1024
"""Of one value as JSON. Whoever may talk to a host may set its properties, so their sum is bounded."""


class HostOperations:
    """This host, as operations."""

    def __init__(
        self,
        *,
        status: Status,
        mesh: MeshRegistry,
        properties: dict[str, Any],
        events: Events,
        outputs: Outputs,
        mover: Mover,
        duties: Duties,
        arrivals: Arrivals,
        draining: Draining,
        backups: Backups,
        restored: Restored,
        leaving: LeavingFiles,
        dispatches: QueuedDispatches,
        health: StoreHealth,
    ) -> None:
        self._status = status
        self._mesh = mesh
        self._properties = properties
        self._events = events
        self._outputs = outputs
        self._mover = mover
        self._duties = duties
        self._arrivals = arrivals
        self._draining = draining
        self._backups = backups
        self._restored = restored
        self._leaving = leaving
        self._dispatches = dispatches
        self._health = health

    def entries(self) -> dict[str, Entry]:
        """The operations by name."""
        return {
            api.HOST_STATUS: Entry(api.NoParams, self.status),
            api.HOST_HEALTH: Entry(api.NoParams, self.health),
            api.HOSTS_LIST: Entry(api.HostsListParams, self.hosts),
            api.HOST_PROPERTY: Entry(api.PropertyParams, self.property),
            api.HOST_SET_PROPERTY: Entry(api.SetPropertyParams, self.set_property),
            api.EVENTS_LIST: Entry(api.EventsListParams, self.events),
            api.LOGS_READ: Entry(api.LogsReadParams, self.logs),
            api.TRANSFERS_LIST: Entry(api.NoParams, self.transfers),
            api.HOST_DRAIN: Entry(api.DrainParams, self.drain, paglets=False),
            api.HOST_BACKUP: Entry(api.NoParams, self.backup, LOCAL, paglets=False, patient=True),
            api.HOST_ACCEPT_RESTORED: Entry(
                api.AcceptRestoredParams, self.accept_restored, LOCAL, paglets=False
            ),
        }

    def subscriptions(self) -> dict[str, SubscriptionOperation]:
        """What can be subscribed to."""
        return {
            api.EVENTS_SUBSCRIBE: SubscriptionOperation(
                api.EventsListParams, self.subscribe, api.EVENTS_NOTIFICATION
            )
        }

    async def status(self, _caller: Caller, _params: api.NoParams) -> Any:
        """Who and how this host is."""
        await self._health.look()
        return self._status.status()

    async def health(self, _caller: Caller, _params: api.NoParams) -> Any:
        """Counts and capabilities."""
        return self._status.health()

    async def hosts(self, _caller: Caller, params: api.HostsListParams) -> Any:
        """The hosts of the mesh, incompatible ones too."""
        hosts = self._mesh.hosts(online_only=params.online_only, include_self=params.include_self)
        others = [host for host in self._mesh.incompatible() if host.online or not params.online_only]
        return {"hosts": [host.to_wire() for host in [*hosts, *others]]}

    async def property(self, _caller: Caller, params: api.PropertyParams) -> Any:
        """One property."""
        return {"found": params.key in self._properties, "value": self._properties.get(params.key)}

    async def set_property(self, _caller: Caller, params: api.SetPropertyParams) -> Any:
        """Set one property."""
        if len(params.value) > MAX_PROPERTY_BYTES:
            raise HostError(
                f"a property of {len(params.value)} bytes is over the bound of {MAX_PROPERTY_BYTES}"
            )
        if params.key not in self._properties and len(self._properties) >= MAX_PROPERTIES:
            raise HostError(f"this host has {MAX_PROPERTIES} properties; it takes no more")
        self._properties[params.key] = msgspec.json.decode(params.value)
        return {}

    async def events(self, _caller: Caller, params: api.EventsListParams) -> Any:
        """Events after a number."""
        limit = max(1, min(params.limit, _PAGE))
        return {
            "events": [event.to_wire() for event in self._events.log.events_since(params.since, limit=limit)]
        }

    def subscribe(self, _peer: Peer, params: api.EventsListParams, push: Push) -> Callable[[], None]:
        """Every event after a number: those that were, then those to come."""
        log = self._events.log

        def listener(event: ContextEvent) -> None:
            push(event.to_wire())

        for event in log.events_since(params.since, limit=max(1, min(params.limit, _PAGE))):
            push(event.to_wire())
        log.add_listener(listener)
        return lambda: log.remove_listener(listener)

    async def logs(self, _caller: Caller, params: api.LogsReadParams) -> Any:
        """What a paglet printed on this host."""
        limit = max(1, min(params.limit, _PAGE))
        return {"lines": self._outputs.read(params.agent_id, since=params.since, limit=limit)}

    async def transfers(self, _caller: Caller, _params: api.NoParams) -> Any:
        """Transfers that are under way, in doubt or abandoned by an adoption, and paglets that wait in the outbox."""
        waiting = [_as_transfer(each) for each in await self._dispatches.waiting()]
        begun = [*self._leaving.under_way(), *self._mover.under_way(), *self._duties.abandoned()]
        return {"transfers": [*begun, *self._arrivals.under_way(), *waiting]}

    async def drain(self, _caller: Caller, params: api.DrainParams) -> Any:
        """Begin to move every paglet away, end that, or just tell how it goes."""
        if params.action is api.DrainAction.BEGIN:
            await self._draining.begin(params.to)
        elif params.action is api.DrainAction.UNDO:
            await self._draining.undo()
        return self._draining.report(params.since)

    async def backup(self, _caller: Caller, _params: api.NoParams) -> Any:
        """A backup of this host, left for whoever asks."""
        try:
            return await self._backups.make()
        except OSError as error:
            raise HostError(f"the backup could not be written: {error}") from error

    async def accept_restored(self, _caller: Caller, params: api.AcceptRestoredParams) -> Any:
        """Let a restored host go on."""
        return await self._restored.accept(force=params.force)


def _as_transfer(waiting: dict[str, Any]) -> dict[str, Any]:
    return {
        "transfer_id": "",
        "agent_id": waiting["agent_id"],
        "peer": waiting["host_name"] or waiting["host_url"],
        "direction": "out",
        "status": "queued",
        "reason": waiting["reason"],
        "started_at": waiting["kept_at"],
    }
