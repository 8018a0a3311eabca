"""A client for those who look after hosts: a list of servers, and what can be asked of them and their paglets."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import is_dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar, cast

import msgspec

from paglets.core.errors import HostError, PagletError, RemoteHostError
from paglets.remote import admin_reads, api
from paglets.remote.admin_values import (
    AgentDiscoveryConfig,
    AgentRecord,
    ServerRef,
    ServerStatus,
    ServiceSummary,
)
from paglets.remote.client import HostClient
from paglets.remote.proxy import MOVE_GRACE, PagletProxy
from paglets.serialization.codec import dataclass_to_wire
from paglets.serialization.values import from_json, to_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType

    from paglets.core.context_events import ContextEvent
    from paglets.core.messages import Message
    from paglets.core.runtime_values import ServiceScope
    from paglets.remote.mesh import HostRef

__all__ = [
    "AgentDiscoveryConfig", "AgentRecord", "PagletsAdminClient", "ServerRef", "ServerStatus", "ServiceSummary",
]  # fmt: skip

T = TypeVar("T")
logger = logging.getLogger(__name__)

HEALTH_TIMEOUT = 5.0
"""Seconds until a server that does not answer counts as unreachable."""
HOOK_TIMEOUT = 90.0
"""Seconds to wait for operations that run an author's hook."""
_AT_ONCE = 16  # servers that are asked at the same time


class AgentPlace(Protocol):
    """Where a paglet is: an ``AgentRecord``, a ``PagletProxy`` or a ``PagletProxyRef``."""

    @property
    def host_url(self) -> str:
        """The URL of its host."""
        ...

    @property
    def agent_id(self) -> str:
        """Its id."""
        ...


Agent = AgentPlace | Mapping[str, str]
"""Which paglet: its place, or the ``{"host_url", "agent_id"}`` that operations here give."""


class PagletsAdminClient:
    """Looks after the paglets of a list of servers, synchronously and from any thread.

    Where a method takes a server, its name will do. Everything but ``health``, ``health_all`` and
    ``list_agents_all`` raises what the host reports: ``RemoteHostError`` when it cannot be reached,
    ``InvalidAgentError`` for a paglet or class that is not there, ``TransferError`` when one did not move.
    Without ``client`` it has one of its own, with the user's admin certificate, until ``close()``.
    """

    def __init__(self, servers: Iterable[ServerRef] = (), *, client: HostClient | None = None) -> None:
        self._client = HostClient() if client is None else client
        self._owns_client = client is None
        self._servers: tuple[ServerRef, ...] = ()
        self.set_servers(servers)

    # --- the list ------------------------------------------------------------------------------------

    def set_servers(self, servers: Iterable[ServerRef]) -> None:
        """Replace the list; ``HostError`` when two have the same name."""
        listed = tuple(servers)
        names = [server.name for server in listed]
        for name in names:
            if names.count(name) > 1:
                raise HostError(f"there are two servers called {name!r}; give each a name of its own")
        self._servers = listed

    def enabled_servers(self) -> list[ServerRef]:
        """Those that are asked when all are, in their order."""
        return [server for server in self._servers if server.enabled]

    def get_server(self, name: str) -> ServerRef:
        """The server of that name, enabled or not; ``HostError`` when there is none."""
        for server in self._servers:
            if server.name == name:
                return server
        known = ", ".join(server.name for server in self._servers) or "none"
        raise HostError(f"there is no server called {name!r}; known are: {known}")

    # --- looking -------------------------------------------------------------------------------------

    def health_all(self) -> list[ServerStatus]:
        """How every enabled server is, in their order; all are asked at the same time."""
        return self._of_all(self.health)

    def health(self, server: ServerRef | str) -> ServerStatus:
        """How a server is. One that cannot be reached is a status with an ``error``, not an exception."""
        server = self._server(server)
        begun = time.monotonic()
        try:
            health = admin_reads.read_health(self._client, server, HEALTH_TIMEOUT)
        except (PagletError, ValueError, OSError) as error:
            return ServerStatus(
                name=server.name,
                url=server.url,
                reachable=False,
                latency_ms=None,
                active_count=0,
                inactive_count=0,
                error=str(error) or type(error).__name__,
            )
        return ServerStatus(
            name=server.name,
            url=server.url,
            reachable=True,
            latency_ms=(time.monotonic() - begun) * 1000,
            active_count=health.active_count,
            inactive_count=health.inactive_count,
            code_version=health.code_version,
        )

    def list_agents_all(self) -> list[AgentRecord]:
        """The paglets of every enabled server; those of a server that fails are missing, which is logged."""

        def agents(server: ServerRef) -> list[AgentRecord]:
            try:
                return self.list_agents(server)
            except (PagletError, ValueError, OSError) as error:
                logger.warning(
                    "the paglets of a server are missing from a list",
                    extra={"server": server.name, "url": server.url, "reason": str(error)},
                )
                return []

        return [record for records in self._of_all(agents) for record in records]

    def list_agents(self, server: ServerRef | str) -> list[AgentRecord]:
        """The paglets of a server, active or not."""
        return admin_reads.read_agents(self._client, self._server(server))

    def list_hosts(self, server: ServerRef | str) -> list[HostRef]:
        """The hosts of its mesh, as a server knows them."""
        return admin_reads.read_hosts(self._client, self._server(server))

    def list_services(
        self,
        server: ServerRef | str,
        name: str | None = None,
        *,
        capability: str | None = None,
        scope: ServiceScope | None = None,
    ) -> list[ServiceSummary]:
        """The services that a server tells of: of that name, capability and scope, where they are given."""
        given = {"name": name, "capability": capability, "scope": scope.value if scope else None}
        query = {key: value for key, value in given.items() if value}
        return admin_reads.read_services(self._client, self._server(server), query)

    def list_events(self, server: ServerRef | str, *, since: int = 0, limit: int = 100) -> list[ContextEvent]:
        """What happened on a server: events whose ids are greater than ``since``, oldest first."""
        return admin_reads.read_events(self._client, self._server(server), since, limit)

    def get_agent_info(self, agent: Agent) -> dict[str, Any]:
        """What its host tells of a paglet, as ``PagletProxy.info``."""
        return self._proxy(agent).info()

    def get_agent_state(self, agent: Agent) -> dict[str, Any]:
        """``{"active": bool, "state": {...}}``; the state's fields as JSON values."""
        proxy = self._proxy(agent)
        params = api.PagletParams(agent_id=proxy.agent_id)
        return from_json(self._client.call(proxy.host_url, api.PAGLETS_STATE, params, timeout=HOOK_TIMEOUT))

    # --- acting --------------------------------------------------------------------------------------

    def create_agent(
        self,
        server: ServerRef | str,
        agent_class_name: str,
        state_class_name: str | None = None,
        state: object = None,
        *,
        init: Any = None,
    ) -> dict[str, str]:
        """Create a paglet: ``{"host_url", "agent_id"}``, when its ``on_creation`` has returned.

        ``state``: a mapping of fields, a dataclass, or None for the defaults. ``state_class_name`` None or
        empty: the class's own.
        """
        params = api.CreateParams(
            class_name=agent_class_name,
            state_class_name=state_class_name or "",
            state=msgspec.Raw(to_json(_fields(state))),
            init=msgspec.Raw(to_json(init)),
        )
        return self._placed(self._server(server).url, api.PAGLETS_CREATE, params, HOOK_TIMEOUT)

    def send(
        self,
        agent: Agent,
        message: Message,
        *,
        oneway: bool = False,
        activate_if_inactive: bool = True,
        no_delay: bool = False,
    ) -> Any:
        """Send a message and wait for the reply; with ``oneway`` until it is in the mailbox, for None."""
        proxy = self._proxy(agent)
        deliver = proxy.send_oneway if oneway else proxy.send
        return deliver(message, activate_if_inactive=activate_if_inactive, no_delay=no_delay)

    def dispatch(self, agent: Agent, target_url: str) -> dict[str, str]:
        """Move a paglet to a host, by URL or mesh name: ``{"host_url", "agent_id"}`` there."""
        return self._proxy(agent).dispatch(target_url).to_wire()

    def clone(self, agent: Agent, target_url: str | None = None) -> dict[str, str]:
        """Copy a paglet, there or beside it: ``{"host_url", "agent_id"}`` of the copy."""
        return self._proxy(agent).clone(target_url).to_wire()

    def retract(self, agent: Agent, target_url: str) -> dict[str, str]:
        """Have the host at ``target_url`` take a paglet to itself: ``{"host_url", "agent_id"}`` there.

        Differs from ``dispatch`` in who starts it: the target does, and the paglet's ``on_reverting`` runs.
        """
        proxy = self._proxy(agent)
        # A local socket is a way for this program alone; without a URL the target asks its mesh.
        source = "" if proxy.host_url.startswith("unix:") else proxy.host_url
        params = api.RetractParams(agent_id=proxy.agent_id, source_url=source)
        target = self._url_of(proxy, target_url)
        return self._placed(target, api.PAGLETS_RETRACT, params, params.timeout + MOVE_GRACE)

    def activate(self, agent: Agent) -> dict[str, str]:
        """Wake a paglet: ``{"host_url", "agent_id"}``."""
        return self._proxy(agent).activate().to_wire()

    def deactivate(self, agent: Agent) -> dict[str, str]:
        """Park a paglet: ``{"host_url", "agent_id"}``."""
        return self._proxy(agent).deactivate().to_wire()

    def dispose(self, agent: Agent) -> None:
        """End a paglet for good."""
        self._proxy(agent).dispose()

    # --- its life ------------------------------------------------------------------------------------

    def close(self) -> None:
        """Close its own client; one that was given is left alone."""
        if self._owns_client:
            self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- inside --------------------------------------------------------------------------------------

    def _of_all(self, ask: Callable[[ServerRef], T]) -> list[T]:
        servers = self.enabled_servers()
        if not servers:
            return []
        with ThreadPoolExecutor(min(len(servers), _AT_ONCE), "paglets-admin") as threads:
            return list(threads.map(ask, servers))

    def _server(self, server: ServerRef | str) -> ServerRef:
        return self.get_server(server) if isinstance(server, str) else server

    def _proxy(self, agent: Agent) -> PagletProxy:
        if isinstance(agent, Mapping):
            return PagletProxy.from_wire(agent, self._client)
        return PagletProxy(agent.host_url, agent.agent_id, self._client)

    def _placed(self, host_url: str, method: str, params: api.Params, timeout: float) -> dict[str, str]:
        raw = self._client.call(host_url, method, params, timeout=timeout)
        try:
            place = msgspec.json.decode(raw, type=api.Place)
        except msgspec.DecodeError as error:
            raise RemoteHostError(
                f"the host at {host_url} answered {method} with no place: {error}"
            ) from None
        return {"host_url": place.host_url, "agent_id": place.agent_id}

    def _url_of(self, proxy: PagletProxy, target: str) -> str:
        """A URL for this client to call: a host's name is looked up in the list, then in the paglet's mesh."""
        if target.startswith(("https:", "unix:")):
            return target
        for server in self._servers:
            if server.name == target:
                return server.url
        asked = ServerRef(proxy.host_url, proxy.host_url)
        for host in admin_reads.read_hosts(self._client, asked):
            if host.name == target:
                return host.url
        raise HostError(f"no host called {target!r} is known to the host at {proxy.host_url}")


def _fields(state: object) -> object:
    """The fields of a first state as plain values."""
    if is_dataclass(state) and not isinstance(state, type):
        return dataclass_to_wire(state)
    if state is None or isinstance(state, Mapping):
        return None if state is None else dict(cast("Mapping[str, Any]", state))
    raise HostError(f"a state is given as a mapping of its fields, not as {type(state).__name__}")
