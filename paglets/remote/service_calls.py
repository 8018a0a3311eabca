"""The service operations of a host as calls: one code for a paglet's context, an embedded host, and a client."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from paglets.core.errors import LifecycleError, RemoteHostError, SerializationError, ServiceContractError
from paglets.core.runtime_values import ServiceScope, require_enum
from paglets.remote import api
from paglets.serialization.values import from_json, to_json
from paglets.services.records import ServiceRecord
from paglets.services.resident import ServiceLease

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from paglets.services.contracts import ServiceContract
    from paglets.services.handles import ServiceHandle
    from paglets.services.operations import ServiceOperation

Ask = Callable[[str, msgspec.Struct], bytes]
"""Has a host run an operation; raw JSON, or one of the API page's errors."""


class ServiceCalls:
    """What is asked of a host about services."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def advertise(
        self,
        agent_id: str,
        name: str,
        *,
        capabilities: Iterable[str] | None,
        metadata: Mapping[str, Any] | None,
        scope: ServiceScope,
        ttl: float | None,
    ) -> ServiceRecord:
        """Offer a service; see ``PagletContext.advertise_service``."""
        require_enum(scope, ServiceScope, "scope")
        if not name:
            raise ServiceContractError("a service needs a name")
        if isinstance(capabilities, str):
            raise TypeError(f"capabilities are a list of names, not the text {capabilities!r}")
        _check_ttl(ttl)
        call = api.AdvertiseParams(
            agent_id=agent_id,
            name=name,
            capabilities=list(capabilities or ()),
            metadata=msgspec.json.decode(to_json(dict(metadata or {}))),
            scope=scope,
            ttl=ttl,
        )
        return ServiceRecord.from_wire(from_json(self._ask(api.SERVICES_ADVERTISE, call)))

    def unadvertise(self, agent_id: str, name: str) -> list[ServiceRecord]:
        """Take an offer back; what was taken back."""
        return _records(
            self._ask(api.SERVICES_UNADVERTISE, api.UnadvertiseParams(agent_id=agent_id, name=name))
        )

    def find(
        self, name: str | None, *, capability: str | None, scope: ServiceScope, first: bool = False
    ) -> list[ServiceRecord]:
        """Offers by name and capability."""
        require_enum(scope, ServiceScope, "scope")
        wanted = api.LookupParams(name=name or "", capability=capability or "", scope=scope, first=first)
        return _records(self._ask(api.SERVICES_LOOKUP, wanted))

    def find_contract(
        self,
        contract: ServiceContract,
        *,
        operation: ServiceOperation[Any, Any] | str | None,
        scope: ServiceScope,
        first: bool = False,
    ) -> list[ServiceRecord]:
        """Offers of that contract: its name, its version, and all of its operations."""
        require_enum(scope, ServiceScope, "scope")
        wanted = api.LookupParams(
            name=contract.name,
            capability="" if operation is None else contract.require_operation(operation).name,
            scope=scope,
            version=contract.version,
            operations=list(contract.capabilities),
            first=first,
        )
        found = _records(self._ask(api.SERVICES_LOOKUP, wanted))
        return [record for record in found if contract.matches_record(record)]

    def lease(self, handle: ServiceHandle, ttl: float, *, direct: bool = False) -> ServiceLease:
        """Keep a provider up. The host that is asked passes it on when the provider is elsewhere.

        ``direct``: the provider's own host is asked.
        """
        _check_ttl(ttl)
        url = "" if direct else handle.record.proxy.host_url
        began = time.time()
        params = api.LeaseParams(agent_id=handle.record.proxy.agent_id, ttl=ttl, host_url=url)
        lease_id = str(from_json(self._ask(api.SERVICES_LEASE, params))["lease_id"])
        release = api.ReleaseParams(lease_id=lease_id, host_url=url)

        def let_go() -> None:
            with contextlib.suppress(RemoteHostError, LifecycleError):  # then its time runs out
                self._ask(api.SERVICES_RELEASE, release)

        return ServiceLease(
            handle,
            lease_id=lease_id,
            host_url=handle.record.proxy.host_url,
            expires_at=began + ttl,
            release=let_go,
        )


def _records(raw: bytes) -> list[ServiceRecord]:
    answer = from_json(raw)
    try:
        return [ServiceRecord.from_wire(each) for each in answer["services"]]
    except (KeyError, TypeError, SerializationError) as error:
        raise RemoteHostError(
            f"the host answered a question about services with no list of them: {error}"
        ) from None


def _check_ttl(ttl: float | None) -> None:
    if ttl is not None and not (ttl > 0 and math.isfinite(ttl)):
        raise ValueError(f"ttl must be a positive number of seconds, not {ttl!r}")
