"""One running zeroconf: its sockets, the service it advertises, and the question it asks."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from typing import TYPE_CHECKING, Protocol

from zeroconf import ServiceInfo, ServiceStateChange, Zeroconf
from zeroconf.asyncio import AsyncServiceBrowser, AsyncZeroconf

from edge.discovery.records import SERVICE_TYPE, instance_label, txt_properties

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from edge.discovery.resolver import Resolver
    from paglets.remote.discovery import Advertisement

CLOSE_TIMEOUT = 1.0
MAX_RENAMES = 5
"""A name may be taken by accident once; who takes every new one means harm, and is left alone with it."""


class _Responder(Protocol):
    """What is used of ``AsyncZeroconf``; its own annotations leave out what the awaitables give."""

    zeroconf: Zeroconf

    async def async_register_service(
        self, info: ServiceInfo, *, cooperating_responders: bool
    ) -> Awaitable[object]: ...

    async def async_update_service(self, info: ServiceInfo) -> Awaitable[object]: ...

    async def async_unregister_service(self, info: ServiceInfo) -> Awaitable[object]: ...

    async def async_update_interfaces(self, interfaces: Sequence[str] | None = None) -> None: ...

    async def async_close(self) -> None: ...


class Presence:
    """This host on the local network, by mDNS. Made on the loop; ``close`` ends every socket and timer."""

    def __init__(
        self, interfaces: Sequence[str], resolver: Resolver, host_id: str, on_clash: Callable[[], None]
    ) -> None:
        """Open sockets on the interfaces with these IPv4 addresses, at least one.

        ``on_clash`` is called when somebody else turns out to use the instance's name; announce again then.
        """
        self._host_id = host_id.encode()
        self._on_clash = on_clash
        self._clashed = False
        self._renames = 0
        self._interfaces = list(interfaces)
        self._resolver = resolver
        self._zeroconf: _Responder = AsyncZeroconf(interfaces=self._interfaces)
        self._browser: AsyncServiceBrowser | None = None
        self._info: ServiceInfo | None = None
        self._resolving: asyncio.Task[None] | None = None

    @property
    def announced(self) -> bool:
        """Whether the service was announced."""
        return self._info is not None

    async def look(self, own: Advertisement) -> None:
        """Ask who is there, now; answers and later announcements go to the resolver."""
        if self._resolving is None:
            self._resolving = asyncio.create_task(
                self._resolver.run(self._zeroconf.zeroconf, own), name="mdns-resolver"
            )
        await self._zeroconf.zeroconf.async_wait_for_start()
        if self._browser is not None:
            # A browser asks when it starts and then hardly ever; a new one is the way to ask again.
            await self._browser.async_cancel()
        self._browser = AsyncServiceBrowser(self._zeroconf.zeroconf, SERVICE_TYPE, handlers=[self._heard])

    async def announce(self, advertisement: Advertisement, addresses: Sequence[str]) -> None:
        """Register the service, or say anew what it is and where."""
        previous = self._info
        label = instance_label(advertisement.host_id)
        name = previous.name if previous is not None else f"{label}.{SERVICE_TYPE}"
        if self._clashed and previous is not None:
            self._clashed = False
            self._renames += 1
            name = f"{label}-{secrets.token_hex(4)}.{SERVICE_TYPE}"
        info = ServiceInfo(
            SERVICE_TYPE,
            name,
            port=advertisement.port,
            properties=txt_properties(advertisement),
            server=f"{name.removesuffix('.' + SERVICE_TYPE)}.local.",
            parsed_addresses=list(addresses),
        )
        self._info = info
        if previous is not None and previous.name == name:
            await (await self._zeroconf.async_update_service(info))
            return
        # The name is 80 bits of a hash: asking around first whether it is free (RFC 6762 section 8.1) would
        # cost each start most of a second for nothing. A clash that does happen is seen, and stepped out of.
        sent = await self._zeroconf.async_register_service(info, cooperating_responders=True)
        if previous is not None:
            await (await self._zeroconf.async_unregister_service(previous))
        await sent

    async def follow(self, interfaces: Sequence[str]) -> None:
        """Use the interfaces with these IPv4 addresses from now on."""
        if set(interfaces) != set(self._interfaces):
            self._interfaces = list(interfaces)
            await self._zeroconf.async_update_interfaces(interfaces=self._interfaces)

    async def close(self) -> None:
        """Say goodbye and close, within about two seconds."""
        if self._resolving is not None:
            self._resolving.cancel()
            await asyncio.gather(self._resolving, return_exceptions=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT):
                if self._info is not None:
                    # The first await takes the service out, the second sees the goodbyes sent.
                    await (await self._zeroconf.async_unregister_service(self._info))
        if self._browser is not None:
            await self._browser.async_cancel()
        await self._zeroconf.async_close()

    def _heard(self, *, name: str, state_change: ServiceStateChange, **_context: object) -> None:
        if self._info is not None and name.lower() == self._info.key:
            if not self._clashed and self._renames < MAX_RENAMES and self._is_anothers(name):
                self._clashed = True
                self._on_clash()
            return
        if state_change is ServiceStateChange.Removed:
            self._resolver.removed(name)
        else:
            self._resolver.seen(name)

    def _is_anothers(self, name: str) -> bool:
        """Whether the records of our own name, as the network has them, speak of another host."""
        info = ServiceInfo(SERVICE_TYPE, name)
        info.load_from_cache(self._zeroconf.zeroconf)
        return info.properties.get(b"id") not in (None, self._host_id)
