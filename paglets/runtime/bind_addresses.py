"""Which addresses this machine has, and from what a host binds to the URLs that others may reach it at."""

from __future__ import annotations

import ipaddress
import socket
from typing import TYPE_CHECKING, TypeAlias

import psutil

from paglets.remote.wire.addresses import host_url, parse_host_url

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

NetworkState: TypeAlias = frozenset[tuple[str, bool, str]]
"""(interface, whether its link is up, address) for every address; an interface without one has ``""``."""

_ANY = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - compared with, not bound


def network_state() -> NetworkState:
    """Look at the interfaces now. Some system calls for each: keep it off the loop."""
    stats = psutil.net_if_stats()
    state: set[tuple[str, bool, str]] = {(name, stat.isup, "") for name, stat in stats.items()}
    for name, addresses in psutil.net_if_addrs().items():
        up = name in stats and stats[name].isup
        for address in addresses:
            if address.family in {socket.AF_INET, socket.AF_INET6}:
                state.add((name, up, address.address.partition("%")[0]))
    return frozenset(state)


def reachable_addresses(state: NetworkState) -> tuple[str, ...]:
    """The addresses that another machine may reach this one at; loopback only when there is nothing else.

    IPv4 first, then global IPv6.
    """
    up = {ipaddress.ip_address(address) for _, link, address in state if link and address}
    useful = [address for address in up if not (address.version == 6 and address.is_link_local)]
    outside = [address for address in useful if not address.is_loopback]
    chosen = outside or [address for address in useful if address.version == 4]
    return tuple(str(each) for each in sorted(chosen, key=lambda each: (each.version, int(each))))


def reachable_urls(bound: Sequence[str], machine: Iterable[str]) -> tuple[str, ...]:
    """URLs for what a listener is bound to, wildcards replaced by the machine's addresses; the first is the address."""
    urls: list[str] = []
    addresses = tuple(machine)
    for url in bound:
        endpoint = parse_host_url(url)
        if endpoint.host in _ANY:
            urls.extend(host_url(address, endpoint.port) for address in addresses)
        else:
            urls.append(url)
    return tuple(dict.fromkeys(urls)) or tuple(bound)
