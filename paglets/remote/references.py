"""A paglet's address as a value that can be kept in a state or sent in a message."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from paglets.core.wire_fields import checked

if TYPE_CHECKING:
    from collections.abc import Mapping

    from paglets.remote.proxy import PagletProxy, ProxySource


@dataclass(frozen=True, slots=True)
class PagletProxyRef:
    """Where a paglet was last seen; ``resolve`` makes a proxy of it."""

    host_url: str
    agent_id: str

    @classmethod
    def from_proxy(cls, proxy: PagletProxy) -> PagletProxyRef:
        """The address that a proxy has now."""
        return cls(proxy.host_url, proxy.agent_id)

    def to_wire(self) -> dict[str, str]:
        """``{"host_url", "agent_id"}``."""
        return {"host_url": self.host_url, "agent_id": self.agent_id}

    @classmethod
    def from_wire(cls, payload: Mapping[str, Any]) -> PagletProxyRef:
        """Read what ``to_wire`` wrote; unknown fields are ignored, ``SerializationError`` for anything else."""
        fields = checked(
            "PagletProxyRef", payload, {"host_url": str, "agent_id": str}, required=("host_url", "agent_id")
        )
        return cls(**fields)

    def resolve(self, context_or_client: ProxySource | None = None) -> PagletProxy:
        """A proxy that calls through a paglet's context, a host, or a client.

        Without one the proxy can be kept and compared, and raises ``HostError`` when it is used.
        """
        from paglets.remote.proxy import make_proxy  # noqa: PLC0415 - proxies know references, too

        return make_proxy(self.host_url, self.agent_id, context_or_client)
