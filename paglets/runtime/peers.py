"""Other hosts as the parts of this one see them: found by name, URL or key, called over pooled links."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from paglets.core.errors import HostError, RemoteHostError, TransferError
from paglets.remote.api import HOST_HELLO, HelloParams
from paglets.remote.members import normal_url
from paglets.remote.moved import MovedReply
from paglets.remote.wire.addresses import HostAddress
from paglets.remote.wire.failures import HostAwayError, LinkLostError
from paglets.remote.wire.frames import encode_value

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from paglets.persistence.records import Forward
    from paglets.remote.mesh_service import MeshService
    from paglets.remote.mesh_view import MeshView, SeenHost
    from paglets.remote.wire.pending import Pending
    from paglets.remote.wire.pool import LinkPool
    from paglets.remote.wire.stream_client import OutgoingStream
    from paglets.runtime.here import Here

HELLO_TIMEOUT = 5.0
_ADDRESSES = 1024
"""Looked-up addresses that are remembered."""


class Target(NamedTuple):
    """A host that something can be moved to: its key, where it is, and the code it runs."""

    host_id: str
    url: str
    name: str
    code_version: str

    def __str__(self) -> str:
        return f"{self.name} ({self.url})" if self.name else self.url


class Peers:
    """Finds and calls other hosts. Only keys identify: a URL that answers with another key is not talked to."""

    def __init__(
        self, *, pool: LinkPool, mesh: MeshService, here: Here, own_hello: Callable[[str], HelloParams]
    ) -> None:
        self._pool = pool
        self._mesh = mesh
        self._here = here
        self._own_hello = own_hello
        self._drawn: MeshView | None = None
        self._addresses: dict[tuple[str, str], HostAddress] = {}  # as that view has them

    def address(self, host_id: str, url: str) -> HostAddress:
        """Where to dial a host: what the mesh knows of its key now, and the URL it was last seen at."""
        view = self._mesh.view
        if view is not self._drawn or len(self._addresses) >= _ADDRESSES:
            self._drawn = view
            self._addresses.clear()
        found = self._addresses.get((host_id, url))
        if found is None:
            found = self._addresses[host_id, url] = self._look_up(host_id, url)
        return found

    def _look_up(self, host_id: str, url: str) -> HostAddress:
        seen = self._mesh.view.by_key.get(host_id)
        if seen is not None:
            return HostAddress(seen.url, host_id, tuple({*seen.urls, url} - {seen.url, ""}))
        if not host_id:
            found = self._by_url(url)
            if found is not None:
                return HostAddress(url, found.facts.host_id or None, tuple(set(found.urls) - {url}))
        return HostAddress(url, host_id or None)

    async def call(
        self, host_id: str, url: str, method: str, params: msgspec.Struct, *, timeout: float | None
    ) -> bytes:
        """Call an operation of another host; the raw JSON result, or one of the API page's errors."""
        return await self.begin(host_id, url, method, params, timeout=timeout)

    async def ask(
        self, host_id: str, url: str, method: str, params: msgspec.Struct, *, timeout: float
    ) -> bytes:
        """As ``call``, of an operation that changes nothing: asked anew when its connection is lost before the answer.

        ``timeout`` (seconds) covers both. So whoever has another address now is asked there.
        """
        deadline = asyncio.get_running_loop().time() + timeout
        try:
            return await self.call(host_id, url, method, params, timeout=timeout)
        except LinkLostError:
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                raise
            return await self.call(host_id, url, method, params, timeout=left)

    def begin(
        self, host_id: str, url: str, method: str, params: msgspec.Struct, *, timeout: float | None
    ) -> Pending[bytes]:
        """The same, sent now if possible and in any case in the order of these calls; may raise at once, too."""
        address = self.address(host_id, url)
        try:
            answer = self._pool.begin(address, method, encode_value(params), timeout)
        except RemoteHostError:
            self.lost(address.host_id)
            raise

        def came(answer: Pending[bytes]) -> None:
            if not answer.cancelled() and isinstance(answer.exception(), RemoteHostError):
                self.lost(address.host_id)

        answer.add_done_callback(came)
        return answer

    async def reach(self, host_id: str, url: str) -> str:
        """Make sure that a host can be called now; its key. ``RemoteHostError`` and others when it cannot be."""
        address = self.address(host_id, url)
        try:
            async with asyncio.timeout(HELLO_TIMEOUT):
                link = await self._pool.link(address)
        except TimeoutError:
            self.lost(address.host_id)
            raise HostAwayError(f"the host at {address.url} did not answer in time") from None
        except RemoteHostError:
            self.lost(address.host_id)
            raise
        if not link.peer.host_id:
            raise RemoteHostError(f"the host at {address.url} does not say who it is")
        return link.peer.host_id

    def lost(self, host_id: str | None) -> None:
        """A host could not be reached: the mesh looks at it now, not at its next turn."""
        if host_id:
            self._mesh.link_lost(host_id)

    async def follow(
        self, forward: Forward, method: str, params: msgspec.Struct, *, timeout: float | None
    ) -> MovedReply:
        """Pass a call on to where a paglet has gone; the answer says where it was given."""
        raw = await self.call(forward.host_id, forward.url, method, params, timeout=timeout)
        if isinstance(raw, MovedReply):
            return raw
        return MovedReply.at(raw, self.address(forward.host_id, forward.url).url)

    def stream(self, target: Target) -> AbstractAsyncContextManager[OutgoingStream]:
        """A stream to the host, for one transfer; an asynchronous context manager."""
        return self._pool.stream(self.address(target.host_id, target.url))

    async def find(self, name_or_url: str) -> Target:
        """The host of that name or URL, its key known, or asked for. ``TransferError`` when there is none."""
        known = self.known(name_or_url)
        if known is not None:
            return known
        url = normal_url(name_or_url)
        try:
            async with asyncio.timeout(HELLO_TIMEOUT):
                link = await self._pool.link(HostAddress(url))
                raw = await link.call(HOST_HELLO, self._own_hello(link.peer.host_id))
            hello = msgspec.json.decode(raw, type=HelloParams)
        except TimeoutError:
            raise TransferError(f"the host at {url} did not answer in time") from None
        except (RemoteHostError, HostError, msgspec.MsgspecError) as error:
            raise TransferError(f"the host at {url} cannot be asked who it is: {error}") from error
        return Target(link.peer.host_id, url, hello.name, hello.code_version)

    async def find_key(self, host_id: str, url: str) -> Target:
        """The host of that key, last seen at ``url``. ``TransferError`` when it is not known or not there any more."""
        seen = self._mesh.view.by_key.get(host_id)
        if seen is not None:
            return _target(seen)
        target = await self.find(url)
        if target.host_id != host_id:
            raise TransferError(f"another host answers at {url} now, {target.name}")
        return target

    def known(self, name_or_url: str) -> Target | None:
        """The host of that name or URL as the mesh knows it, online or not; None for the URL of a stranger.

        ``TransferError`` for a name that nobody has.
        """
        if self._here.is_me(name_or_url):
            return Target(self._here.host_id, self._here.address, self._here.name, self._here.code_version)
        url = normal_url(name_or_url)
        seen = self._by_url(url) if url else self._by_name(name_or_url)
        if seen is not None and seen.facts.host_id:
            return _target(seen)
        if url:
            return None
        names = ", ".join(sorted({self._here.name, *(each.facts.name for each in self._mesh.view.others)}))
        raise TransferError(f"no host of this mesh is called {name_or_url!r}; known: {names}")

    def _by_url(self, url: str) -> SeenHost | None:
        return max(
            self._mesh.view.by_url.get(url, ()), key=lambda seen: (seen.online, seen.last_seen), default=None
        )

    def _by_name(self, name: str) -> SeenHost | None:
        found = [seen for seen in self._mesh.view.others if name in {seen.facts.name, seen.facts.host_id}]
        online = [seen for seen in found if seen.online] or found
        if len(online) > 1:
            where = ", ".join(sorted(seen.url for seen in online))
            raise TransferError(f"several hosts are called {name!r} ({where}); use the URL, or rename one")
        return online[0] if online else None


def _target(seen: SeenHost) -> Target:
    return Target(seen.facts.host_id, seen.url, seen.facts.name, seen.facts.code_version)
