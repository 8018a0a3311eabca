"""Discovery by multicast DNS: advertises this host as ``_paglets._tcp.local.`` and looks for others.

What it takes care of, each found by experiment: a goodbye needs two awaits; a host that started with its
link down must announce again when the link is up; sockets must follow the interfaces; the name of an
instance may be taken already, and means nothing; records of a dead host stay for many minutes, so nothing
here says that a host lives; with no network at all it starts, and waits.

It speaks IPv4 multicast. Where there is none, hosts are told of each other by ``--peer``.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import urllib.parse
from typing import TYPE_CHECKING

from edge.discovery.network import NetworkWatch, multicast_addresses
from edge.discovery.presence import Presence
from edge.discovery.resolver import Resolver
from paglets.runtime.bind_addresses import reachable_addresses

if TYPE_CHECKING:
    from collections.abc import Callable

    from paglets.remote.discovery import AddressHint, Advertisement
    from paglets.runtime.bind_addresses import NetworkState

logger = logging.getLogger(__name__)

REPEAT = 30.0
"""Seconds between two repetitions of all hints; they expire after a minute."""
RETRY = 5.0
"""Seconds until a failed start is tried again; a change of the network comes sooner."""
FIRST_QUERY_PAUSE, LAST_QUERY_PAUSE = 5.0, 60.0
"""A host that has found nobody asks again, ever less often: nothing tells it that a switch came up."""


class ZeroconfDiscovery:
    """See the module. ``on_network_change`` is called on the loop when addresses or links changed."""

    def __init__(self, *, on_network_change: Callable[[], None] | None = None) -> None:
        self._on_network_change = on_network_change
        self._advertisement: Advertisement | None = None
        self._state: NetworkState = frozenset()
        self._changed = asyncio.Event()
        self._presence: Presence | None = None
        self._resolver: Resolver | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def known(self) -> tuple[AddressHint, ...]:
        """Where mDNS says that hosts of our mesh are: records that did not run out, nothing more."""
        if self._resolver is None:
            return ()
        return tuple(hint for hints in self._resolver.known.values() for hint in hints)

    @property
    def announced(self) -> bool:
        """Whether this host was announced on any interface."""
        return self._presence is not None and self._presence.announced

    async def start(self, advertisement: Advertisement, on_hint: Callable[[AddressHint], None]) -> None:
        """Begin; everything that takes time happens in a task of its own."""
        if self._task is None:
            self._advertisement = advertisement
            self._resolver = Resolver(on_hint)
            self._task = asyncio.create_task(self._run(advertisement, self._resolver), name="mdns")

    async def update(self, advertisement: Advertisement) -> None:
        """Advertise this from now on."""
        self._advertisement = advertisement
        self._changed.set()

    async def stop(self) -> None:
        """Say goodbye and close every socket, within about two seconds."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self, advertisement: Advertisement, resolver: Resolver) -> None:
        """Keep this host present on the network, whatever becomes of the network."""
        watch = NetworkWatch(self._network_changed)
        try:
            self._state = await watch.start()
            self._changed.set()
            query_pause = FIRST_QUERY_PAUSE
            while True:
                pause, failed = REPEAT, False
                news = self._changed.is_set()
                self._changed.clear()
                try:
                    if news:
                        query_pause = FIRST_QUERY_PAUSE
                        await self._appear(self._advertisement or advertisement, resolver)
                    elif self._presence is not None and not resolver.known:
                        await self._presence.look(advertisement)
                except Exception:
                    # No route, no buffers, no socket: whatever the network throws, it may be better soon.
                    logger.warning("discovery does not work yet; it is tried again", exc_info=True)
                    pause, failed = RETRY, True
                if not resolver.known:
                    pause = min(pause, query_pause)
                    query_pause = min(query_pause * 2, LAST_QUERY_PAUSE)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._changed.wait()
                if failed:
                    self._changed.set()
                resolver.repeat()
        finally:
            await watch.stop()
            if self._presence is not None:
                await self._presence.close()
                self._presence = None

    async def _appear(self, advertisement: Advertisement, resolver: Resolver) -> None:
        """Follow the interfaces, ask who is there, and say who is here."""
        interfaces = multicast_addresses(self._state)
        if self._presence is None:
            if not interfaces:
                return
            self._presence = Presence(interfaces, resolver, advertisement.host_id, self._changed.set)
        elif interfaces:
            await self._presence.follow(interfaces)
        await self._presence.look(advertisement)
        await self._presence.announce(advertisement, _announced(advertisement, self._state))

    def _network_changed(self, state: NetworkState) -> None:
        self._state = state
        self._changed.set()
        if self._on_network_change is not None:
            self._on_network_change()


def _announced(advertisement: Advertisement, state: NetworkState) -> tuple[str, ...]:
    """The addresses to advertise: those that the host listens on, or all when it listens on all."""
    listening: list[str] = []
    for url in advertisement.urls:
        with contextlib.suppress(ValueError):
            address = ipaddress.ip_address(urllib.parse.urlsplit(url).hostname or "")
            if address.is_unspecified:
                return reachable_addresses(state)
            listening.append(str(address))
    return tuple(dict.fromkeys(listening)) or reachable_addresses(state)
