"""Every connection that one event loop has to other hosts: control links, stream connections, reads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from paglets.core.errors import RemoteHostError
from paglets.remote.wire.bulk_stream import BulkStream
from paglets.remote.wire.dialer import Dialer
from paglets.remote.wire.failures import HostAwayError
from paglets.remote.wire.frames import encode_value
from paglets.remote.wire.http_get import fetch
from paglets.remote.wire.link import Link, Receive
from paglets.remote.wire.peer import PeerKind
from paglets.remote.wire.quiet import look_away
from paglets.remote.wire.settings import CONTROL_PATH, STREAM_PATH, WireSettings
from paglets.remote.wire.strangers import SecurityCallback, Strangers, ignore_security
from paglets.remote.wire.stream_client import OutgoingStream
from paglets.remote.wire.tasks import TaskSet

if TYPE_CHECKING:
    import msgspec

    from paglets.remote.wire.addresses import HostAddress
    from paglets.remote.wire.channel import Channel
    from paglets.remote.wire.peer import Peer, Trust
    from paglets.remote.wire.pending import Pending

Hello = Callable[[Link], Awaitable[None]]
"""Run first on each new link to a host, before any other call; what it raises makes the link unusable."""


class LinkPool:
    """Connections on demand: a shared control link for each host, and streams, kept for the next transfer.

    Belongs to the loop on which it is made. Idle connections are closed, their number is bounded.
    """

    def __init__(
        self,
        trust: Trust,
        *,
        hello: Hello | None = None,
        security: SecurityCallback = ignore_security,
        settings: WireSettings | None = None,
    ) -> None:
        self.settings = settings or WireSettings()
        self.strangers = Strangers(security, self.settings.security_interval)
        self._dialer = Dialer(trust, self.strangers, self.settings)
        self._hello = hello
        self._links: set[Link] = set()
        self._by_host: dict[str, Link] = {}  # by host id, for whoever knows whom it calls
        self._by_url: dict[str, Link] = {}  # by the URL they were reached at, for whoever does not
        self._dialling: dict[str, asyncio.Task[Link]] = {}
        self._idle_streams: dict[str, list[OutgoingStream]] = {}
        self._busy_streams: set[OutgoingStream | BulkStream] = set()
        self._queued: dict[str, int] = {}  # calls that wait for a link, by whom they are for
        self._tasks = TaskSet()
        self._sweeper: asyncio.TimerHandle | None = None
        self._closed = False

    # --- calls ---------------------------------------------------------------------------------------

    async def call(
        self, address: HostAddress, method: str, params: msgspec.Struct, *, timeout: float | None = None
    ) -> bytes:
        """Call an operation of a host; its raw JSON result.

        Raises the ``PagletError`` that the host reports, ``AuthenticationError`` when it is not the host that
        was meant, ``RemoteHostError`` naming the host when it cannot be reached or does not answer in time.
        ``timeout`` (seconds) covers dialling too.
        """
        return await self.begin(address, method, encode_value(params), timeout)

    def begin(
        self, address: HostAddress, method: str, params: bytes, timeout: float | None = None
    ) -> Pending[bytes]:
        """As ``call`` with parameters that are JSON already; sent in the order of these calls.

        Sent now, when the link is open and nobody waits for it. May raise what ``call`` raises.
        """
        answer = self.begin_now(address, method, params, timeout)
        if answer is not None:
            return answer
        self._require_open(address)
        key = _key(address)
        if self._queued.get(key, 0) >= self.settings.max_waiting_calls:
            raise RemoteHostError(f"too many calls wait for the host at {address.url}")
        self._queued[key] = self._queued.get(key, 0) + 1
        return self._tasks.outcome_of(self._call_later(address, method, params, timeout))

    async def _call_later(
        self, address: HostAddress, method: str, params: bytes, timeout: float | None
    ) -> bytes:
        key, begun = _key(address), asyncio.get_running_loop().time()
        try:
            link = await self._link_in_time(address, timeout)
            await link.room()
            if timeout is not None:
                timeout -= asyncio.get_running_loop().time() - begun
            answer = link.call_soon(method, params, timeout)
        finally:
            self._queued[key] -= 1
            if not self._queued[key]:
                del self._queued[key]
        return await answer

    def begin_now(
        self, address: HostAddress, method: str, params: bytes, timeout: float | None = None
    ) -> Pending[bytes] | None:
        """As ``begin``, if a call can be sent now, behind all that came before; else None, and nothing was done."""
        link = self._find(address)
        if link is None or not link.is_ready or (self._queued and _key(address) in self._queued):
            return None
        return link.call_soon(method, params, timeout)

    def under_way(self, address: HostAddress) -> int:
        """Calls of that host that wait for an answer."""
        link = self._find(address)
        return 0 if link is None else link.under_way

    def discard_links(self) -> None:
        """Cut every link: what it was doing was interrupted. Calls that wait fail; the next ones dial anew."""
        for link in self._links:
            link.discard()

    def _require_open(self, address: HostAddress) -> None:
        if self._closed:
            raise RemoteHostError(f"cannot reach {address.url}: this client is closed")

    def _find(self, address: HostAddress) -> Link | None:
        if address.host_id:
            return self._by_host.get(address.host_id)
        return self._by_url.get(address.url)

    async def subscribe(
        self,
        address: HostAddress,
        method: str,
        params: msgspec.Struct,
        receive: Receive,
        *,
        timeout: float | None = None,
    ) -> Callable[[], None]:
        """Start a subscription on a host's link; see ``Link.subscribe``."""
        return await (await self._link_in_time(address, timeout)).subscribe(
            method, params, receive, timeout=timeout
        )

    async def link(self, address: HostAddress) -> Link:
        """The open link to a host, dialled when there is none."""
        self._require_open(address)
        link = self._find(address)
        if link is not None and link.is_open:
            return link
        key = _key(address)
        dialling = self._dialling.get(key)
        if dialling is None:
            self._make_room()
            dialling = asyncio.ensure_future(self._dial(address))
            self._dialling[key] = dialling
            dialling.add_done_callback(lambda done: self._dialled(key, done))
        return await asyncio.shield(dialling)

    async def fetch(self, address: HostAddress, resource: str, *, timeout: float = 10.0) -> bytes:
        """GET ``resource`` (path and query) of a host: the JSON body. Errors are raised as by ``call``."""
        return await fetch(self._dialer, address, resource, timeout, self.settings)

    # --- streams -------------------------------------------------------------------------------------

    @asynccontextmanager
    async def stream(self, address: HostAddress) -> AsyncGenerator[OutgoingStream]:
        """A connection for one transfer. Kept for the next one after a verdict, cut otherwise."""
        stream = self._idle_stream(address) or await self._open_stream(address)
        self._busy_streams.add(stream)
        try:
            yield stream
        finally:
            self._busy_streams.discard(stream)
            self._put_back(address, stream)

    @asynccontextmanager
    async def bulk(self, address: HostAddress) -> AsyncGenerator[BulkStream]:
        """A connection of its own for an artifact or files; cut when the caller leaves with an error."""
        self._require_open(address)
        stream = await self._dialer.open(
            address, STREAM_PATH, self.settings.max_header_bytes, self._make_bulk_stream
        )
        self._busy_streams.add(stream)
        try:
            yield stream
        except BaseException:
            stream.discard()
            raise
        finally:
            stream.close()
            stream.when_closed(lambda: self._busy_streams.discard(stream))

    def _make_bulk_stream(self, channel: Channel, peer: Peer, url: str) -> BulkStream:
        return BulkStream(channel, peer, url, self.settings.stream_idle_timeout)

    def _idle_stream(self, address: HostAddress) -> OutgoingStream | None:
        idle = self._idle_streams.get(_key(address), [])
        while idle:
            stream = idle.pop()
            if stream.is_open:
                return stream.renew()
        return None

    async def _open_stream(self, address: HostAddress) -> OutgoingStream:
        self._require_open(address)
        return await self._dialer.open(
            address, STREAM_PATH, self.settings.max_header_bytes, self._make_stream
        )

    def _make_stream(self, channel: Channel, peer: Peer, url: str) -> OutgoingStream:
        return OutgoingStream(channel, peer, url, self.settings.stream_idle_timeout)

    def _put_back(self, address: HostAddress, stream: OutgoingStream) -> None:
        idle = self._idle_streams.setdefault(_key(address), [])
        if self._closed or not stream.is_reusable or len(idle) >= self.settings.max_idle_streams:
            stream.discard()
            return
        stream.rest()
        idle.append(stream)
        self._sweep_later()

    # --- dialling ------------------------------------------------------------------------------------

    async def _link_in_time(self, address: HostAddress, timeout: float | None) -> Link:
        try:
            async with asyncio.timeout(timeout):
                return await self.link(address)
        except TimeoutError:
            raise HostAwayError(f"the host at {address.url} did not answer in time") from None

    async def _dial(self, address: HostAddress) -> Link:
        link = await self._dialer.open(
            address, CONTROL_PATH, self.settings.max_control_frame, self._make_link
        )
        try:
            if self._hello is not None and link.peer.kind is PeerKind.MEMBER:
                async with asyncio.timeout(self.settings.dial_timeout):
                    await self._hello(link)
        except TimeoutError:
            link.discard()
            raise HostAwayError(f"the host at {address.url} did not answer the greeting in time") from None
        except BaseException:
            link.discard()
            raise
        self._links.add(link)
        self._by_url[link.url] = link
        known = self._by_host.get(link.peer.host_id)
        if link.peer.host_id and (known is None or not known.is_open):
            self._by_host[link.peer.host_id] = link
        self._sweep_later()
        return link

    def _forget(self, forgotten: set[Link]) -> None:
        self._links -= forgotten
        for index in (self._by_host, self._by_url):
            for key in [key for key, link in index.items() if link in forgotten]:
                del index[key]

    def _make_link(self, channel: Channel, peer: Peer, url: str) -> Link:
        return Link(
            channel,
            peer,
            url,
            max_waiting=self.settings.max_waiting_calls,
            max_frame=self.settings.max_control_frame,
            max_unsent=self.settings.max_unsent,
        )

    def _dialled(self, key: str, done: asyncio.Task[Link]) -> None:
        del self._dialling[key]
        look_away(done)  # every caller may have left

    # --- keeping it small ----------------------------------------------------------------------------

    def _make_room(self) -> None:
        self._forget({link for link in self._links if not link.is_open})
        if len(self._links) + len(self._dialling) < self.settings.max_links:
            return
        idle = [link for link in self._links if link.is_idle]
        if not idle:
            raise RemoteHostError(f"all {self.settings.max_links} links to hosts are in use")
        oldest = min(idle, key=lambda link: link.last_used)
        self._forget({oldest})
        oldest.close("another host is called")

    def _sweep_later(self) -> None:
        if self._sweeper is None and not self._closed:
            delay = self.settings.link_idle_timeout / 2
            self._sweeper = asyncio.get_running_loop().call_later(delay, self._sweep)

    def _sweep(self) -> None:
        """Close what nobody used for a while; runs only while there is something to watch."""
        self._sweeper = None
        oldest = asyncio.get_running_loop().time() - self.settings.link_idle_timeout
        idle = {link for link in self._links if link.is_idle and link.last_used < oldest}
        self._forget(idle | {link for link in self._links if not link.is_open})
        for link in idle:
            link.close("idle")
        stream_oldest = asyncio.get_running_loop().time() - self.settings.stream_idle_timeout / 2
        for key, streams in tuple(self._idle_streams.items()):
            for stream in tuple(streams):
                if not stream.is_open or stream.idle_since < stream_oldest:
                    streams.remove(stream)
                    stream.close()
            if not streams:
                del self._idle_streams[key]
        if self._links or self._idle_streams:
            self._sweep_later()

    def expel(self, host_id: str, reason: str = "its key was revoked") -> None:
        """Cut every connection to one host; calls that wait fail."""
        for connection in self._connections():
            if connection.peer.host_id == host_id:
                connection.close(reason) if isinstance(connection, Link) else connection.discard()

    def doubt(self, host_id: str) -> None:
        """A host may have moved, or died: connections to it that stay silent now are cut, to be dialled anew."""
        for connection in self._connections():
            if connection.peer.host_id == host_id:
                connection.doubt(self.settings.doubt_timeout)

    def rebind(self, addresses: Collection[str]) -> None:
        """This machine has these addresses now: connections that begin at another one are dead, and cut."""
        for connection in self._connections():
            begins_at = connection.local_address
            if begins_at and begins_at not in addresses and not begins_at.startswith("127."):
                connection.discard()

    def _connections(self) -> tuple[Link | OutgoingStream | BulkStream, ...]:
        idle = [stream for streams in self._idle_streams.values() for stream in streams]
        return (*self._links, *self._busy_streams, *idle)

    async def close(self) -> None:
        """Close everything; calls that wait fail, transfers break off."""
        self._closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
        dialling = tuple(self._dialling.values())
        for task in dialling:
            task.cancel()
        if dialling:
            await asyncio.wait(dialling)
        streams = [stream for idle in self._idle_streams.values() for stream in idle]
        for stream in self._busy_streams:
            stream.discard()
        for connection in (*self._links, *streams):
            connection.close()
        for connection in (*self._links, *streams, *self._busy_streams):
            await connection.wait_closed()
        await self._tasks.close()
        self._forget(set(self._links))
        self._idle_streams.clear()
        self.strangers.close()


def _key(address: HostAddress) -> str:
    """Whom that is for: its key, or where it is reached."""
    return address.host_id or address.url
