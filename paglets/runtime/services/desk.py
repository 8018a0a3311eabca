"""What the paglets of one host offer, each offer bound to the life of the paglet that made it."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import msgspec

from paglets.core.errors import HostError, LifecycleError, ServiceContractError
from paglets.core.references import PagletProxyRef
from paglets.core.runtime_values import ServiceScope
from paglets.services.contracts import CONTRACT_METADATA_KEY
from paglets.services.registry import ServiceRegistry
from paglets.services.resident import RESIDENT_SERVICE_METADATA_KEY

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from paglets.remote.api import AdvertiseParams, LookupParams
    from paglets.runtime.children.child import Child
    from paglets.runtime.events import Events
    from paglets.runtime.here import Here
    from paglets.runtime.residents import Resident, Residents
    from paglets.services.records import ServiceRecord

MAX_OFFERS = 64
"""Of one paglet."""
MAX_OFFERS_HERE = 10_000
MAX_OFFER_BYTES = 32 * 1024
"""Of one offer's name, capabilities and metadata, as JSON."""
MAX_BYTES_HERE = 16 * 1024 * 1024
"""Of all offers of the host."""


@dataclass(slots=True)
class _Offer:
    """What the registry does not say of an offer."""

    record: ServiceRecord
    child: Child | None
    """The process of the life that made it; None while the paglet is parked and stays on offer."""
    size: int
    singleton: bool
    keeps: bool
    """It stands while its paglet is parked: a message or a lease wakes that."""
    expiry: asyncio.TimerHandle | None = None


class ServiceDesk:
    """The service registry of a host.

    An offer goes with the life that made it: when its paglet leaves, is parked, crashes or is disposed of, in
    the same step. Only lazy resident services stay on offer while they are parked. Times are kept by the
    monotonic clock, and told as wall clock.
    """

    def __init__(self, *, residents: Residents, here: Here, events: Events) -> None:
        self._residents = residents
        self._here = here
        self._events = events
        self._registry = ServiceRegistry(clock=time.monotonic)
        self._offers: dict[str, dict[str, _Offer]] = {}
        self._count = 0
        self._bytes = 0
        residents.on_ended.append(self._ended)
        residents.on_left.append(self._left)

    # --- offers ------------------------------------------------------------------------------------------

    def advertise(self, resident: Resident, terms: AdvertiseParams) -> ServiceRecord:
        """Enter or renew an offer of a paglet at work.

        ``LifecycleError`` for one that is not, ``ServiceContractError`` for an offer that is none or too large,
        ``HostError`` when somebody offers that service alone, or there are too many offers.
        """
        if RESIDENT_SERVICE_METADATA_KEY in terms.metadata:
            raise ServiceContractError(
                f"the metadata key {RESIDENT_SERVICE_METADATA_KEY!r} is reserved for resident services"
            )
        if not resident.running or self._residents.get(resident.agent_id) is not resident:
            raise LifecycleError(f"paglet {resident.agent_id} is not active, so it offers no services")
        return self.enter(terms, child=resident.child)

    def enter(
        self, terms: AdvertiseParams, *, child: Child | None, singleton: bool = False, keeps: bool = False
    ) -> ServiceRecord:
        """Enter an offer for a life, or (``child`` None) for a parked paglet that is woken when it is asked."""
        agent_id, name = terms.agent_id, terms.name
        self.check_free(name, agent_id, alone=singleton)
        size = len(msgspec.json.encode([name, terms.capabilities, terms.metadata]))
        earlier = self._offers.get(agent_id, {}).get(name)
        self._check_room(agent_id, size, earlier)
        record = self._registry.advertise(
            host_name=self._here.name,
            host_url=self._here.address,
            name=name,
            proxy=PagletProxyRef(self._here.address, agent_id),
            capabilities=terms.capabilities,
            metadata=terms.metadata,
            scope=terms.scope,
            ttl=terms.ttl,
        )
        if earlier is not None:
            self._forget(agent_id, name)
        offer = _Offer(record, child, size, singleton, keeps)
        if terms.ttl is not None:
            loop = asyncio.get_running_loop()
            offer.expiry = loop.call_later(terms.ttl, self._expire, name, agent_id)
        self._offers.setdefault(agent_id, {})[name] = offer
        self._count += 1
        self._bytes += size
        if earlier is None or _terms_of(earlier.record) != _terms_of(record):
            self._tell("service-advertise", record)
        return self._shown(record)

    def check_free(self, name: str, agent_id: str, *, alone: bool) -> None:
        """``HostError`` when another paglet here offers that service alone, or offers it and ``alone`` is wanted."""
        for record in self._registry.lookup_all(name):
            other = record.proxy.agent_id
            if other == agent_id or not self._stands(record):
                continue
            if alone or self._offers[other][name].singleton:
                raise HostError(
                    f"the service {name!r} is offered on host {self._here.name} by paglet {other}, and only one "
                    "paglet may offer it there; use that one, or end it first"
                )

    def unadvertise(self, name: str, agent_id: str) -> list[ServiceRecord]:
        """Take back a paglet's offer of that service; what was taken back."""
        return [self._shown(record) for record in self._drop(agent_id, [name], "taken back")]

    def keep_parked(self, agent_id: str) -> None:
        """The paglet is about to be parked: what it offers as a lazy resident service stays on offer."""
        for offer in self._offers.get(agent_id, {}).values():
            if offer.keeps:
                offer.child = None

    def drop_kept(self, agent_id: str, keep: Iterable[str] = ()) -> None:
        """Take back what still stands of an earlier life of the paglet, but for these services."""
        kept = [name for name, offer in self._offers.get(agent_id, {}).items() if offer.child is None]
        self._drop(agent_id, [name for name in kept if name not in set(keep)], "no longer offered")

    # --- finding -----------------------------------------------------------------------------------------

    def find(self, wanted: LookupParams, *, scope: ServiceScope = ServiceScope.LOCAL) -> list[ServiceRecord]:
        """Offers on this host, oldest first; ``MESH``: those only that are offered to the whole mesh."""
        found = self._registry.lookup_all(
            wanted.name or None, capability=wanted.capability or None, scope=scope
        )
        return [
            self._shown(record)
            for record in found
            if self._stands(record) and offers_contract(record, wanted.version, wanted.operations)
        ]

    def has(self, agent_id: str) -> bool:
        """Whether a paglet has anything on offer here."""
        offers = self._offers.get(agent_id, {})
        records = (self._registry.record(name, agent_id) for name in offers)
        return any(record is not None and self._stands(record) for record in records)

    def _stands(self, record: ServiceRecord) -> bool:
        agent_id = record.proxy.agent_id
        offer = self._offers[agent_id][record.name]
        if offer.child is None:
            return True
        resident = self._residents.get(agent_id)
        return resident is not None and resident.child is offer.child and resident.running

    def _shown(self, record: ServiceRecord) -> ServiceRecord:
        """As others see it: wall clock, and where this host is now."""
        offset = time.time() - time.monotonic()
        return dataclasses.replace(
            record,
            proxy=PagletProxyRef(self._here.address, record.proxy.agent_id),
            host_url=self._here.address,
            advertised_at=record.advertised_at + offset,
            expires_at=None if record.expires_at is None else record.expires_at + offset,
        )

    # --- ends --------------------------------------------------------------------------------------------

    def _ended(self, child: Child) -> None:
        agent_id = child.agent_id
        resident = self._residents.get(agent_id)
        # A life that failed: what was kept from before it is not to be had either.
        failed = resident is not None and resident.incarnation == child.incarnation
        self._drop(
            agent_id,
            [
                name
                for name, offer in self._offers.get(agent_id, {}).items()
                if offer.child is child or (failed and offer.child is None)
            ],
            "gone",
        )

    def _left(self, agent_id: str) -> None:
        self._drop(agent_id, list(self._offers.get(agent_id, {})), "gone")

    def _expire(self, name: str, agent_id: str) -> None:
        self._drop(agent_id, [name], "expired")

    def _drop(self, agent_id: str, names: list[str], why: str) -> list[ServiceRecord]:
        dropped = [self._forget(agent_id, name) for name in names if name in self._offers.get(agent_id, {})]
        for record in dropped:
            self._registry.unadvertise(record.name, agent_id)
            self._tell("service-remove", record, why)
        return dropped

    def _forget(self, agent_id: str, name: str) -> ServiceRecord:
        offers = self._offers[agent_id]
        offer = offers.pop(name)
        if not offers:
            del self._offers[agent_id]
        if offer.expiry is not None:
            offer.expiry.cancel()
        self._count -= 1
        self._bytes -= offer.size
        return offer.record

    def _check_room(self, agent_id: str, size: int, earlier: _Offer | None) -> None:
        if size > MAX_OFFER_BYTES:
            raise ServiceContractError(
                f"capabilities and metadata of an offer take {size} bytes; they may take {MAX_OFFER_BYTES}"
            )
        if self._bytes - (earlier.size if earlier else 0) + size > MAX_BYTES_HERE:
            raise HostError(f"host {self._here.name} holds as many offers of services as it may")
        if earlier is not None:
            return
        if len(self._offers.get(agent_id, {})) >= MAX_OFFERS:
            raise HostError(f"paglet {agent_id} offers {MAX_OFFERS} services already; take some back first")
        if self._count >= MAX_OFFERS_HERE:
            raise HostError(f"host {self._here.name} holds as many offers of services as it may")

    def _tell(self, kind: str, record: ServiceRecord, why: str = "") -> None:
        data: dict[str, Any] = {"scope": record.scope.value, "capabilities": list(record.capabilities)}
        if why:
            data["why"] = why
        self._events.emit(kind, agent_id=record.proxy.agent_id, service_name=record.name, data=data)

    def close(self) -> None:
        """Stop the clocks."""
        for offers in self._offers.values():
            for offer in offers.values():
                if offer.expiry is not None:
                    offer.expiry.cancel()


def offers_contract(record: ServiceRecord, version: str, operations: Iterable[str]) -> bool:
    """Whether the record offers a contract of that version with these operations; ``version`` empty: any offer."""
    if not version:
        return True
    told = record.metadata.get(CONTRACT_METADATA_KEY)
    if not isinstance(told, dict):
        return False
    facts = cast("Mapping[str, Any]", told)
    offered = facts.get("operations")
    return (
        facts.get("name") == record.name
        and facts.get("version") == version
        and isinstance(offered, list)
        and all(operation in offered for operation in operations)
    )


def _terms_of(record: ServiceRecord) -> tuple[Any, ...]:
    return record.capabilities, record.metadata, record.scope
