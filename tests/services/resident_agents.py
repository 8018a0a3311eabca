"""Resident services, for the tests."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from paglets.core.agent import Paglet, PagletState
from paglets.core.errors import HostError
from paglets.core.runtime_values import ResidentLifecycle, ServiceScope
from paglets.services.contracts import ServiceContract, ServiceOperation
from paglets.services.resident import ResidentServiceSpec

if TYPE_CHECKING:
    from paglets.core.events import CreationEvent, PersistencyEvent
    from paglets.core.messages import Message


@dataclass
class CountRequest:
    by: int = 1
    sleep: float = 0.0


@dataclass
class Count:
    total: int = 0
    pid: int = 0
    lives: list[str] = field(default_factory=list[str])


COUNT = ServiceOperation("count", CountRequest, Count)
DIE = ServiceOperation("die")
COUNTER = ServiceContract("counter", (COUNT, DIE))
TICKER = ServiceContract("ticker", (COUNT, DIE))


@dataclass
class CounterState(PagletState):
    total: int = 0
    start_delay: float = 0.0
    lives: list[str] = field(default_factory=list[str])


class _Counting(Paglet[CounterState]):
    State = CounterState

    def on_creation(self, event: CreationEvent) -> None:
        time.sleep(self.state.start_delay)
        self.state.lives.append("created" if event.init is None else f"created with {event.init}")

    def on_activation(self, event: PersistencyEvent) -> None:
        self.state.lives.append(event.reason)

    def handle_message(self, message: Message) -> Any:
        return COUNTER.route(message, {COUNT: self.count, DIE: self.die}, default=self.not_handled)

    def count(self, request: CountRequest) -> Count:
        time.sleep(request.sleep)
        self.state.total += request.by
        return Count(self.state.total, os.getpid(), self.state.lives)

    def die(self, _request: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class Counter(_Counting):
    """Lazy, mesh-wide."""

    RESIDENT_SERVICES = (
        ResidentServiceSpec(COUNTER, scope=ServiceScope.MESH, idle_timeout=0.4, state={"total": 100}),
    )


class Ticker(_Counting):
    """Eager."""

    RESIDENT_SERVICES = (
        ResidentServiceSpec(TICKER, scope=ServiceScope.MESH, lifecycle=ResidentLifecycle.EAGER),
    )


class Several(_Counting):
    """Not alone: others may offer the same."""

    RESIDENT_SERVICES = (ResidentServiceSpec(COUNTER, singleton=False),)


class Broken(_Counting):
    """Declares what is no service."""

    RESIDENT_SERVICES: ClassVar[Any] = ("counter",)


class Stillborn(_Counting):
    """Its first hook fails."""

    RESIDENT_SERVICES = (ResidentServiceSpec(TICKER, scope=ServiceScope.MESH),)

    def on_creation(self, event: CreationEvent) -> None:
        raise HostError("not today")


@dataclass
class HolderState(PagletState):
    url: str = ""


class Holder(Paglet[HolderState]):
    """Holds leases."""

    State = HolderState

    def handle_message(self, message: Message) -> Any:
        scope = ServiceScope(message.args.get("scope", "local"))
        match message.kind:
            case "lease":
                lease = self.lease_contract(COUNTER, scope=scope, ttl=message.args.get("ttl", 60.0))
                return {"lease_id": lease.lease_id, "host_url": lease.host_url, "expired": lease.expired}
            case "use":
                with self.lease_contract(COUNTER, scope=scope) as lease:
                    return lease.call(COUNT).total
            case "ask":
                return self.require_contract(COUNTER, scope=scope).call(COUNT).total
            case "die":
                os.kill(os.getpid(), signal.SIGKILL)
                return None
            case _:
                return self.not_handled()
