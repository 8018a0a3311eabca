"""The links between hosts of one program: which may be dialled, and which are cut.

Hosts dial through their event loop, so that is where the cable can be pulled: everything else about a host - its
port, its TLS, its certificates, its pool of connections - is as it always is.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from paglets.testing.network.links import Links

if TYPE_CHECKING:
    from collections.abc import Callable

ProtocolT = TypeVar("ProtocolT", bound=asyncio.BaseProtocol)

_CUT_SECONDS = 10.0


class _Wire(NamedTuple):
    """A connection that was dialled."""

    source: str
    port: int
    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport


class Switchboard:
    """Knows hosts by their ports. Any thread may call, but for ``cut`` no loop's own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._links = Links[str]()
        self._names: dict[int, str] = {}
        self._wires: list[_Wire] = []

    def register(self, name: str, port: int) -> None:
        """That host listens there."""
        with self._lock:
            self._names[port] = name

    def is_up(self, a: str, b: str) -> bool:
        """Whether the link between the two works."""
        with self._lock:
            return self._links.is_up(a, b)

    def cut(self, a: str, b: str) -> None:
        """Break every connection between the two, and let none be made; returns when they are broken."""
        with self._lock:
            self._links.cut(a, b)
            broken = [wire for wire in self._wires if self._is_between(wire, {a, b})]
        for wire in broken:
            _abort(wire)

    def heal(self, a: str, b: str) -> None:
        """Connections may be made again."""
        with self._lock:
            self._links.heal(a, b)

    def may_dial(self, source: str, port: int) -> bool:
        """Whether that host reaches who listens there; ports of strangers it does."""
        with self._lock:
            return self._links.is_up(source, self._names.get(port, source))

    def keep(self, source: str, port: int, transport: asyncio.Transport) -> None:
        """Know a connection that was dialled on the running loop."""
        wire = _Wire(source, port, asyncio.get_running_loop(), transport)
        with self._lock:
            self._wires = [wire, *(known for known in self._wires if not known.transport.is_closing())]

    def _is_between(self, wire: _Wire, ends: set[str]) -> bool:
        return {wire.source, self._names.get(wire.port, wire.source)} == ends


class SwitchedEventLoop(asyncio.SelectorEventLoop):
    """The loop of one host. It dials as the switchboard lets it."""

    def __init__(self, name: str, switchboard: Switchboard) -> None:
        super().__init__()
        self._name = name
        self._switchboard = switchboard

    async def create_connection(
        self, protocol_factory: Callable[[], ProtocolT], host: Any = None, port: Any = None, **options: Any
    ) -> tuple[asyncio.Transport, ProtocolT]:
        """See ``asyncio.loop.create_connection``; ``ConnectionRefusedError`` where the link is cut."""
        if not isinstance(port, int):
            return await super().create_connection(protocol_factory, host, port, **options)
        self._require_link(port)
        transport, protocol = await super().create_connection(protocol_factory, host, port, **options)
        self._switchboard.keep(self._name, port, transport)
        try:
            self._require_link(port)  # it may have been cut meanwhile
        except BaseException:
            transport.abort()
            raise
        return transport, protocol

    def _require_link(self, port: int) -> None:
        if not self._switchboard.may_dial(self._name, port):
            raise ConnectionRefusedError(f"the link of {self._name} to port {port} is cut")


def _abort(wire: _Wire) -> None:
    done = threading.Event()

    def abort() -> None:
        wire.transport.abort()
        done.set()

    try:
        wire.loop.call_soon_threadsafe(abort)
    except RuntimeError:  # that host has stopped
        return
    done.wait(_CUT_SECONDS)
