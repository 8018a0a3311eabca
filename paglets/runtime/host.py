"""``Host``: a whole host behind a synchronous door, for programs that embed one."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Self

import msgspec

from paglets.artifacts.store import DEFAULT_ARTIFACT_QUOTA_BYTES, DEFAULT_MAX_ARTIFACT_BYTES
from paglets.core.agent import ACTIVE, INACTIVE, Paglet
from paglets.core.deactivation import DeactivationRequest
from paglets.core.errors import InvalidAgentError
from paglets.core.messages import ONEWAY, Message
from paglets.core.reply_sets import ReplySet
from paglets.core.runtime_values import ServiceScope
from paglets.persistence.storage import DEFAULT_PERSISTENT_STORAGE_QUOTA_BYTES, ManagedStorage
from paglets.remote import api
from paglets.remote.proxy import PagletProxy
from paglets.remote.service_calls import ServiceCalls
from paglets.remote.transfer import TransferTicket
from paglets.runtime import host_setup
from paglets.runtime.host_calls import HostCalls
from paglets.runtime.host_life import HostLife
from paglets.runtime.host_records import HostRecords
from paglets.runtime.host_setup import Provided
from paglets.runtime.settings import HostSettings, Limits
from paglets.serialization.codec import dataclass_from_wire
from paglets.serialization.values import from_json, to_json
from paglets.services.resident import DEFAULT_SERVICE_LEASE_TTL_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from pathlib import Path

    from paglets.artifacts.store import ArtifactStore
    from paglets.config.launch_config import LaunchConfig
    from paglets.core.context_events import ContextEvent
    from paglets.core.references import PagletProxyRef
    from paglets.core.resources import ResourceRegistry
    from paglets.persistence.store import Store
    from paglets.remote.client import HostClient
    from paglets.remote.client_artifacts import ClientDesk
    from paglets.remote.discovery import Discovery
    from paglets.remote.mesh import HostRef, MeshRegistry
    from paglets.runtime.launchers.launcher import Launcher
    from paglets.services.contracts import ServiceContract
    from paglets.services.handles import ServiceHandle
    from paglets.services.operations import ServiceOperation
    from paglets.services.records import ServiceRecord
    from paglets.services.resident import ServiceLease


class Host:
    """One host in this program. Its methods may be called from any thread but its own loop's.

    Without ``persistence_dir`` its store is in a temporary directory that goes when it stops. Hosts of one
    ``mesh_dir`` (default: this user's) trust each other, and meet when they start, unless
    ``mesh_lan_discovery=False``. ``connect_to`` and ``peers`` are URLs of hosts elsewhere; the others are found
    through them. ``mesh=False``: it meets nobody. A target is a host's URL or its name in the mesh.
    ``limits``: other bounds than the default ones on what paglets and peers can make grow.
    """

    def __init__(
        self,
        name: str,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        client: HostClient | None = None,
        public_url: str | None = None,
        connect_to: str | Sequence[str] | None = None,
        mesh: bool = True,
        peers: Iterable[str] | None = None,
        mesh_multicast: bool = True,
        mesh_lan_discovery: bool = True,
        mesh_version: str | None = None,
        mesh_gossip_interval: float = 1.0,
        mesh_offline_after: float = 10.0,
        persistence_dir: str | Path | None = None,
        persistent_storage_quota_bytes: int = DEFAULT_PERSISTENT_STORAGE_QUOTA_BYTES,
        artifact_max_bytes: int = DEFAULT_MAX_ARTIFACT_BYTES,
        artifact_storage_quota_bytes: int = DEFAULT_ARTIFACT_QUOTA_BYTES,
        tags: Iterable[str] | None = None,
        properties: Mapping[str, Any] | None = None,
        mesh_dir: str | Path | None = None,
        launcher: Launcher | None = None,
        discoveries: Sequence[Discovery] = (),
        code_paths: Iterable[str | Path] | None = None,
        launch_config: LaunchConfig | str | Path | None = None,
        store: Store | None = None,
        limits: Limits | None = None,
    ) -> None:
        launch = host_setup.launches(launch_config)
        settings = HostSettings(
            name=name,
            data_dir=host_setup.data_dir(persistence_dir),
            bind=(host,),
            port=port,
            public_url=public_url,
            mesh_version=mesh_version or "",
            mesh=mesh,
            peers=host_setup.seeds(connect_to, peers),
            gossip_interval=mesh_gossip_interval,
            offline_after=mesh_offline_after,
            code_paths=host_setup.code_roots(code_paths),
            startup_agents=launch.startup_agents,
            resident_services=launch.resident_services,
            tags=tuple(tags or ()),
            properties=dict(properties or {}),
            storage_quota_bytes=persistent_storage_quota_bytes,
            artifact_max_bytes=artifact_max_bytes,
            artifact_quota_bytes=artifact_storage_quota_bytes,
            limits=limits or Limits(),
        )
        found = tuple(discoveries) if mesh_multicast or mesh_lan_discovery else ()
        near = mesh and mesh_lan_discovery
        temporary = persistence_dir is None
        self._begin(settings, Provided(client, mesh_dir, launcher, found, store, near, temporary))

    @classmethod
    def from_settings(
        cls,
        settings: HostSettings,
        *,
        mesh_dir: str | Path | None = None,
        launcher: Launcher | None = None,
        discoveries: Sequence[Discovery] = (),
    ) -> Host:
        """A host of complete settings, as a composition root makes them."""
        host = cls.__new__(cls)
        provided = Provided(mesh_dir=mesh_dir, launcher=launcher, discoveries=tuple(discoveries))
        cls._begin(host, settings, provided)
        return host

    def _begin(self, settings: HostSettings, provided: Provided) -> None:
        settings = host_setup.complete(settings)
        self.name = settings.name
        self.tags = settings.tags
        self._life = HostLife(settings, provided)
        self._calls = HostCalls(self._life)
        self._records = HostRecords(self._life)
        self._services = ServiceCalls(self._calls.call)
        self._registries: dict[str, ResourceRegistry] = {}

    # --- what it is --------------------------------------------------------------------------------------

    @property
    def settings(self) -> HostSettings:
        """What it was made with, the defaults filled in."""
        return self._life.settings

    @property
    def host_id(self) -> str:
        """The id of its key: what identifies it."""
        return self._life.credentials.host_id

    @property
    def address(self) -> str:
        """Its URL, of the first bound address; stays when it stops, and is a ``HostError`` before it has started."""
        return self._life.address

    @property
    def client(self) -> HostClient:
        """A client that shares this host's connections."""
        return self._life.client

    @property
    def artifacts(self) -> ArtifactStore:
        """The artifacts that it owns; there as soon as it is constructed."""
        return self._life.artifacts

    @property
    def artifact_desk(self) -> ClientDesk:
        """Artifacts here and elsewhere, as contexts use them."""
        return self.client.artifact_desk

    @property
    def mesh(self) -> MeshRegistry:
        """The hosts that it knows."""
        return self._life.core.neighbours.registry

    # --- start and stop ----------------------------------------------------------------------------------

    def start_background(self) -> None:
        """Start it on a thread of its own; returns when others can call it. Nothing happens when it runs."""
        self._life.start_background()

    async def start(self) -> None:
        """Start it on the loop that is running: for programs that are asynchronous themselves."""
        await self._life.start()

    def serve_forever(self) -> None:
        """Run it on this thread until it is stopped, or interrupted from the keyboard (then as ``shutdown``)."""
        self.start_background()
        try:
            self._life.thread.join()
        except KeyboardInterrupt:
            self.shutdown()

    def shutdown(self) -> None:
        """Stop cleanly: active paglets are parked, and come back when a host is next started here."""
        self.stop(deactivate_active=True)

    def stop(self, *, deactivate_active: bool = False) -> None:
        """Stop: a power cut done politely. Active paglets come back from their checkpoints. Bounded in time."""
        self._life.stop(deactivate_active=deactivate_active)

    async def aclose(self, *, deactivate_active: bool = False) -> None:
        """``stop`` on the loop that ``start`` was called on."""
        await self._life.aclose(deactivate_active=deactivate_active)

    def __enter__(self) -> Self:
        self.start_background()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    # --- paglets -----------------------------------------------------------------------------------------

    def create(
        self,
        agent_cls: type[Paglet[Any]],
        state: Any = None,
        *,
        init: Any = None,
        agent_id: str | None = None,
    ) -> PagletProxy:
        """Create a paglet here; durable, its ``on_creation`` returned. ``HostError`` for a taken id."""
        return self._calls.create(agent_cls, state, init, agent_id or "")

    def create_remote(
        self,
        target: str,
        agent_cls: type[Paglet[Any]],
        state: Any = None,
        *,
        init: Any = None,
        agent_id: str | None = None,
    ) -> PagletProxy:
        """Create a paglet on another host of the mesh."""
        return self._calls.create_remote(target, agent_cls, state, init, agent_id or "")

    def dispatch(self, agent_id: str, target: str | TransferTicket) -> PagletProxy:
        """Move a paglet; its new proxy, when the arrival hook has returned there."""
        ticket = TransferTicket.from_target(target)
        return self._calls.placed(
            api.PAGLETS_DISPATCH, api.DispatchParams(agent_id=agent_id, ticket=ticket.to_wire())
        )

    def clone(self, agent_id: str, *, target: str | TransferTicket | None = None) -> PagletProxy:
        """Copy a paglet, beside itself or at the target; the copy's proxy."""
        ticket = None if target is None else TransferTicket.from_target(target).to_wire()
        return self._calls.placed(api.PAGLETS_CLONE, api.CloneParams(agent_id=agent_id, ticket=ticket))

    def retract(self, remote_host_url: str, agent_id: str) -> PagletProxy:
        """Bring a paglet here from the host that it is on."""
        return self._calls.placed(
            api.PAGLETS_RETRACT, api.RetractParams(agent_id=agent_id, source_url=remote_host_url)
        )

    def deactivate(self, agent_id: str, request: DeactivationRequest | None = None) -> PagletProxy:
        """Park a paglet."""
        wire = (request or DeactivationRequest()).to_wire()
        return self._calls.placed(
            api.PAGLETS_DEACTIVATE, api.DeactivateParams(agent_id=agent_id, request=wire)
        )

    def activate(self, agent_id: str) -> PagletProxy:
        """Wake a paglet; nothing happens to one that is active."""
        return self._calls.placed(api.PAGLETS_ACTIVATE, api.PagletParams(agent_id=agent_id))

    def dispose(self, agent_id: str) -> None:
        """End a paglet for good."""
        self._calls.call(api.PAGLETS_DISPOSE, api.PagletParams(agent_id=agent_id))

    def checkpoint(self, agent_id: str) -> None:
        """Make a paglet's current state what a restart comes back to."""
        self._calls.call(api.PAGLETS_CHECKPOINT, api.PagletParams(agent_id=agent_id))

    # --- looking -----------------------------------------------------------------------------------------

    def get_proxy(self, agent_id: str, *, include_inactive: bool = False) -> PagletProxy | None:
        """The proxy of a paglet that is here; None when it is not, or is parked and that was not asked for."""
        here = self._records.is_here(agent_id, include_inactive=include_inactive)
        return self._calls.proxy(agent_id) if here else None

    def proxy_for(self, host_url: str, agent_id: str) -> PagletProxy:
        """A handle to a paglet wherever it is; nobody is asked."""
        return PagletProxy(host_url, agent_id, self.client)

    def get_proxies(self, state: int = ACTIVE) -> list[PagletProxy]:
        """Proxies of the paglets here that are in one of the states."""
        if not 0 < state <= ACTIVE | INACTIVE:
            raise ValueError("a state is ACTIVE, INACTIVE, or both")
        found = self._records.entries(active=bool(state & ACTIVE), inactive=bool(state & INACTIVE))
        return [self._calls.proxy(entry["agent_id"]) for entry in found]

    def list_agents(
        self, *, active: bool = True, inactive: bool = False, include_state: bool = False
    ) -> list[dict[str, Any]]:
        """The paglets here, by id, as ``GET /agents`` shows them; known as soon as the host is constructed."""
        entries = self._records.entries(active=active, inactive=inactive)
        if include_state:
            for entry in entries:
                entry["state"] = self._state(entry["agent_id"])
        return entries

    def get_state(self, agent_id: str, state_cls: type[Any]) -> Any:
        """A copy of a paglet's state, active or not, as an instance of that dataclass."""
        return dataclass_from_wire(state_cls, self._state(agent_id))

    def _state(self, agent_id: str) -> dict[str, Any]:
        text = self._calls.call(api.PAGLETS_STATE, api.PagletParams(agent_id=agent_id))
        return from_json(text, limit=sys.maxsize)["state"]

    def get_property(self, key: str, default: Any = None) -> Any:
        """A property of this host."""
        return self._life.properties.get(key, default)

    def set_property(self, key: str, value: Any) -> None:
        """Set a property for everybody on this host, until it stops; a JSON value."""
        self._life.properties[key] = msgspec.json.decode(to_json(value))

    def health(self) -> dict[str, Any]:
        """``name address active_count inactive_count code_version capabilities tags properties``."""
        self._life.thread.refuse_own_thread()
        return self._life.core.ground.status.health()

    def status(self) -> dict[str, Any]:
        """What ``paglets status`` shows: ``name host_id mesh_id address version ready`` and more."""
        return msgspec.json.decode(self._calls.call(api.HOST_STATUS, api.NoParams()))

    def network_changed(self) -> None:
        """The machine's addresses or links have changed: look at them again. Any thread; does not wait."""
        if self._life.running is not None:
            self._life.thread.submit(self._life.running.refresh_addresses())

    def list_hosts(self, *, online_only: bool = False, include_self: bool = True) -> list[HostRef]:
        """The hosts of the mesh."""
        self._life.thread.refuse_own_thread()
        return self.mesh.hosts(online_only=online_only, include_self=include_self)

    def mailbox_status(self, agent_id: str) -> dict[str, Any]:
        """``waiting`` messages, whether one is ``in_progress``, and whether the mailbox is ``held``."""
        return self._records.mailbox(agent_id)

    # --- messages ----------------------------------------------------------------------------------------

    def deliver_message(
        self,
        agent_id: str,
        message: Message,
        *,
        activate_if_inactive: bool = True,
        no_delay: bool = False,
        timeout: float | None = None,
    ) -> Any:
        """Send a message to a paglet here (or that was here) and wait for the reply; None for a one-way one."""
        proxy = self._calls.proxy(agent_id)
        options: dict[str, Any] = {
            "activate_if_inactive": activate_if_inactive,
            "no_delay": no_delay,
            "timeout": timeout,
        }
        if message.message_type == ONEWAY:
            proxy.send_oneway(message, **options)
            return None
        return proxy.send(message, **options)

    def multicast_message(
        self, kind: str | Message, args: Mapping[str, Any] | None = None, *, exclude: str | None = None
    ) -> ReplySet:
        """Send to every active paglet here; the replies as they come. ``kind`` may be a whole message."""
        raw = self._calls.call(api.MESSAGE_MULTICAST, api.MulticastParams(exclude=exclude or ""))
        replies = ReplySet()
        for agent_id in msgspec.json.decode(raw)["agent_ids"]:
            if isinstance(kind, Message):
                message = Message(kind.kind, dict(kind.args), kind.arg, priority=kind.priority)
            else:
                message = Message(kind, dict(args or {}))
            replies.add_future_reply(self._calls.proxy(agent_id).send_future(message))
        return replies

    def wait_message(self, agent_id: str, timeout: float | None = None) -> bool:
        """Wait until ``notify_message`` is called for the paglet; False when ``timeout`` seconds pass first."""
        return self._life.thread.run(self._records.wait_message(agent_id, timeout))

    def notify_message(self, agent_id: str) -> None:
        """Wake one of those that wait for a message in a paglet."""
        self._calls.call(api.PAGLETS_NOTIFY, api.NotifyParams(agent_id=agent_id))

    def notify_all_messages(self, agent_id: str) -> None:
        """Wake all of those that wait for a message in a paglet."""
        self._calls.call(api.PAGLETS_NOTIFY, api.NotifyParams(agent_id=agent_id, everyone=True))

    # --- services ----------------------------------------------------------------------------------------

    def advertise_service(
        self,
        agent_id: str,
        name: str,
        *,
        capabilities: Iterable[str] | None = None,
        metadata: Mapping[str, Any] | None = None,
        scope: ServiceScope = ServiceScope.LOCAL,
        ttl: float | None = None,
    ) -> ServiceRecord:
        """Offer a service of a paglet that is active here."""
        return self._services.advertise(
            agent_id, name, capabilities=capabilities, metadata=metadata, scope=scope, ttl=ttl
        )

    def unadvertise_service(self, agent_id: str, name: str) -> list[ServiceRecord]:
        """Take an offer of a paglet back; what was taken back."""
        return self._services.unadvertise(agent_id, name)

    def lookup_service(
        self, name: str, *, capability: str | None = None, scope: ServiceScope = ServiceScope.LOCAL
    ) -> PagletProxyRef | None:
        """Who offers a service; None when nobody does."""
        found = self._services.find(name, capability=capability, scope=scope, first=True)
        return found[0].proxy if found else None

    def lookup_services(
        self,
        name: str | None = None,
        *,
        capability: str | None = None,
        scope: ServiceScope = ServiceScope.LOCAL,
    ) -> list[ServiceRecord]:
        """All offers of that name (None: any), those of this host first."""
        return self._services.find(name, capability=capability, scope=scope)

    def contract_records(
        self,
        contract: ServiceContract,
        *,
        operation: ServiceOperation[Any, Any] | str | None = None,
        scope: ServiceScope = ServiceScope.LOCAL,
        first: bool = False,
    ) -> list[ServiceRecord]:
        """Offers of a contract."""
        return self._services.find_contract(contract, operation=operation, scope=scope, first=first)

    def lease_service(
        self, handle: ServiceHandle, *, ttl: float = DEFAULT_SERVICE_LEASE_TTL_SECONDS
    ) -> ServiceLease:
        """Keep a provider up, wherever it is, until the lease is released or ``ttl`` seconds have passed."""
        return self._services.lease(handle, ttl)

    # --- events ------------------------------------------------------------------------------------------

    def add_listener(
        self, listener: Callable[[ContextEvent], None], *, kinds: Collection[str] | None = None
    ) -> None:
        """Call ``listener`` for every event, or for those of some kinds, on a thread of its own."""
        self._life.listeners.add(listener, kinds=kinds)

    def remove_listener(self, listener: Callable[[ContextEvent], None]) -> None:
        """Stop calling it."""
        self._life.listeners.remove(listener)

    def list_events(self, *, since: int = 0, limit: int = 100) -> list[ContextEvent]:
        """Events with an id greater than ``since``, oldest first."""
        self._life.thread.refuse_own_thread()
        return self._life.log.events_since(since, limit=limit)

    # --- files -------------------------------------------------------------------------------------------

    def work_dir_for(self, agent_id: str) -> Path:
        """The working directory of an active paglet, made if need be."""
        return self._records.work_dir(agent_id)

    def persistent_storage_for(self, agent_id: str, *, quota_bytes: int | None = None) -> ManagedStorage:
        """The storage of a paglet's class on this host."""
        return self._records.storage(agent_id, quota_bytes)

    def resources_for(self, agent_id: str) -> ResourceRegistry:
        """Resources that the program holds for a paglet here; cleaned up when it leaves, is parked or disposed of.

        ``InvalidAgentError`` when it is not here.
        """
        listeners = self._life.listeners
        self._records.require(agent_id)
        listeners.clean_up_with(self._registries)
        registry = listeners.registry(self._registries, agent_id)
        try:
            self._records.require(agent_id)
        except InvalidAgentError:  # it has left meanwhile, and nobody will tell of it again
            listeners.drop_empty(self._registries, agent_id)
            raise
        return registry
