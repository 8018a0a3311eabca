"""A paglet's address as a value that can be kept in a state or sent in a message."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from paglets.core.context import PagletContext
from paglets.core.errors import HostError
from paglets.core.wire_fields import checked

if TYPE_CHECKING:
    from collections.abc import Mapping

    from paglets.remote.proxy import PagletProxy


class ProxyMaker(Protocol):
    """A host, or a client such as ``HostClient``."""

    def proxy_for(self, host_url: str, agent_id: str) -> PagletProxy:
        """A handle to a paglet; nobody is asked."""
        ...


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
        """Read what ``to_wire`` wrote; unknown fields are ignored, ``SerializationError`` for the rest."""
        kinds = {"host_url": str, "agent_id": str}
        return cls(**checked("PagletProxyRef", payload, kinds, required=kinds))

    def resolve(self, context_or_client: PagletContext | ProxyMaker | None = None) -> PagletProxy:
        """A proxy that calls through a paglet's context, a host, or a client; nobody is asked yet.

        ``HostError`` without any: an address alone has nothing to call through.
        """
        if context_or_client is None:
            raise HostError(f"the address of {self.agent_id} can be resolved with a context or a client only")
        maker = context_or_client.host if isinstance(context_or_client, PagletContext) else context_or_client
        return maker.proxy_for(self.host_url, self.agent_id)
