"""What tests ask hosts and paglets about messages that wait."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from paglets.core.messages import Message
from paglets.remote import outbox_api as api

if TYPE_CHECKING:
    from paglets.remote.proxy import PagletProxy
    from paglets.runtime.host import Host


def call(host: Host, method: str, params: msgspec.Struct) -> Any:
    """An operation of a host."""
    return msgspec.json.decode(host.client.call(host.address, method, params, timeout=10.0))


def outbox(host: Host) -> list[dict[str, Any]]:
    """What waits in a host's outbox."""
    return call(host, api.OUTBOX_LIST, api.NumberedListParams())["messages"]


def dead_letters(host: Host) -> list[dict[str, Any]]:
    """The dead letters of a host."""
    return call(host, api.DEAD_LETTERS_LIST, api.NumberedListParams())["dead_letters"]


def note(value: Any) -> Message:
    """A message that ``Lister`` writes down."""
    return Message("note", {"value": value})


def items(proxy: PagletProxy) -> list[Any]:
    """What a ``Lister`` has written down."""
    return proxy.send(Message("items"), timeout=20.0)


def seen_from(host: Host, proxy: PagletProxy) -> PagletProxy:
    """The same paglet, for a program that embeds that host."""
    return host.proxy_for(proxy.host_url, proxy.agent_id)
