"""Between ``accept`` and knowing who it is: bounded in number and in time, and every failure counted."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import struct
from typing import TYPE_CHECKING

from websockets.http11 import Request
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from paglets.remote.wire.channel import Channel, websocket_logger
from paglets.remote.wire.peer import Peer, PeerKind
from paglets.remote.wire.settings import SUBPROTOCOL, WireSettings
from paglets.remote.wire.strangers import Refusal, Strangers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from websockets.http11 import Response

    from paglets.remote.wire.gate import Gate
    from paglets.remote.wire.peer import Trust
    from paglets.remote.wire.tasks import TaskSet


class Entrance:
    """Takes accepted sockets through the TLS handshake and the opening request."""

    def __init__(
        self, trust: Trust, gate: Gate, strangers: Strangers, tasks: TaskSet, settings: WireSettings
    ) -> None:
        self.gate = gate
        self.strangers = strangers
        self.settings = settings
        self._trust = trust
        self._tasks = tasks
        self._pending: dict[Visit, None] = {}  # in order of arrival

    def enter(self, accepted: socket.socket) -> None:
        """Begin with a socket that was just accepted; returns at once."""
        local = accepted.family == socket.AF_UNIX
        address = "local socket" if local else _address_of(accepted)
        if local and not _same_user(accepted):
            self.strangers.refuse(Refusal.WRONG_USER, address, "another user's process")
            accepted.close()
            return
        if len(self._pending) >= self.settings.max_pending:
            next(iter(self._pending)).drop(
                Refusal.TOO_MANY, "too many connections that do not say who they are"
            )
        accepted.settimeout(0)
        visit = Visit(self, accepted, address, Peer(PeerKind.LOCAL, address=address) if local else None)
        self._pending[visit] = None
        self._tasks.start(visit.run(None if local else self._trust.server_context()))

    def leave(self, visit: Visit) -> None:
        """The visit is over: admitted, answered or refused."""
        self._pending.pop(visit, None)

    def close(self) -> None:
        """Drop who has not come in yet."""
        for visit in tuple(self._pending):
            visit.drop(None, "")


class Visit:
    """One connection until it has asked for something."""

    def __init__(self, entrance: Entrance, accepted: socket.socket, address: str, local: Peer | None) -> None:
        self.address = address
        self._entrance = entrance
        self._accepted = accepted
        self._local = local
        self._asked: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._task: asyncio.Task[None] | None = None
        self._channel: Channel | None = None

    async def run(self, context: ssl.SSLContext | None) -> None:
        """The TLS handshake, then the wait for the request; over when that was answered or time is up."""
        if self._asked.done():
            return  # dropped before its turn came
        self._task = asyncio.current_task()
        came_in = False
        try:
            came_in = await self._shake_hands(context) and await self._ask()
        finally:
            self._entrance.leave(self)
            if not came_in:
                self._turn_away()

    def drop(self, reason: Refusal | None, detail: str) -> None:
        """End it now."""
        if reason is not None:
            self._refuse(reason, detail)
        self._entrance.leave(self)
        if self._task is not None:
            self._task.cancel()
        else:
            self._turn_away()

    def _turn_away(self) -> None:
        self._asked.cancel()  # how it ends now is nobody's mistake
        if self._channel is not None and self._channel.is_connected:
            # A cancelled handshake may be a finished one, which asyncio then ends politely: for as long as that
            # takes it reads from that number, so the socket is not ours to close.
            self._channel.abort()
        else:
            self._accepted.close()

    async def _ask(self) -> bool:
        """Whether it asks for something in time, or has left."""
        await asyncio.wait([self._asked], timeout=self._entrance.settings.handshake_timeout)
        if not self._asked.done():
            self._refuse(Refusal.HANDSHAKE_TIMEOUT, "asked for nothing in time")
        return self._asked.done()

    async def _shake_hands(self, context: ssl.SSLContext | None) -> bool:
        settings = self._entrance.settings
        tls_timeout = None if context is None else settings.handshake_timeout
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                self._make_channel,
                self._accepted,
                ssl=context,
                ssl_handshake_timeout=tls_timeout,
                ssl_shutdown_timeout=None if context is None else settings.read_timeout,
            )
        except ssl.SSLError as error:
            self._refuse(*_explain(error))
        except ConnectionAbortedError:  # what asyncio makes of a handshake that took too long
            self._refuse(Refusal.HANDSHAKE_TIMEOUT, "the TLS handshake took too long")
        except OSError as error:
            why = str(error) or "as those do who do not trust this host's certificate"
            self._refuse(Refusal.DISCONNECTED, f"left during the TLS handshake: {why}")
        else:
            return True
        return False

    def _make_channel(self) -> Channel:
        protocol = ServerProtocol(
            subprotocols=[Subprotocol(SUBPROTOCOL)],
            select_subprotocol=_select_subprotocol,
            max_size=0,
            logger=websocket_logger,
        )
        self._channel = Channel(protocol, self, self._entrance.settings)
        return self._channel

    # --- Opener --------------------------------------------------------------------------------------

    def opened(self, channel: Channel, message: Request | Response) -> None:
        """The request is here."""
        if isinstance(message, Request) and not self._asked.done():
            self._asked.set_result(None)
            self._entrance.leave(self)
            self._entrance.gate.admit(channel, message, self.address, self._local)

    def failed(self, error: Exception | None) -> None:
        """Gone, or no HTTP, before there was a request."""
        if not self._asked.done():
            self._asked.set_result(None)
            if isinstance(error, OSError) and not isinstance(error, ssl.SSLError):
                self._refuse(Refusal.DISCONNECTED, f"left before it asked for anything: {error}")
            elif isinstance(error, ssl.SSLError):
                self._refuse(*_explain(error))
            elif error is not None and not isinstance(error.__cause__, EOFError):
                self._refuse(Refusal.GARBAGE, f"no HTTP request: {error.__cause__ or error}")
            else:
                self._refuse(Refusal.DISCONNECTED, "left before it asked for anything")

    def _refuse(self, reason: Refusal, detail: str) -> None:
        self._entrance.strangers.refuse(reason, self.address, detail)


def _select_subprotocol(_: ServerProtocol, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    return Subprotocol(SUBPROTOCOL) if SUBPROTOCOL in offered else None


def _explain(error: ssl.SSLError) -> tuple[Refusal, str]:
    reason = error.reason or ""
    if isinstance(error, ssl.SSLCertVerificationError):
        return Refusal.FOREIGN_CERTIFICATE, error.verify_message
    if reason in {"HTTP_REQUEST", "HTTPS_PROXY_REQUEST"}:
        return Refusal.PLAIN_HTTP, "spoke plain HTTP to the TLS port"
    if "CERTIFICATE" in reason or "UNKNOWN_CA" in reason:
        return Refusal.FOREIGN_CERTIFICATE, reason
    return Refusal.GARBAGE, reason or str(error)


def _same_user(accepted: socket.socket) -> bool:
    """Whether the process at the other end runs as our user or root, ``SO_PEERCRED`` in unix(7)."""
    credentials = accepted.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, user, _ = struct.unpack("3i", credentials)
    return user in {0, os.geteuid()}


def _address_of(accepted: socket.socket) -> str:
    try:
        name = accepted.getpeername()
    except OSError:
        return "a peer that has left"
    return f"[{name[0]}]:{name[1]}" if ":" in name[0] else f"{name[0]}:{name[1]}"
