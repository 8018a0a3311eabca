"""A real TLS connection over loopback: what each side found, or what it failed with."""

from __future__ import annotations

import socket
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from paglets.remote.trust.tls import MEMBER_SERVER_NAME

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

BOUND = 5.0


@dataclass
class Side:
    """One end of a connection, after it."""

    certificate: bytes | None = None
    """What the other end showed, once verified."""
    error: OSError | None = None
    session_reused: bool | None = None
    session: ssl.SSLSession | None = None
    seen: object = None
    """What ``look`` made of the connection."""


@dataclass
class Meeting:
    server: Side
    client: Side

    @property
    def happened(self) -> bool:
        return self.server.error is None and self.client.error is None


Look = "Callable[[ssl.SSLSocket], object]"


def meet(
    server: ssl.SSLContext,
    client: ssl.SSLContext,
    *,
    look: Callable[[ssl.SSLSocket], object] = lambda connection: None,
    session: ssl.SSLSession | None = None,
) -> Meeting:
    """Connect, say a byte each way, and tell how it went; ``look`` is called at both ends."""
    meeting = Meeting(Side(), Side())
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(BOUND)

        def serve() -> None:
            accepted, _ = listener.accept()
            accepted.settimeout(BOUND)
            _run(accepted, server, meeting.server, look, server_side=True, session=None)

        thread = threading.Thread(target=serve)
        thread.start()
        dialled = socket.create_connection(listener.getsockname(), timeout=BOUND)
        _run(dialled, client, meeting.client, look, server_side=False, session=session)
        thread.join(2 * BOUND)
    return meeting


def _run(
    raw: socket.socket,
    context: ssl.SSLContext,
    side: Side,
    look: Callable[[ssl.SSLSocket], object],
    *,
    server_side: bool,
    session: ssl.SSLSession | None,
) -> None:
    try:
        name = None if server_side else MEMBER_SERVER_NAME
        connection = context.wrap_socket(raw, server_side=server_side, server_hostname=name, session=session)
    except OSError as error:
        side.error = error
        raw.close()
        return
    with connection:
        try:
            # With TLS 1.3 a client learns only from the first bytes whether the server took its certificate.
            connection.sendall(b"x")
            if connection.recv(1) != b"x":
                side.error = ConnectionError("the other end closed")
                return
            side.certificate = connection.getpeercert(binary_form=True)
            side.session_reused = connection.session_reused
            side.session = connection.session
            side.seen = look(connection)
        except OSError as error:
            side.error = error
