"""Resident services: paglets that a host keeps for others, and the leases that keep one up."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

from paglets.core.errors import ServiceContractError
from paglets.core.runtime_values import ResidentLifecycle, ServiceScope, require_enum
from paglets.services.contracts import ServiceContract

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from paglets.services.handles import ServiceHandle
    from paglets.services.operations import ServiceOperation

RequestT = TypeVar("RequestT")
ReplyT = TypeVar("ReplyT")

RESIDENT_SERVICE_METADATA_KEY = "paglets.resident_service"
"""Where a record's metadata says that its provider is a resident service, and of which kind. Reserved."""
DEFAULT_RESIDENT_IDLE_TIMEOUT_SECONDS = 30.0
DEFAULT_SERVICE_LEASE_TTL_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class ResidentServiceSpec:
    """How a host keeps a paglet class as a service; a class lists its own in ``RESIDENT_SERVICES``.

    ``agent_id`` None: ``service.<contract name>``. ``singleton``: nobody else on the host may offer that
    contract. ``state``: the fields of the provider's first state. ``idle_timeout`` in seconds.
    """

    contract: ServiceContract
    scope: ServiceScope = ServiceScope.LOCAL
    lifecycle: ResidentLifecycle = ResidentLifecycle.LAZY
    agent_id: str | None = None
    singleton: bool = True
    idle_timeout: float = DEFAULT_RESIDENT_IDLE_TIMEOUT_SECONDS
    state: dict[str, Any] = field(default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        if not isinstance(cast("object", self.contract), ServiceContract):
            raise ServiceContractError(f"a resident service needs a contract, not {self.contract!r}")
        require_enum(self.scope, ServiceScope, "scope")
        require_enum(self.lifecycle, ResidentLifecycle, "lifecycle")
        if not (self.idle_timeout > 0 and math.isfinite(self.idle_timeout)):
            raise ValueError(f"idle_timeout must be a positive number of seconds, not {self.idle_timeout!r}")

    @property
    def provider_id(self) -> str:
        """The agent id of the provider, the same on every host."""
        return self.agent_id or f"service.{self.contract.name}"

    def metadata(self) -> dict[str, Any]:
        """What a record says of it under ``RESIDENT_SERVICE_METADATA_KEY``."""
        return {
            "agent_id": self.provider_id,
            "lifecycle": self.lifecycle.value,
            "singleton": self.singleton,
            "idle_timeout": self.idle_timeout,
        }


class ServiceLease:
    """Keeps a resident service up until it is released or its time is up; calls go through its handle.

    Use it as a context manager. ``expires_at`` is in seconds since the epoch, by this machine's clock.
    """

    __slots__ = ("_release", "_released", "expires_at", "handle", "host_url", "lease_id")

    def __init__(
        self,
        handle: ServiceHandle,
        *,
        lease_id: str,
        host_url: str,
        expires_at: float,
        release: Callable[[], None],
    ) -> None:
        self.handle = handle
        self.lease_id = lease_id
        self.host_url = host_url
        """The host that keeps the service up."""
        self.expires_at = expires_at
        self._release = release
        self._released = False

    @property
    def expired(self) -> bool:
        """Whether it holds nothing any more: released, or its time is up."""
        return self._released or time.time() >= self.expires_at

    def release(self) -> None:
        """Let the service go idle; harmless when repeated."""
        if not self._released:
            self._released = True
            self._release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def call(
        self,
        op: ServiceOperation[RequestT, ReplyT],
        req: RequestT | None = None,
        *,
        activate_if_inactive: bool = True,
        no_delay: bool = False,
        timeout: float | None = None,
    ) -> ReplyT:
        """As ``ServiceHandle.call``."""
        return self.handle.call(
            op, req, activate_if_inactive=activate_if_inactive, no_delay=no_delay, timeout=timeout
        )

    def send_oneway(
        self,
        op: ServiceOperation[RequestT, ReplyT],
        req: RequestT | None = None,
        *,
        activate_if_inactive: bool = True,
        no_delay: bool = False,
        timeout: float | None = None,
    ) -> None:
        """As ``ServiceHandle.send_oneway``."""
        self.handle.send_oneway(
            op, req, activate_if_inactive=activate_if_inactive, no_delay=no_delay, timeout=timeout
        )
