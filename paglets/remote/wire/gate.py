"""What happens to one accepted connection: who is it, what does it ask for, and may it."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, cast

from paglets.core.errors import AuthenticationError, ForbiddenError, HostError, PagletError
from paglets.core.fair_share import FairShare
from paglets.remote.wire.peer import Peer, Trust
from paglets.remote.wire.reads import ReadTable, answer_read, error_response, json_response
from paglets.remote.wire.settings import CONTROL_PATH, STREAM_PATH, SUBPROTOCOL
from paglets.remote.wire.strangers import Refusal, Strangers

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from websockets.http11 import Request, Response
    from websockets.server import ServerProtocol

    from paglets.remote.wire.channel import Channel
    from paglets.remote.wire.control_server import ControlServer
    from paglets.remote.wire.crowd import Crowd
    from paglets.remote.wire.settings import WireSettings
    from paglets.remote.wire.stream_server import StreamServer
    from paglets.remote.wire.tasks import TaskSet

VERSION_MISMATCH = 4001
"""Close code for a peer of another major version."""


class Gate:
    """Decides about opened connections; shared by all listening sockets of a host."""

    def __init__(
        self,
        trust: Trust,
        control: ControlServer,
        streams: StreamServer,
        reads: ReadTable,
        *,
        opened: Callable[[], bool],
        ready: Callable[[], bool],
        strangers: Strangers,
        crowd: Crowd,
        tasks: TaskSet,
        settings: WireSettings,
    ) -> None:
        self._trust = trust
        self._control = control
        self._streams = streams
        self._reads = reads
        self._opened = opened
        self._ready = ready
        self._strangers = strangers
        self._crowd = crowd
        self._tasks = tasks
        self._settings = settings
        self.read_bytes = FairShare("bytes of answers to reads", settings.max_responses_bytes)
        """Answers that their readers have not taken yet, by peer."""

    def admit(self, channel: Channel, request: Request, address: str, local: Peer | None) -> None:
        """Answer the request that opens a connection, or upgrade it."""
        try:
            peer = local or self._identify(channel, address)
        except PagletError as error:
            reason = Refusal.REVOKED if isinstance(error, ForbiddenError) else Refusal.FOREIGN_CERTIFICATE
            self._strangers.refuse(reason, address, str(error))
            self._respond(channel, error_response(HTTPStatus.FORBIDDEN, error))
            return
        if not self._crowd.join(channel, peer):
            self._strangers.refuse(
                Refusal.TOO_MANY, address, f"{peer.name if peer else 'strangers'}: too many connections"
            )
            self._respond(
                channel, error_response(HTTPStatus.SERVICE_UNAVAILABLE, HostError("too many connections"))
            )
            return
        if request.method != "GET":
            self._strangers.refuse(Refusal.BAD_METHOD, address, request.method[:20])
            response = error_response(HTTPStatus.METHOD_NOT_ALLOWED, HostError("only GET is answered here"))
            response.headers["Allow"] = "GET"
            self._respond(channel, response)
            return
        path = request.path.partition("?")[0]
        if path in {"/healthz", "/readyz"}:
            self._respond(channel, self._probe(path))
        elif peer is None:
            self._strangers.refuse(Refusal.NO_CERTIFICATE, address, f"asked for {path[:100]}")
            error = AuthenticationError("a certificate of this mesh is needed here")
            self._respond(channel, error_response(HTTPStatus.UNAUTHORIZED, error))
        elif path in {CONTROL_PATH, STREAM_PATH}:
            self._upgrade(channel, request, path, peer)
        elif not self._opened():
            error = HostError("the host is starting or stopping; ask again")
            self._respond(channel, error_response(HTTPStatus.SERVICE_UNAVAILABLE, error))
        else:
            self._tasks.start(self._serve_read(channel, request.path, peer))

    def _identify(self, channel: Channel, address: str) -> Peer | None:
        tls = cast("ssl.SSLObject | None", channel.transport.get_extra_info("ssl_object"))
        certificate = tls.getpeercert(binary_form=True) if tls is not None else None
        if not certificate:
            return None
        found = self._trust.identify(certificate)
        return Peer(found.kind, found.host_id, found.name, address)

    def _probe(self, path: str) -> Response:
        if path == "/healthz" or self._ready():
            return json_response(HTTPStatus.OK, b'{"ok":true}')
        return json_response(HTTPStatus.SERVICE_UNAVAILABLE, b'{"ok":false}')

    async def _serve_read(self, channel: Channel, resource: str, peer: Peer) -> None:
        response = await answer_read(self._reads, resource, peer, self._settings)
        key, size = peer.share_key, len(response.body)
        if channel.is_gone:
            return
        if not self.read_bytes.take(key, size):
            error = HostError(
                f"{self.read_bytes.held(key)} bytes of answers wait for you to read them; read those, and ask again"
            )
            self._respond(channel, error_response(HTTPStatus.SERVICE_UNAVAILABLE, error))
            return
        channel.when_closed(lambda: self.read_bytes.give_back(key, size))
        self._respond(channel, response)

    def _respond(self, channel: Channel, response: Response) -> None:
        if not channel.is_gone:
            cast("ServerProtocol", channel.protocol).send_response(response)
            channel.finish_response()

    def _upgrade(self, channel: Channel, request: Request, path: str, peer: Peer) -> None:
        protocol = cast("ServerProtocol", channel.protocol)
        response = protocol.accept(request)
        self._respond(channel, response)
        if response.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
            return
        if protocol.subprotocol != SUBPROTOCOL:
            offered = ", ".join(request.headers.get_all("Sec-WebSocket-Protocol"))[:60] or "nothing"
            reason = f"this host speaks {SUBPROTOCOL}, you offered {offered}"
            self._strangers.refuse(Refusal.VERSION, peer.address, f"{peer.name}: {reason}")
            channel.close(VERSION_MISMATCH, reason)
            return
        if path == CONTROL_PATH:
            self._control.connect(channel, peer)
        else:
            self._streams.connect(channel, peer)
