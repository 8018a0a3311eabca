"""One running zeroconf: its sockets, the service it advertises, and the question it asks."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Protocol

from zeroconf import ServiceInfo, ServiceStateChange, Zeroconf
from zeroconf.asyncio import AsyncServiceBrowser, AsyncZeroconf

from edge.discovery.records import SERVICE_TYPE, instance_label, txt_properties

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from edge.discovery.resolver import Resolver
    from paglets.remote.discovery import Advertisement

CLOSE_TIMEOUT = 1.0


class _Responder(Protocol):
    """What is used of ``AsyncZeroconf``; its own annotations leave out what the awaitables give."""

    zeroconf: Zeroconf

    async def async_register_service(
        self, info: ServiceInfo, *, allow_name_change: bool
    ) -> Awaitable[object]: ...

    async def async_update_service(self, info: ServiceInfo) -> Awaitable[object]: ...

    async def async_unregister_service(self, info: ServiceInfo) -> Awaitable[object]: ...

    async def async_update_interfaces(self, interfaces: Sequence[str] | None = None) -> None: ...

    async def async_close(self) -> None: ...


class Presence:
    """This host on the local network, by mDNS. Made on the loop; ``close`` ends every socket and timer."""

    def __init__(self, interfaces: Sequence[str], resolver: Resolver) -> None:
        """Open sockets on the interfaces with these IPv4 addresses, at least one."""
        self._interfaces = list(interfaces)
        self._resolver = resolver
        self._zeroconf: _Responder = AsyncZeroconf(interfaces=self._interfaces)
        self._browser: AsyncServiceBrowser | None = None
        self._info: ServiceInfo | None = None
        self._resolving: asyncio.Task[None] | None = None

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
        label = instance_label(advertisement.host_id)
        name = self._info.name if self._info is not None else f"{label}.{SERVICE_TYPE}"
        info = ServiceInfo(
            SERVICE_TYPE,
            name,
            port=advertisement.port,
            properties=txt_properties(advertisement),
            server=f"{name.removesuffix('.' + SERVICE_TYPE)}.local.",
            parsed_addresses=list(addresses),
        )
        if self._info is None:
            # A name that is taken gets a number: it means nothing, and must not stop the service.
            sent = await self._zeroconf.async_register_service(info, allow_name_change=True)
        else:
            sent = await self._zeroconf.async_update_service(info)
        self._info = info
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
            return
        if state_change is ServiceStateChange.Removed:
            self._resolver.removed(name)
        else:
            self._resolver.seen(name)
