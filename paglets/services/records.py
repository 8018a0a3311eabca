"""Who offers which service where."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from paglets.core.errors import SerializationError
from paglets.core.references import PagletProxyRef
from paglets.core.runtime_values import ServiceScope, enum_from_wire, require_enum
from paglets.core.wire_fields import checked

_KINDS = {
    "name": str,
    "proxy": Mapping,
    "capabilities": (list, tuple),
    "metadata": dict,
    "scope": str,
    "host_name": str,
    "host_url": str,
    "advertised_at": (int, float),
    "expires_at": (int, float, type(None)),
}


@dataclass(frozen=True, slots=True)
class ServiceRecord:
    """A paglet's offer of a service. Times are seconds since the epoch, by the offering host's clock."""

    name: str
    proxy: PagletProxyRef
    capabilities: tuple[str, ...] = ()
    metadata: dict[str, Any] = field(default_factory=dict[str, Any])
    scope: ServiceScope = ServiceScope.LOCAL
    host_name: str = ""
    host_url: str = ""
    advertised_at: float = field(default_factory=time.time)
    expires_at: float | None = None
    """None: as long as the paglet is there."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "capabilities", tuple(self.capabilities))
        require_enum(self.scope, ServiceScope, "scope")

    @property
    def expired(self) -> bool:
        """Whether its time is up."""
        return self.expired_at(time.time())

    def expired_at(self, now: float) -> bool:
        """Whether its time is up at ``now``."""
        return self.expires_at is not None and now >= self.expires_at

    def matches(self, name: str | None, capability: str | None = None) -> bool:
        """Whether it has that name (None: any) and, when one is given, that capability."""
        return (name is None or self.name == name) and (capability is None or capability in self.capabilities)

    def to_wire(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "name": self.name,
            "proxy": self.proxy.to_wire(),
            "capabilities": list(self.capabilities),
            "metadata": dict(self.metadata),
            "scope": self.scope.value,
            "host_name": self.host_name,
            "host_url": self.host_url,
            "advertised_at": self.advertised_at,
            "expires_at": self.expires_at,
        }

    @classmethod
    def from_wire(cls, payload: Mapping[str, Any]) -> ServiceRecord:
        """Read what ``to_wire`` wrote; ``SerializationError`` for anything else."""
        values = checked("ServiceRecord", payload, _KINDS, required=("name", "proxy"))
        values["proxy"] = PagletProxyRef.from_wire(values["proxy"])
        capabilities = tuple(values.get("capabilities", ()))
        if not all(isinstance(each, str) for each in capabilities):
            raise SerializationError("ServiceRecord: the field 'capabilities' must be a list of strings")
        values["capabilities"] = capabilities
        if "scope" in values:
            try:
                values["scope"] = enum_from_wire(values["scope"], ServiceScope, "scope")
            except ValueError as error:
                raise SerializationError(f"ServiceRecord: {error}") from None
        return cls(**values)
