"""When this machine's addresses change, and which of them speak multicast."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import socket
import sys
from typing import TYPE_CHECKING

from paglets.runtime.bind_addresses import NetworkState, network_state

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)

SETTLE = 0.1
"""Seconds of quiet before a burst of kernel messages is looked at."""
POLL = 5.0
"""Seconds between two looks where the kernel sends no messages."""
_RTMGRP_LINK, _RTMGRP_IPV4_IFADDR, _RTMGRP_IPV6_IFADDR = 0x1, 0x10, 0x100  # rtnetlink(7)


def multicast_addresses(state: NetworkState) -> tuple[str, ...]:
    """One IPv4 address of each interface whose link is up, to send and hear multicast by."""
    chosen: dict[str, str] = {}
    for name, link, address in sorted(state):
        if link and address and ipaddress.ip_address(address).version == 4:
            chosen.setdefault(name, address)
    return tuple(sorted(set(chosen.values())))


class NetworkWatch:
    """Calls back on the loop when interfaces, links or addresses changed. Reads rtnetlink, or polls."""

    def __init__(self, on_change: Callable[[NetworkState], None]) -> None:
        self._on_change = on_change
        self._socket: socket.socket | None = None
        self._stirred = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._state: NetworkState = frozenset()

    async def start(self) -> NetworkState:
        """Begin to watch; returns the state to start from."""
        self._socket = _open_netlink()
        if self._socket is not None:
            asyncio.get_running_loop().add_reader(self._socket.fileno(), self._drain, self._socket)
        self._state = await asyncio.to_thread(network_state)
        self._task = asyncio.create_task(self._watch(), name="network-watch")
        return self._state

    async def stop(self) -> None:
        """End the watch."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket.fileno())
            self._socket.close()
            self._socket = None
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    def _drain(self, netlink: socket.socket) -> None:
        """Read what there is. The messages only say *that* something happened; the state says what."""
        # ENOBUFS says that messages were lost, which is news as well.
        with contextlib.suppress(OSError):
            while netlink.recv(65536):
                pass
        self._stirred.set()

    async def _watch(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if self._socket is not None else POLL):
                    await self._stirred.wait()
            # A link that comes up makes a dozen messages, and a Wi-Fi card some each second: wait them out.
            await asyncio.sleep(SETTLE)
            self._stirred.clear()
            try:
                state = await asyncio.to_thread(network_state)
            except OSError:
                logger.warning("the network interfaces cannot be read", exc_info=True)
                continue
            if state != self._state:
                self._state = state
                self._on_change(state)


def _open_netlink() -> socket.socket | None:
    if not sys.platform.startswith("linux"):
        return None
    try:
        netlink = socket.socket(
            socket.AF_NETLINK,
            socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC,
            socket.NETLINK_ROUTE,
        )
    except OSError:
        logger.warning("no netlink here; interfaces are polled", exc_info=True)
        return None
    try:
        netlink.bind((0, _RTMGRP_LINK | _RTMGRP_IPV4_IFADDR | _RTMGRP_IPV6_IFADDR))
    except OSError:
        logger.warning("netlink cannot be listened to; interfaces are polled", exc_info=True)
        netlink.close()
        return None
    return netlink
