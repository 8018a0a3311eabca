"""How hosts are found: what a host tells the network, and the hints that come back.

Discovery carries no trust. A hint may cause a dial; the dial's TLS handshake decides who is there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

PROTOCOL_MAJOR = 1
"""The wire's major version, as in the subprotocol name ``paglets.v1``."""


class Advertisement(msgspec.Struct, frozen=True):
    """What a host lets others find."""

    host_id: str
    mesh_id: str
    name: str
    port: int
    urls: tuple[str, ...] = ()
    """Where it listens, the likeliest first; an unspecified address (``0.0.0.0``) means all interfaces."""
    protocol: int = PROTOCOL_MAJOR


class AddressHint(msgspec.Struct, frozen=True):
    """Somewhere a host may be."""

    url: str
    host_id: str = ""
    """Whom to expect there; empty: any member of the mesh."""


class Discovery(Protocol):
    """One way of finding hosts. All methods run on the host's loop, and none waits for the network."""

    async def start(self, advertisement: Advertisement, on_hint: Callable[[AddressHint], None]) -> None:
        """Begin to advertise and to look. ``on_hint`` is called on the loop, any number of times.

        Never raises for the network's sake: without one it starts, and recovers when there is one.
        """
        ...

    async def update(self, advertisement: Advertisement) -> None:
        """Advertise this from now on (another name, another address)."""
        ...

    async def stop(self) -> None:
        """Say goodbye, bounded, and end every task and socket; calling it twice is fine."""
        ...
