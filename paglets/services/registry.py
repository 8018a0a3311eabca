"""The services that the paglets of one host offer."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Container, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from paglets.core.errors import ServiceContractError
from paglets.core.runtime_values import ServiceScope, require_enum
from paglets.services.records import ServiceRecord

if TYPE_CHECKING:
    from paglets.core.references import PagletProxyRef

Keep = Container[str] | Callable[[ServiceRecord], bool]


class ServiceRegistry:
    """Records by service name and paglet. What has expired is not found, and goes when it is looked at.

    Not for several threads at once.
    """

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._by_name: dict[str, dict[str, ServiceRecord]] = {}
        self._by_agent: dict[str, set[str]] = {}

    def advertise(
        self,
        *,
        host_name: str,
        host_url: str,
        name: str,
        proxy: PagletProxyRef,
        capabilities: Iterable[str] | None = None,
        metadata: Mapping[str, Any] | None = None,
        scope: ServiceScope = ServiceScope.LOCAL,
        ttl: float | None = None,
    ) -> ServiceRecord:
        """Enter an offer, or renew it; ``ttl`` in seconds, None: until it is taken back.

        ``ServiceContractError`` for an empty name, ``ValueError`` for a ``ttl`` that is no positive number,
        ``TypeError`` for a scope that is no member of ``ServiceScope``.
        """
        if not name:
            raise ServiceContractError("a service needs a name")
        require_enum(scope, ServiceScope, "scope")
        if ttl is not None and not (ttl > 0 and math.isfinite(ttl)):
            raise ValueError(f"ttl must be a positive number of seconds, not {ttl!r}")
        now = self._clock()
        record = ServiceRecord(
            name=name,
            proxy=proxy,
            capabilities=tuple(capabilities or ()),
            metadata=dict(metadata or {}),
            scope=scope,
            host_name=host_name,
            host_url=host_url,
            advertised_at=now,
            expires_at=None if ttl is None else now + ttl,
        )
        self._by_name.setdefault(name, {})[proxy.agent_id] = record
        self._by_agent.setdefault(proxy.agent_id, set()).add(name)
        return record

    def unadvertise(self, name: str, agent_id: str | None = None) -> list[ServiceRecord]:
        """Take back a paglet's offer of that service, or everybody's; what was taken back."""
        offers = self._by_name.get(name, {})
        chosen = list(offers) if agent_id is None else [each for each in (agent_id,) if each in offers]
        return [self._remove(name, each) for each in chosen]

    def record(self, name: str, agent_id: str) -> ServiceRecord | None:
        """A paglet's offer of that service."""
        found = self._by_name.get(name, {}).get(agent_id)
        return None if found is None or self._drop_if_expired(found) else found

    def remove_agent(self, agent_id: str, *, keep: Keep | None = None) -> list[ServiceRecord]:
        """Take back all that a paglet offers, but for what ``keep`` holds (names, or a test of a record)."""
        offered = [self._by_name[name][agent_id] for name in sorted(self._by_agent.get(agent_id, ()))]
        going = [record for record in offered if keep is None or not _kept(keep, record)]
        return [self._remove(record.name, agent_id) for record in going]

    def lookup(
        self, name: str, *, capability: str | None = None, scope: ServiceScope = ServiceScope.LOCAL
    ) -> ServiceRecord | None:
        """An offer of that service, the oldest that stands; see ``lookup_all``."""
        return next(iter(self.lookup_all(name, capability=capability, scope=scope)), None)

    def lookup_all(
        self,
        name: str | None = None,
        *,
        capability: str | None = None,
        scope: ServiceScope = ServiceScope.LOCAL,
    ) -> list[ServiceRecord]:
        """Offers by name and capability, oldest first.

        ``MESH`` finds those that are offered to the whole mesh, ``LOCAL`` every one on this host.
        """
        require_enum(scope, ServiceScope, "scope")
        names = list(self._by_name) if name is None else [name]
        offers = [record for each in names for record in list(self._by_name.get(each, {}).values())]
        return [
            record
            for record in offers
            if record.matches(name, capability)
            and (scope is ServiceScope.LOCAL or record.scope is ServiceScope.MESH)
            and not self._drop_if_expired(record)
        ]

    def _drop_if_expired(self, record: ServiceRecord) -> bool:
        if not record.expired_at(self._clock()):
            return False
        self._remove(record.name, record.proxy.agent_id)
        return True

    def _remove(self, name: str, agent_id: str) -> ServiceRecord:
        offers = self._by_name[name]
        record = offers.pop(agent_id)
        if not offers:
            del self._by_name[name]
        names = self._by_agent[agent_id]
        names.discard(name)
        if not names:
            del self._by_agent[agent_id]
        return record


def _kept(keep: Keep, record: ServiceRecord) -> bool:
    return keep(record) if callable(keep) else record.name in keep
