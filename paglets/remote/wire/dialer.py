"""Getting through to a host: all its addresses, its certificate, and the key it must show."""

from __future__ import annotations

import asyncio
import ipaddress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, cast

from websockets.client import ClientProtocol
from websockets.http11 import Response
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from paglets.core.errors import AuthenticationError, PagletError, RemoteHostError
from paglets.remote.trust.tls import MEMBER_SERVER_NAME
from paglets.remote.wire.addresses import Endpoint, HostAddress, parse_host_url
from paglets.remote.wire.channel import Channel, Receiver, websocket_logger
from paglets.remote.wire.failures import explain, rejected
from paglets.remote.wire.peer import Peer, PeerKind, Trust
from paglets.remote.wire.quiet import quiet_future
from paglets.remote.wire.settings import STREAM_PATH, SUBPROTOCOL, WireSettings
from paglets.remote.wire.strangers import Refusal, Strangers

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from websockets.http11 import Request


class Dialled(Receiver, Protocol):
    """A receiver of a connection that we opened."""

    def discard(self) -> None:
        """Cut the connection: it is not needed after all."""
        ...


R = TypeVar("R", bound=Dialled)

_MAX_REPORTED = 256
_CLOSE_FRAME_BYTES = 125  # the most that a control frame may hold, RFC 6455, section 5.5


class Dialer:
    """Opens connections to hosts of the mesh."""

    def __init__(self, trust: Trust, strangers: Strangers, settings: WireSettings) -> None:
        self._trust = trust
        self._strangers = strangers
        self._settings = settings
        self._reported: dict[str, None] = {}

    async def open(
        self, address: HostAddress, path: str, max_size: int, receiver: Callable[[Channel, Peer, str], R]
    ) -> R:
        """A WebSocket to ``path`` of that host; ``receiver(channel, peer, url)`` makes what gets messages.

        All URLs of the address are tried, each a little after the one before; the first that gets through
        wins. ``AuthenticationError`` when the host is not of the mesh or not the one that was meant,
        ``RemoteHostError`` when it cannot be reached; both name the host and say why.
        """
        attempts: set[asyncio.Task[R]] = set()
        errors: list[PagletError] = []
        urls = list(address.urls)
        try:
            async with asyncio.timeout(self._settings.dial_timeout):
                while urls or attempts:
                    if urls:
                        work = self._open_one(urls.pop(0), address.host_id, path, max_size, receiver)
                        attempts.add(asyncio.ensure_future(work))
                    delay = self._settings.dial_stagger if urls else None
                    done, attempts = await asyncio.wait(
                        attempts, timeout=delay, return_when=asyncio.FIRST_COMPLETED
                    )
                    for attempt in done:
                        error = attempt.exception()
                        if error is None:
                            return attempt.result()
                        errors.append(explain(address.url, error))
        except TimeoutError:
            errors.append(explain(address.url, TimeoutError()))
        finally:
            await _cancel(attempts)
        raise _worst(errors)

    async def _open_one(
        self,
        url: str,
        host_id: str | None,
        path: str,
        max_size: int,
        receiver: Callable[[Channel, Peer, str], R],
    ) -> R:
        try:
            endpoint = parse_host_url(url)
        except ValueError as error:
            raise RemoteHostError(str(error)) from None
        opening = _Opening(url, max_size, receiver, bulk=path == STREAM_PATH)
        channel = Channel(_protocol(endpoint, path), opening, self._settings)
        try:
            peer = await self._connect(channel, endpoint, url, host_id)
            return await opening.shake_hands(channel, peer)
        except OSError as error:
            explained = explain(url, error)
            if isinstance(explained, AuthenticationError):
                self._report_foreign(url, str(explained))
            raise explained from None
        except BaseException:
            if channel.is_connected:
                channel.abort()
            raise

    def _report_foreign(self, url: str, reason: str) -> None:
        """Once for each URL: it is dialled again and again, and stays what it is."""
        if url not in self._reported:
            self._reported[url] = None
            if len(self._reported) > _MAX_REPORTED:
                del self._reported[next(iter(self._reported))]
            self._strangers.refuse(Refusal.FOREIGN_CERTIFICATE, url, reason)

    async def _connect(self, channel: Channel, endpoint: Endpoint, url: str, host_id: str | None) -> Peer:
        """TCP, TLS, and the decision about who is there."""
        loop = asyncio.get_running_loop()
        if endpoint.path:
            if host_id:
                # Else a host could send others to a socket where they are trusted as its owner's own processes.
                raise AuthenticationError(
                    f"{url} is a local socket, which does not show that it is {host_id}"
                )
            await loop.create_unix_connection(lambda: channel, endpoint.path)
            return Peer(PeerKind.LOCAL, address=url)
        await loop.create_connection(
            lambda: channel,
            endpoint.host,
            endpoint.port,
            ssl=self._trust.client_context(),
            server_hostname=MEMBER_SERVER_NAME,  # names prove nothing here; keys do
            happy_eyeballs_delay=self._race(endpoint.host),
            ssl_handshake_timeout=self._settings.dial_timeout,
            ssl_shutdown_timeout=self._settings.close_timeout,
        )
        tls = cast("ssl.SSLObject", channel.transport.get_extra_info("ssl_object"))
        return self.check(tls.getpeercert(binary_form=True), url, host_id)

    def _race(self, host: str) -> float | None:
        """How long one address of a name is tried alone; None where there is but one.

        asyncio (3.11) forgets the socket of a race that is cancelled, so there is none without need.
        """
        try:
            ipaddress.ip_address(host.partition("%")[0])
        except ValueError:
            return self._settings.dial_stagger
        return None

    async def connect_plain(
        self, address: HostAddress, *, limit: int
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """An authenticated connection to the first URL of that host, for one HTTP exchange."""
        try:
            endpoint = parse_host_url(address.url)
        except ValueError as error:
            raise RemoteHostError(str(error)) from None
        if endpoint.path:
            if address.host_id:
                raise AuthenticationError(f"{address.url} is a local socket, which shows no key")
            return await asyncio.open_unix_connection(endpoint.path, limit=limit)
        reader, writer = await asyncio.open_connection(
            endpoint.host,
            endpoint.port,
            limit=limit,
            ssl=self._trust.client_context(),
            server_hostname=MEMBER_SERVER_NAME,
            happy_eyeballs_delay=self._race(endpoint.host),
            ssl_handshake_timeout=self._settings.dial_timeout,
            ssl_shutdown_timeout=self._settings.close_timeout,
        )
        try:
            tls = cast("ssl.SSLObject", writer.get_extra_info("ssl_object"))
            self.check(tls.getpeercert(binary_form=True), address.url, address.host_id)
        except BaseException:
            writer.transport.abort()
            raise
        return reader, writer

    def check(self, certificate: bytes | None, url: str, host_id: str | None) -> Peer:
        """Who showed this certificate at ``url``; ``AuthenticationError`` unless it is the one meant."""
        if not certificate:
            raise AuthenticationError(f"the host at {url} shows no certificate")
        try:
            found = self._trust.identify(certificate)
        except PagletError as error:
            self._strangers.refuse(Refusal.FOREIGN_CERTIFICATE, url, str(error))
            raise
        if found.kind is not PeerKind.MEMBER:
            raise AuthenticationError(f"what answers at {url} has a certificate, but not that of a host")
        if host_id and found.host_id != host_id:
            message = f"the host at {url} is {found.host_id}, not {host_id}"
            self._strangers.refuse(Refusal.WRONG_HOST, url, message)
            raise AuthenticationError(message)
        return Peer(found.kind, found.host_id, found.name, url)


class _Opening(Generic[R]):
    """The WebSocket handshake from the calling side."""

    def __init__(
        self, url: str, max_size: int, receiver: Callable[[Channel, Peer, str], R], *, bulk: bool
    ) -> None:
        self._url = url
        self._max_size = max_size
        self._bulk = bulk
        self._receiver = receiver
        self._opened: asyncio.Future[R] = quiet_future()
        self._peer: Peer

    async def shake_hands(self, channel: Channel, peer: Peer) -> R:
        """Ask for the upgrade and wait for it."""
        self._peer = peer
        channel.send_request()
        return await self._opened

    def opened(self, channel: Channel, message: Request | Response) -> None:
        """The answer is here."""
        if not isinstance(message, Response) or self._opened.done():
            channel.abort()
        elif message.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
            self._opened.set_exception(rejected(self._url, message))
        elif channel.protocol.handshake_exc is not None:
            self._opened.set_exception(explain(self._url, channel.protocol.handshake_exc))
        elif channel.protocol.subprotocol != SUBPROTOCOL:
            channel.attach(_Farewell(self._url, self._opened), max_size=_CLOSE_FRAME_BYTES)
        else:
            receiver = self._receiver(channel, self._peer, self._url)
            channel.attach(receiver, max_size=self._max_size, bulk=self._bulk)
            self._opened.set_result(receiver)

    def failed(self, error: Exception | None) -> None:
        """The connection ended before there was an answer."""
        if not self._opened.done():
            cause = error.__cause__ if error is not None and error.__cause__ is not None else error
            self._opened.set_exception(explain(self._url, cause))


class _Farewell:
    """Waits for a host of another version to say why it hangs up."""

    def __init__(self, url: str, opened: asyncio.Future[Any]) -> None:
        self._url = url
        self._opened = opened

    def message_received(self, data: bytes, *, text: bool) -> None:
        """Nothing is expected."""

    def writable(self) -> None:
        """Nothing is sent."""

    def connection_closed(self, reason: str) -> None:
        """This is the reason."""
        if not self._opened.done():
            self._opened.set_exception(
                RemoteHostError(f"the host at {self._url} speaks another version: {reason}")
            )


def _protocol(endpoint: Endpoint, path: str) -> ClientProtocol:
    host = f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host
    uri = f"ws://localhost{path}" if endpoint.path else f"wss://{host}:{endpoint.port}{path}"
    return ClientProtocol(
        parse_uri(uri),
        subprotocols=[Subprotocol(SUBPROTOCOL)],
        max_size=_CLOSE_FRAME_BYTES,
        logger=websocket_logger,
    )


async def _cancel(attempts: set[asyncio.Task[R]]) -> None:
    """End the attempts that came too late; one that got through all the same is cut."""
    for attempt in attempts:
        attempt.cancel()
    if not attempts:
        return
    await asyncio.wait(attempts)
    for attempt in attempts:
        if not attempt.cancelled() and attempt.exception() is None:
            attempt.result().discard()


def _worst(errors: list[PagletError]) -> PagletError:
    """One error that stands for all: a wrong key is worse than no answer."""
    chosen = next((error for error in errors if isinstance(error, AuthenticationError)), errors[0])
    for error in errors:
        if error is not chosen and str(error) != str(chosen):
            chosen.add_note(str(error))
    return chosen
