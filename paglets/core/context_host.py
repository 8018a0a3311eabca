"""What a paglet's context needs of its host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from paglets.core.runtime_values import ACTIVE, ServiceScope

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from paglets.core.agent import Paglet
    from paglets.core.artifact_desk import ArtifactDesk
    from paglets.core.deactivation import DeactivationRequest
    from paglets.core.references import PagletProxyRef
    from paglets.core.reply_sets import ReplySet
    from paglets.core.resources import ResourceRegistry
    from paglets.persistence.storage import ManagedStorage
    from paglets.remote.mesh import HostRef
    from paglets.remote.proxy import PagletProxy
    from paglets.remote.transfer import TransferTicket
    from paglets.services.contracts import ServiceContract
    from paglets.services.handles import ServiceHandle
    from paglets.services.operations import ServiceOperation
    from paglets.services.records import ServiceRecord
    from paglets.services.resident import ServiceLease


class ContextHost(Protocol):
    """What a context needs of a host: the facade ``Host`` where one is embedded, else a child's link to it.

    The methods are those of ``paglets.runtime.host.Host``, with three more. They may be called from any
    thread of a child; each returns when the operation is done, or raises its error.
    """

    @property
    def name(self) -> str:
        """The host's name."""
        ...

    @property
    def address(self) -> str:
        """The host's URL."""
        ...

    def get_proxy(self, agent_id: str, *, include_inactive: bool = False) -> PagletProxy | None:
        """The proxy of a paglet on this host; None when it is not here."""
        ...

    def get_proxies(self, state: int = ACTIVE) -> list[PagletProxy]:
        """Proxies of the paglets on this host that are in one of the states (``ACTIVE | INACTIVE``)."""
        ...

    def get_property(self, key: str, default: Any = None) -> Any:
        """A value that somebody set on this host."""
        ...

    def set_property(self, key: str, value: Any) -> None:
        """Set a value for everybody on this host, until it stops."""
        ...

    def create(
        self,
        agent_cls: type[Paglet[Any]],
        state: Any = None,
        *,
        init: Any = None,
        agent_id: str | None = None,
    ) -> PagletProxy:
        """Create a paglet on this host."""
        ...

    def create_remote(
        self,
        target: str,
        agent_cls: type[Paglet[Any]],
        state: Any = None,
        *,
        init: Any = None,
        agent_id: str | None = None,
    ) -> PagletProxy:
        """Create a paglet on another host, given by URL or mesh name."""
        ...

    def dispatch(self, agent_id: str, target: str | TransferTicket) -> PagletProxy:
        """Move a paglet."""
        ...

    def clone(self, agent_id: str, *, target: str | TransferTicket | None = None) -> PagletProxy:
        """Clone a paglet, onto this host or another."""
        ...

    def deactivate(self, agent_id: str, request: DeactivationRequest | None = None) -> PagletProxy:
        """Park a paglet."""
        ...

    def list_hosts(self, *, online_only: bool = False, include_self: bool = True) -> list[HostRef]:
        """The hosts of the mesh, as this one knows them."""
        ...

    def multicast_message(
        self, kind: str, args: Mapping[str, Any] | None = None, *, exclude: str | None = None
    ) -> ReplySet:
        """Send a message to every active paglet on this host but ``exclude``."""
        ...

    def wait_message(self, agent_id: str, timeout: float | None = None) -> bool:
        """Wait for ``notify_message``; whether it came before the time was up."""
        ...

    def notify_message(self, agent_id: str) -> None:
        """Wake one that waits in ``wait_message``."""
        ...

    def notify_all_messages(self, agent_id: str) -> None:
        """Wake all that wait in ``wait_message``."""
        ...

    def resources_for(self, agent_id: str) -> ResourceRegistry:
        """The registry of a paglet's resources."""
        ...

    def work_dir_for(self, agent_id: str) -> Path:
        """A paglet's own directory; it need not exist yet."""
        ...

    def persistent_storage_for(self, agent_id: str, *, quota_bytes: int | None = None) -> ManagedStorage:
        """The storage of a paglet's class on this host."""
        ...

    def proxy_for(self, host_url: str, agent_id: str) -> PagletProxy:
        """A handle to a paglet wherever it is; nobody is asked."""
        ...

    def checkpoint(self, agent_id: str) -> None:
        """Make the current state of a paglet the durable one; returns when it is."""
        ...

    @property
    def artifact_desk(self) -> ArtifactDesk:
        """What it does with artifacts and files."""
        ...

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
        """Offer a service of a paglet."""
        ...

    def unadvertise_service(self, agent_id: str, name: str) -> list[ServiceRecord]:
        """Take a paglet's offer back."""
        ...

    def lookup_service(
        self, name: str, *, capability: str | None = None, scope: ServiceScope = ServiceScope.LOCAL
    ) -> PagletProxyRef | None:
        """Who offers a service."""
        ...

    def lookup_services(
        self,
        name: str | None = None,
        *,
        capability: str | None = None,
        scope: ServiceScope = ServiceScope.LOCAL,
    ) -> list[ServiceRecord]:
        """All offers of a service."""
        ...

    def contract_records(
        self,
        contract: ServiceContract,
        *,
        operation: ServiceOperation[Any, Any] | str | None = None,
        scope: ServiceScope = ServiceScope.LOCAL,
        first: bool = False,
    ) -> list[ServiceRecord]:
        """Offers of a contract; ``first``: one is enough."""
        ...

    def lease_service(self, handle: ServiceHandle, *, ttl: float = 60.0) -> ServiceLease:
        """Keep a provider up."""
        ...
