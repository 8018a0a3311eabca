"""What hosts answer to an operator's reads, checked and turned into values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import urlencode

import msgspec

from paglets.core.context_events import ContextEvent
from paglets.core.errors import PagletError, RemoteHostError
from paglets.remote.admin_values import AgentRecord, ServerRef, ServiceSummary
from paglets.remote.mesh import HostRef
from paglets.services.records import ServiceRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from paglets.remote.client import HostClient

T = TypeVar("T")

_PAGE = 1000


class Health(msgspec.Struct, frozen=True):
    """``GET /health``, as far as an operator's list of servers needs it."""

    name: str
    active_count: int
    inactive_count: int
    code_version: str


class _Agent(msgspec.Struct, frozen=True):
    agent_id: str
    class_name: str
    state_class_name: str
    active: bool


def read_health(client: HostClient, server: ServerRef, timeout: float) -> Health:
    """How a host is; ``RemoteHostError`` when it does not answer in ``timeout`` seconds."""
    facts = client.get_json(_url(server, "/health"), timeout=timeout)
    return _checked(server, "/health", lambda: msgspec.convert(facts, Health))


def read_agents(client: HostClient, server: ServerRef) -> list[AgentRecord]:
    """All paglets of a host, active or not, page by page."""

    def record(item: Any) -> AgentRecord:
        agent = msgspec.convert(item, _Agent)
        return AgentRecord(
            server_name=server.name,
            host_url=server.url.rstrip("/"),
            agent_id=agent.agent_id,
            class_name=agent.class_name,
            state_class_name=agent.state_class_name,
            active=agent.active,
        )

    return _list(client, server, "/agents", "agents", {"state": "all"}, record)


def read_hosts(client: HostClient, server: ServerRef) -> list[HostRef]:
    """The hosts of the mesh, as this one knows them."""
    return _list(client, server, "/hosts", "hosts", {}, HostRef.from_wire)


def read_services(client: HostClient, server: ServerRef, query: Mapping[str, str]) -> list[ServiceSummary]:
    """The services that a host tells of, page by page."""

    def summary(item: Any) -> ServiceSummary:
        record = ServiceRecord.from_wire(item)
        return ServiceSummary(
            server_name=server.name,
            name=record.name,
            host_url=record.host_url or record.proxy.host_url,
            agent_id=record.proxy.agent_id,
            capabilities=record.capabilities,
            scope=record.scope,
        )

    return _list(client, server, "/services", "services", query, summary)


def read_events(client: HostClient, server: ServerRef, since: int, limit: int) -> list[ContextEvent]:
    """What happened on a host after event number ``since``, oldest first, one page."""
    path = f"/events?{urlencode({'since': since, 'limit': limit})}"
    answer = client.get_json(_url(server, path))
    return _checked(server, path, lambda: [ContextEvent.from_wire(item) for item in answer["events"]])


def _list(
    client: HostClient,
    server: ServerRef,
    path: str,
    key: str,
    query: Mapping[str, str],
    convert: Callable[[Any], T],
) -> list[T]:
    found: list[T] = []
    for page in _pages(client, server, path, query):
        found += _checked(server, path, lambda page=page: [convert(item) for item in page[key]])
    return found


def _pages(client: HostClient, server: ServerRef, path: str, query: Mapping[str, str]) -> Iterator[Any]:
    """The pages of a list; a list without a cursor has one."""
    fields = {**query, "limit": str(_PAGE)}
    while True:
        page = client.get_json(_url(server, f"{path}?{urlencode(fields)}"))
        yield page
        cursor = cast("dict[str, object]", page).get("cursor") if isinstance(page, dict) else None
        if not isinstance(cursor, str) or not cursor:
            return
        if cursor == fields.get("cursor"):
            raise RemoteHostError(f"the host at {server.url} answers {path} with the same page for ever")
        fields["cursor"] = cursor


def _url(server: ServerRef, path: str) -> str:
    return server.url.rstrip("/") + path


def _checked(server: ServerRef, path: str, read: Callable[[], T]) -> T:
    try:
        return read()
    except (msgspec.ValidationError, PagletError, ValueError, LookupError, TypeError) as error:
        raise RemoteHostError(
            f"the host at {server.url} answered {path} with something else: {error}"
        ) from error
