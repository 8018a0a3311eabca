"""The host's doors: its own accept loop on TCP addresses and on the local Unix socket."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from paglets.core.errors import HostError
from paglets.remote.wire.acceptor import Acceptor
from paglets.remote.wire.addresses import SOCKET_SUFFIX, host_url
from paglets.remote.wire.control_server import ControlServer, Operation, SubscriptionOperation
from paglets.remote.wire.crowd import Crowd
from paglets.remote.wire.entrance import Entrance
from paglets.remote.wire.gate import Gate
from paglets.remote.wire.reads import Read, ReadTable
from paglets.remote.wire.settings import WireSettings
from paglets.remote.wire.sockets import bind_tcp, bind_unix
from paglets.remote.wire.strangers import SecurityCallback, Strangers, ignore_security
from paglets.remote.wire.stream_server import StreamHandler, StreamServer
from paglets.remote.wire.tasks import TaskSet

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from paglets.core.fair_share import FairShare
    from paglets.remote.wire.peer import Trust

_GOING_AWAY = 1001
_POLICY_VIOLATION = 1008


def _always() -> bool:
    return True


class Listener:
    """Everything that answers for a host: one TCP port on any number of addresses, and a Unix socket.

    ``operations`` is the table of the control links, ``reads`` the one of the GETs (patterns such as
    ``/agents/{agent_id}``), ``streams`` takes transfers. ``security`` hears of everybody who was turned away.
    While ``ready()`` is false, ``/readyz`` answers 503; while ``opened()`` is, the reads do.
    """

    def __init__(
        self,
        trust: Trust,
        *,
        operations: Mapping[str, Operation | SubscriptionOperation],
        reads: Mapping[str, Read],
        streams: StreamHandler,
        security: SecurityCallback = ignore_security,
        opened: Callable[[], bool] = _always,
        ready: Callable[[], bool] = _always,
        settings: WireSettings | None = None,
    ) -> None:
        self.settings = settings or WireSettings()
        self.strangers = Strangers(security, self.settings.security_interval)
        self._tasks = TaskSet()
        self.crowd = Crowd(self.settings)
        """Every opened connection."""
        self._control = ControlServer(operations, self.settings, self.strangers)
        self._streams = StreamServer(
            streams, strangers=self.strangers, tasks=self._tasks, settings=self.settings
        )
        self._gate = Gate(
            trust,
            self._control,
            self._streams,
            ReadTable(reads),
            opened=opened,
            ready=ready,
            strangers=self.strangers,
            crowd=self.crowd,
            tasks=self._tasks,
            settings=self.settings,
        )
        self._entrance = Entrance(trust, self._gate, self.strangers, self._tasks, self.settings)
        self._sockets: list[socket.socket] = []
        self._acceptors: list[Acceptor] = []
        self._socket_path: Path | None = None
        self.port = 0
        """The TCP port, once started."""
        self.urls: tuple[str, ...] = ()
        """One URL for each bound address, the first one first; a wildcard stays as it is."""

    async def start(
        self, binds: Sequence[str] = ("127.0.0.1",), port: int = 0, *, socket_path: Path | None = None
    ) -> None:
        """Bind and accept. ``""`` means every address, IPv4 and IPv6; port 0 a free one, the same on all.

        ``HostError`` naming the address when one cannot be bound; then nothing is.
        """
        if socket_path is not None and socket_path.suffix != SOCKET_SUFFIX:
            raise HostError(f"the local socket must end in {SOCKET_SUFFIX}: {socket_path}")
        try:
            self._sockets = await bind_tcp(binds, port, self.settings.backlog)
            if socket_path is not None:
                self._sockets.append(bind_unix(socket_path, self.settings.backlog))
                self._socket_path = socket_path
        except BaseException:
            self._close_sockets()
            raise
        tcp = [bound.getsockname() for bound in self._sockets if bound.family != socket.AF_UNIX]
        self.port = tcp[0][1] if tcp else 0
        self.urls = tuple(host_url(name[0], name[1]) for name in tcp)
        self._acceptors = [Acceptor(bound, self._entrance.enter) for bound in self._sockets]

    async def close(self, reason: str = "the host stops") -> None:
        """Stop accepting, close every connection politely, cut what does not go within the close timeout."""
        self._close_sockets()
        self._entrance.close()
        await self.crowd.disperse(_GOING_AWAY, reason)
        await self._tasks.close()
        await self._control.settle()
        self.strangers.close()

    def expel(self, host_id: str, reason: str = "its key was revoked") -> None:
        """Close every connection of one peer; whether it may come back is for ``Trust.identify`` to say."""
        self.crowd.expel(host_id, _POLICY_VIOLATION, reason)

    @property
    def connections(self) -> int:
        """How many connections there are: control links, streams, and reads that are being answered."""
        return len(self.crowd)

    @property
    def calls(self) -> int:
        """How many calls of peers are not answered yet."""
        return len(self._control.running)

    @property
    def shares(self) -> tuple[FairShare, ...]:
        """What all peers share: connections, subscriptions, streams, bytes of calls and of answers to reads."""
        control = self._control
        return (
            self.crowd.share,
            control.subscribers,
            self._streams.share,
            control.call_bytes,
            self._gate.read_bytes,
        )

    @property
    def counts(self) -> dict[str, int]:
        """How many were turned away since the start, by reason."""
        return self.strangers.counts

    def _close_sockets(self) -> None:
        for acceptor in self._acceptors:
            acceptor.close()
        self._acceptors.clear()
        for bound in self._sockets:
            bound.close()
        self._sockets.clear()
        if self._socket_path is not None:
            self._socket_path.unlink(missing_ok=True)
            self._socket_path = None
