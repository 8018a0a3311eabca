"""What ``PagletContext`` works over in a child: the operations of the host, through the link."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import msgspec

from paglets.core.deactivation import DeactivationRequest
from paglets.core.errors import HostError, InvalidAgentError, LifecycleError
from paglets.core.messages import Message
from paglets.core.reply_sets import ReplySet
from paglets.core.runtime_values import ACTIVE, INACTIVE, ServiceScope
from paglets.persistence.storage import ManagedStorage
from paglets.remote import api
from paglets.remote.proxy import PagletProxy
from paglets.remote.service_calls import ServiceCalls
from paglets.remote.transfer import TransferTicket
from paglets.serialization.codec import dataclass_to_wire, qualified_name
from paglets.serialization.values import from_json, to_json
from paglets.services.resident import DEFAULT_SERVICE_LEASE_TTL_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from paglets.core.agent import Paglet
    from paglets.core.references import PagletProxyRef
    from paglets.core.resources import ResourceRegistry
    from paglets.remote.host_refs import HostRef
    from paglets.runtime.child.artifact_desk import ChildArtifactDesk
    from paglets.runtime.child.calls import Calls
    from paglets.runtime.child_specs import AdmitSpec
    from paglets.services.contracts import ServiceContract
    from paglets.services.handles import ServiceHandle
    from paglets.services.operations import ServiceOperation
    from paglets.services.records import ServiceRecord
    from paglets.services.resident import ServiceLease

_HERE = ""
_STATES = {ACTIVE: "active", INACTIVE: "inactive", ACTIVE | INACTIVE: "all"}


class ChildContextHost:
    """See ``paglets.core.context_host.ContextHost``. May be used from any thread of the child."""

    def __init__(self, paglet: Paglet[Any], spec: AdmitSpec, calls: Calls) -> None:
        self._paglet = paglet
        self._spec = spec
        self._calls = calls
        self._services = ServiceCalls(lambda method, params: calls.call(_HERE, method, params))
        self._woken = threading.Condition()
        self._waiting = 0
        self._ended = ""
        self.place = (spec.host_name, spec.host_address)
        calls.local_url = spec.host_address

    @property
    def name(self) -> str:
        """The host's name."""
        return self.place[0]

    @property
    def address(self) -> str:
        """The host's URL."""
        return self.place[1]

    # --- paglets -----------------------------------------------------------------------------------------

    def get_proxy(self, agent_id: str, *, include_inactive: bool = False) -> PagletProxy | None:
        """The proxy of a paglet on this host; None when it is not here."""
        try:
            info = self._ask(api.PAGLETS_INFO, api.PagletParams(agent_id=agent_id))
        except InvalidAgentError:
            return None
        if not include_inactive and not info.get("active"):
            return None
        return self.proxy_for(self.address, agent_id)

    def get_proxies(self, state: int = ACTIVE) -> list[PagletProxy]:
        """Proxies of the paglets on this host that are in one of the states."""
        if state not in _STATES:
            raise ValueError("a state is ACTIVE, INACTIVE, or both")
        proxies: list[PagletProxy] = []
        cursor = ""
        while True:
            page = self._ask(api.PAGLETS_LIST, api.PagletsListParams(state=_STATES[state], cursor=cursor))
            proxies += [self.proxy_for(self.address, agent["agent_id"]) for agent in page["agents"]]
            cursor = page.get("cursor") or ""
            if not cursor:
                return proxies

    def proxy_for(self, host_url: str, agent_id: str) -> PagletProxy:
        """A handle to a paglet wherever it is; nobody is asked."""
        return PagletProxy(host_url, agent_id, self._calls)

    def create(
        self,
        agent_cls: type[Paglet[Any]],
        state: Any = None,
        *,
        init: Any = None,
        agent_id: str | None = None,
    ) -> PagletProxy:
        """Create a paglet on this host."""
        return self.create_remote("", agent_cls, state, init=init, agent_id=agent_id)

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
        params = api.CreateParams(
            class_name=qualified_name(cast("type", agent_cls)),
            state_class_name="" if state is None else qualified_name(state),
            state=api.NULL if state is None else msgspec.Raw(to_json(dataclass_to_wire(state))),
            init=msgspec.Raw(to_json(init)),
            agent_id=agent_id or "",
            target=target,
        )
        return self._place(api.PAGLETS_CREATE, params)

    def dispatch(self, agent_id: str, target: str | TransferTicket) -> PagletProxy:
        """Move a paglet."""
        ticket = TransferTicket.from_target(target)
        return self._place(
            api.PAGLETS_DISPATCH, api.DispatchParams(agent_id=agent_id, ticket=ticket.to_wire())
        )

    def clone(self, agent_id: str, *, target: str | TransferTicket | None = None) -> PagletProxy:
        """Clone a paglet, onto this host or another."""
        ticket = None if target is None else TransferTicket.from_target(target).to_wire()
        return self._place(api.PAGLETS_CLONE, api.CloneParams(agent_id=agent_id, ticket=ticket))

    def deactivate(self, agent_id: str, request: DeactivationRequest | None = None) -> PagletProxy:
        """Park a paglet."""
        wire = (request or DeactivationRequest()).to_wire()
        return self._place(api.PAGLETS_DEACTIVATE, api.DeactivateParams(agent_id=agent_id, request=wire))

    def checkpoint(self, agent_id: str) -> None:
        """Make the current state of a paglet the durable one."""
        self._ask(api.PAGLETS_CHECKPOINT, api.PagletParams(agent_id=agent_id))

    # --- the host and the mesh ---------------------------------------------------------------------------

    def get_property(self, key: str, default: Any = None) -> Any:
        """A value that somebody set on this host."""
        answer = self._ask(api.HOST_PROPERTY, api.PropertyParams(key=key))
        return answer["value"] if answer["found"] else default

    def set_property(self, key: str, value: Any) -> None:
        """Set a value for everybody on this host, until it stops."""
        self._ask(api.HOST_SET_PROPERTY, api.SetPropertyParams(key=key, value=msgspec.Raw(to_json(value))))

    def list_hosts(self, *, online_only: bool = False, include_self: bool = True) -> list[HostRef]:
        """The hosts of the mesh, as this one knows them."""
        from paglets.remote.host_refs import HostRef  # noqa: PLC0415 - few paglets ask, and each would pay for it

        params = api.HostsListParams(online_only=online_only, include_self=include_self)
        return [HostRef.from_wire(each) for each in self._ask(api.HOSTS_LIST, params)["hosts"]]

    # --- messages ----------------------------------------------------------------------------------------

    def multicast_message(
        self, kind: str, args: Mapping[str, Any] | None = None, *, exclude: str | None = None
    ) -> ReplySet:
        """Send a message to every active paglet on this host but ``exclude``."""
        answer = self._ask(api.MESSAGE_MULTICAST, api.MulticastParams(exclude=exclude or ""))
        return ReplySet(
            self.proxy_for(self.address, agent_id).send_future(Message(kind, dict(args or {})))
            for agent_id in answer["agent_ids"]
        )

    def wait_message(self, agent_id: str, timeout: float | None = None) -> bool:
        """Wait for ``notify_message``; whether it came before the time was up."""
        if agent_id != self._paglet.agent_id:
            raise HostError("a paglet can wait for its own messages only")
        with self._calls.reading.expecting(object()), self._woken:
            self._waiting += 1
            try:
                came = self._ended or self._woken.wait(timeout)
            finally:
                self._waiting -= 1
            if self._ended:
                raise LifecycleError(self._ended)
            return bool(came)

    def notify_message(self, agent_id: str) -> None:
        """Wake one that waits in ``wait_message``."""
        self._notify(agent_id, everyone=False)

    def notify_all_messages(self, agent_id: str) -> None:
        """Wake all that wait in ``wait_message``."""
        self._notify(agent_id, everyone=True)

    def move_to(self, name: str, address: str) -> None:
        """The host is called, or found, differently from now on."""
        self.place = (name, address)
        self._calls.local_url = address

    def wake(self, *, everyone: bool) -> None:
        """Wake one of this paglet's own threads in ``wait_message``, or all."""
        with self._woken:
            if everyone:
                self._woken.notify_all()
            else:
                self._woken.notify()

    def end_waits(self, reason: str) -> None:
        """The paglet has left: ``wait_message`` raises ``LifecycleError`` from now on."""
        with self._woken:
            self._ended = reason
            self._woken.notify_all()

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
        """Offer a service of the paglet."""
        return self._services.advertise(
            agent_id, name, capabilities=capabilities, metadata=metadata, scope=scope, ttl=ttl
        )

    def unadvertise_service(self, agent_id: str, name: str) -> list[ServiceRecord]:
        """Take an offer of the paglet back."""
        return self._services.unadvertise(agent_id, name)

    def lookup_service(
        self, name: str, *, capability: str | None = None, scope: ServiceScope = ServiceScope.LOCAL
    ) -> PagletProxyRef | None:
        """Who offers a service."""
        found = self._services.find(name, capability=capability, scope=scope, first=True)
        return found[0].proxy if found else None

    def lookup_services(
        self,
        name: str | None = None,
        *,
        capability: str | None = None,
        scope: ServiceScope = ServiceScope.LOCAL,
    ) -> list[ServiceRecord]:
        """All offers of a service."""
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
        """Keep a provider up; released when the paglet's life here is over."""
        return self._services.lease(handle, ttl)

    # --- what the paglet has here ------------------------------------------------------------------------

    def resources_for(self, agent_id: str) -> ResourceRegistry:
        """The registry of the paglet's resources."""
        self._require_own(agent_id, "resources")
        return self._paglet.resources

    @property
    def artifact_desk(self) -> ChildArtifactDesk:
        """Artifacts, and the paglet's own files."""
        return self._calls.artifact_desk

    def work_dir_for(self, agent_id: str) -> Path:
        """The paglet's own directory; it need not exist yet."""
        self._require_own(agent_id, "work directory")
        self._calls.check_open()
        return Path(self._spec.work_dir)

    def persistent_storage_for(self, agent_id: str, *, quota_bytes: int | None = None) -> ManagedStorage:
        """The storage of the paglet's class on this host."""
        self._require_own(agent_id, "storage")
        self._calls.check_open()
        quota = self._spec.storage_quota_bytes
        if quota_bytes is not None:
            quota = min(quota, quota_bytes)
        return ManagedStorage(self._spec.storage_dir, quota_bytes=quota)

    # --- private -----------------------------------------------------------------------------------------

    def _notify(self, agent_id: str, *, everyone: bool) -> None:
        if agent_id == self._paglet.agent_id:
            with self._woken:
                at_home = self._waiting
            self.wake(everyone=everyone)
            if at_home and not everyone:
                return
        # Somebody may wait for it outside, too.
        self._ask(api.PAGLETS_NOTIFY, api.NotifyParams(agent_id=agent_id, everyone=everyone))

    def _require_own(self, agent_id: str, what: str) -> None:
        if agent_id != self._paglet.agent_id:
            raise HostError(f"the {what} of paglet {agent_id} can be had in its own process only")

    def _ask(self, method: str, params: msgspec.Struct) -> Any:
        return from_json(self._calls.call(_HERE, method, params))

    def _place(self, method: str, params: msgspec.Struct) -> PagletProxy:
        place = msgspec.json.decode(self._calls.call(_HERE, method, params), type=api.Place)
        return self.proxy_for(place.host_url, place.agent_id)
