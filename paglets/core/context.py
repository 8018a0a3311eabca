"""What a paglet sees of its host."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from paglets.core.errors import HostError, ServiceNotFoundError
from paglets.core.runtime_values import ACTIVE, ServiceScope

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from paglets.artifacts.file_refs import PagletFileRef
    from paglets.artifacts.refs import ArtifactRef
    from paglets.core.agent import Paglet
    from paglets.core.context_host import ContextHost
    from paglets.core.deactivation import DeactivationRequest
    from paglets.core.messages import Message
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


class PagletContext:
    """A paglet's view of the host it is on.

    ``agent_id`` is the paglet that the context belongs to: the default wherever a method takes an
    ``agent_id``. Without one those methods raise ``HostError`` unless they are given it.
    """

    def __init__(self, host: ContextHost, agent_id: str | None = None) -> None:
        self.host = host
        self.agent_id = agent_id

    @property
    def name(self) -> str:
        """The host's name."""
        return self.host.name

    @property
    def address(self) -> str:
        """The host's URL."""
        return self.host.address

    # --- paglets -----------------------------------------------------------------------------------------

    def get_proxy(self, agent_id: str, host_url: str | None = None) -> PagletProxy | None:
        """The proxy of a paglet on this host, active or not, or None; with a URL or name, a handle there."""
        if host_url is None or self._is_here(host_url):
            return self.host.get_proxy(agent_id, include_inactive=True)
        return self.host.proxy_for(self._url_of(host_url), agent_id)

    def get_proxies(self, state: int = ACTIVE) -> list[PagletProxy]:
        """Proxies of the paglets on this host that are in one of the states (``ACTIVE | INACTIVE``)."""
        return self.host.get_proxies(state)

    def get_property(self, key: str, default: Any = None) -> Any:
        """A value that somebody set on this host."""
        return self.host.get_property(key, default)

    def set_property(self, key: str, value: Any) -> None:
        """Set a value for everybody on this host, until it stops."""
        self.host.set_property(key, value)

    def create_paglet(
        self,
        agent_cls: type[Paglet[Any]],
        state: Any = None,
        *,
        init: Any = None,
        host_url: str | None = None,
    ) -> PagletProxy:
        """Create a paglet here, or on the host of that URL or name; returns when ``on_creation`` has run."""
        if host_url is None or self._is_here(host_url):
            return self.host.create(agent_cls, state, init=init)
        return self.host.create_remote(host_url, agent_cls, state, init=init)

    def dispatch(self, agent_id: str, target: str | TransferTicket) -> PagletProxy:
        """Move a paglet of this host; ``TransferError`` means that it did not move."""
        return self.host.dispatch(agent_id, target)

    def dispatch_to(self, agent_id: str, name_or_url: str) -> PagletProxy:
        """Move a paglet to a host that the mesh knows; ``HostError`` when it knows none of that name."""
        return self.host.dispatch(agent_id, self._url_of(name_or_url))

    def clone(self, agent_id: str, target: str | TransferTicket | None = None) -> PagletProxy:
        """Clone a paglet of this host, beside it or onto another host."""
        return self.host.clone(agent_id, target=target)

    def clone_to(self, agent_id: str, name_or_url: str) -> PagletProxy:
        """Clone a paglet onto a host that the mesh knows; ``HostError`` when it knows none of that name."""
        return self.host.clone(agent_id, target=self._url_of(name_or_url))

    def deactivate(self, agent_id: str, request: DeactivationRequest | None = None) -> PagletProxy:
        """Park a paglet of this host."""
        return self.host.deactivate(agent_id, request)

    def checkpoint(self, agent_id: str | None = None) -> None:
        """Make the paglet's current state the durable one, now."""
        self.host.checkpoint(self._own(agent_id))

    # --- hosts -------------------------------------------------------------------------------------------

    def available_hosts(self, *, online_only: bool = True, include_self: bool = True) -> list[HostRef]:
        """The hosts of the mesh, as this one knows them."""
        return self.host.list_hosts(online_only=online_only, include_self=include_self)

    def host_status(self, name_or_url: str) -> HostRef | None:
        """What is known of one host; None when it is not known at all."""
        wanted = name_or_url.rstrip("/")
        hosts = self.host.list_hosts(online_only=False, include_self=True)
        return next((ref for ref in hosts if wanted in {ref.name, ref.url.rstrip("/")}), None)

    def is_host_online(self, name_or_url: str) -> bool:
        """Whether that host is known and answers."""
        ref = self.host_status(name_or_url)
        return ref is not None and ref.online

    def wait_for_host(self, name_or_url: str, *, timeout: float = 10.0, interval: float = 0.25) -> HostRef:
        """Wait until that host is online, looking every ``interval`` seconds; else ``HostError``."""
        deadline = time.monotonic() + timeout
        while True:
            ref = self.host_status(name_or_url)
            if ref is not None and ref.online:
                return ref
            left = deadline - time.monotonic()
            if left <= 0:
                known = "it is not known" if ref is None else "it is known, but does not answer"
                raise HostError(f"host {name_or_url} did not come online within {timeout:g} s; {known}")
            time.sleep(min(interval, left))

    # --- messages ----------------------------------------------------------------------------------------

    def send(self, target_agent_id: str, message: Message, *, host_url: str | None = None) -> Any:
        """Send a message to a paglet here, or on that host, wait for its reply and return it."""
        here = host_url is None or self._is_here(host_url)
        url = self.address if here or host_url is None else self._url_of(host_url)
        return self.host.proxy_for(url, target_agent_id).send(message)

    def multicast(
        self, kind: str, args: Mapping[str, Any] | None = None, *, exclude: str | None = None
    ) -> ReplySet:
        """Send a message to every active paglet on this host but ``exclude``; the replies, as they come."""
        return self.host.multicast_message(kind, args, exclude=exclude)

    def register_file(
        self,
        path: str | os.PathLike[str],
        *,
        name: str | None = None,
        mode: str = "copy",
        agent_id: str | None = None,
    ) -> PagletFileRef:
        """Have a regular file travel with the paglet, by default under the file's name.

        It travels as it is when the paglet leaves. ``mode="move"``: it is deleted here once the paglet has
        arrived elsewhere, if it is still the same.
        """
        return self.host.artifact_desk.register_file(self._own(agent_id), path, name=name, mode=mode)

    def registered_files(self, agent_id: str | None = None) -> list[PagletFileRef]:
        """The files that travel with the paglet, as they are now."""
        return self.host.artifact_desk.registered_files(self._own(agent_id))

    def unregister_file(self, name_or_ref: str | PagletFileRef) -> bool:
        """Let a file stay behind; one that has come with the paglet is deleted. Whether it was registered."""
        return self.host.artifact_desk.unregister_file(self._own(None), _named(name_or_ref))

    def file_path(self, name_or_ref: str | PagletFileRef) -> Path:
        """Where a registered file is on this host; ``HostError`` when none is registered under that name."""
        return self.host.artifact_desk.file_path(self._own(None), _named(name_or_ref))

    def upload_artifact(
        self,
        path: str | os.PathLike[str],
        *,
        host_url: str | None = None,
        owner_agent_id: str | None = None,
        name: str | None = None,
        compression: str = "",
        expires_at: float = 0.0,
    ) -> ArtifactRef:
        """Store a copy of a file as an artifact, here or at the host of that URL or name.

        The owner is the paglet unless another one is named. ``StorageQuotaError`` when there is no room.
        """
        owner = self.agent_id if owner_agent_id is None else owner_agent_id
        return self.host.artifact_desk.upload(
            path,
            host_url=host_url,
            owner_agent_id=owner or "",
            name=name,
            compression=compression,
            expires_at=expires_at,
        )

    def download_artifact(
        self,
        artifact: ArtifactRef | Mapping[str, Any],
        target: str | os.PathLike[str],
        *,
        move: bool = False,
    ) -> ArtifactRef:
        """Write an artifact to a file, wherever it is, verified, whole or not at all; ``move``: then delete it."""
        return self.host.artifact_desk.download(artifact, target, move=move)

    def delete_artifact(self, artifact: ArtifactRef | Mapping[str, Any]) -> bool:
        """Delete an artifact, wherever it is; whether it was there."""
        return self.host.artifact_desk.delete(artifact)

    # --- services ----------------------------------------------------------------------------------------

    def advertise_service(
        self,
        name: str,
        *,
        capabilities: Iterable[str] | None = None,
        metadata: Mapping[str, Any] | None = None,
        scope: ServiceScope = ServiceScope.LOCAL,
        ttl: float | None = None,
        agent_id: str | None = None,
    ) -> ServiceRecord:
        """Offer a service of the paglet, on this host or (``MESH``) to the whole mesh; repeat it to renew it.

        The offer stands until it is taken back, ``ttl`` seconds have passed, or the paglet leaves, is parked or
        ends. ``metadata`` is for JSON values. ``HostError`` when somebody else offers that service alone.
        """
        return self.host.advertise_service(
            self._own(agent_id), name, capabilities=capabilities, metadata=metadata, scope=scope, ttl=ttl
        )

    def unadvertise_service(self, name: str, *, agent_id: str | None = None) -> list[ServiceRecord]:
        """Take the paglet's offer of a service back; what was taken back, if there was any."""
        return self.host.unadvertise_service(self._own(agent_id), name)

    def lookup_service(
        self, name: str, *, capability: str | None = None, scope: ServiceScope = ServiceScope.LOCAL
    ) -> PagletProxyRef | None:
        """Who offers a service: on this host, else with ``MESH`` on another one; None when nobody does."""
        return self.host.lookup_service(name, capability=capability, scope=scope)

    def lookup_services(
        self,
        name: str | None = None,
        *,
        capability: str | None = None,
        scope: ServiceScope = ServiceScope.LOCAL,
    ) -> list[ServiceRecord]:
        """All offers of that name (None: any), those of this host first.

        ``MESH`` also asks every host that is online, and passes over those that do not answer soon.
        """
        return self.host.lookup_services(name, capability=capability, scope=scope)

    def advertise_contract(
        self,
        contract: ServiceContract,
        *,
        scope: ServiceScope = ServiceScope.LOCAL,
        ttl: float | None = None,
        metadata: Mapping[str, Any] | None = None,
        agent_id: str | None = None,
    ) -> ServiceRecord:
        """Offer a contract, its operations being the capabilities; see ``advertise_service``."""
        return self.advertise_service(
            contract.name,
            capabilities=contract.capabilities,
            metadata=contract.advertise_metadata(metadata),
            scope=scope,
            ttl=ttl,
            agent_id=agent_id,
        )

    def lookup_contract(
        self,
        contract: ServiceContract,
        *,
        operation: ServiceOperation[Any, Any] | str | None = None,
        scope: ServiceScope = ServiceScope.LOCAL,
    ) -> ServiceHandle | None:
        """Somebody who offers the contract in this version with all its operations; None when nobody does.

        ``ServiceContractError`` for an ``operation`` that is not in the contract.
        """
        found = self.host.contract_records(contract, operation=operation, scope=scope, first=True)
        return contract.handle(found[0], self) if found else None

    def lookup_contracts(
        self,
        contract: ServiceContract,
        *,
        operation: ServiceOperation[Any, Any] | str | None = None,
        scope: ServiceScope = ServiceScope.LOCAL,
    ) -> list[ServiceHandle]:
        """Everybody who offers the contract, those of this host first."""
        found = self.host.contract_records(contract, operation=operation, scope=scope)
        return [contract.handle(record, self) for record in found]

    def require_contract(
        self,
        contract: ServiceContract,
        *,
        operation: ServiceOperation[Any, Any] | str | None = None,
        scope: ServiceScope = ServiceScope.LOCAL,
    ) -> ServiceHandle:
        """As ``lookup_contract``; ``ServiceNotFoundError`` when nobody offers it."""
        handle = self.lookup_contract(contract, operation=operation, scope=scope)
        if handle is not None:
            return handle
        if scope is ServiceScope.LOCAL:
            where = f"on host {self.name}"
            advice = "start a provider here, or look on the other hosts with scope=ServiceScope.MESH"
        else:
            where = "on any host of the mesh that answers"
            advice = "start a provider, and let it offer the contract with scope=ServiceScope.MESH"
        raise ServiceNotFoundError(
            f"nobody offers the service contract {contract.name!r}, version {contract.version}, {where} "
            f"(scope {scope.value}); {advice}"
        )

    def lease_contract(
        self,
        contract: ServiceContract,
        *,
        operation: ServiceOperation[Any, Any] | str | None = None,
        scope: ServiceScope = ServiceScope.LOCAL,
        ttl: float = 60.0,
    ) -> ServiceLease:
        """Find a provider, start it if need be, and keep it up for ``ttl`` seconds, or until it is released.

        A paglet's leases are released when it leaves, is parked or ends. ``ServiceNotFoundError`` when nobody
        offers the contract.
        """
        handle = self.require_contract(contract, operation=operation, scope=scope)
        try:
            return self.host.lease_service(handle, ttl=ttl)
        except ServiceNotFoundError:  # it has just gone; there may be another
            handle = self.require_contract(contract, operation=operation, scope=scope)
            return self.host.lease_service(handle, ttl=ttl)

    # --- what a paglet has here ----------------------------------------------------------------------------

    def resources(self, agent_id: str | None = None) -> ResourceRegistry:
        """The registry of what the paglet has open here."""
        return self.host.resources_for(self._own(agent_id))

    def work_dir(self, *, create: bool = True, agent_id: str | None = None) -> Path:
        """The paglet's own directory on this host, made if need be; cleared when the paglet leaves."""
        path = self.host.work_dir_for(self._own(agent_id))
        if create:
            path.mkdir(parents=True, exist_ok=True)
        return path

    def persistent_storage(
        self, *, quota_bytes: int | None = None, agent_id: str | None = None
    ) -> ManagedStorage:
        """Files of the paglet's class on this host; they stay when the paglet leaves."""
        return self.host.persistent_storage_for(self._own(agent_id), quota_bytes=quota_bytes)

    # --- private -----------------------------------------------------------------------------------------

    def _own(self, agent_id: str | None) -> str:
        chosen = agent_id or self.agent_id
        if chosen is None:
            raise HostError("this context belongs to no paglet; say which one with agent_id=")
        return chosen

    def _is_here(self, name_or_url: str) -> bool:
        return name_or_url.rstrip("/") in {self.name, self.address.rstrip("/")}

    def _url_of(self, name_or_url: str) -> str:
        if "://" in name_or_url:
            return name_or_url
        ref = self.host_status(name_or_url)
        if ref is None:
            known = ", ".join(sorted(each.name for each in self.host.list_hosts(online_only=False)))
            raise HostError(f"no host named {name_or_url!r} is known here; known are: {known}")
        return ref.url


def _named(name_or_ref: str | PagletFileRef) -> str:
    return name_or_ref if isinstance(name_or_ref, str) else name_or_ref.name
