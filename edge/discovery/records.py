"""What a host's mDNS records say, written and read. Whatever arrives here comes from a stranger.

A service instance of type ``_paglets._tcp.local.`` has a TXT record (RFC 6763 section 6) with the keys
``v`` (the wire's major version), ``id`` (host id), ``mesh`` (mesh id) and ``name``; the port is in the SRV
record. The instance's name is the short host id and means nothing.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from paglets.remote.discovery import AddressHint, Advertisement

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SERVICE_TYPE = "_paglets._tcp.local."
SHORT_ID = 16
"""Characters of the host id in the instance's name: 80 bits."""
MAX_TXT_BYTES = 1024
MAX_VALUE_BYTES = 200
MAX_ADDRESSES = 8
"""Addresses of one record that are used."""


def instance_label(host_id: str) -> str:
    """The first label of the instance's name: at most 63 bytes, letters and digits."""
    label = "".join(character for character in host_id.lower() if character.isascii() and character.isalnum())
    return label[:SHORT_ID] or "host"


def txt_properties(advertisement: Advertisement) -> dict[str | bytes, str | bytes | None]:
    """The TXT record of a host; a name too long for it is cut."""
    name = advertisement.name.encode()[:63].decode(errors="ignore")
    return {
        "v": str(advertisement.protocol),
        "id": advertisement.host_id,
        "mesh": advertisement.mesh_id,
        "name": name,
    }


def read_hints(
    own: Advertisement,
    properties: Mapping[bytes, bytes | None],
    port: int | None,
    addresses: Iterable[str],
) -> tuple[AddressHint, ...]:
    """Where a host of our mesh may be, by its records; nothing for others, for ourselves and for nonsense.

    A host of another major version is no one to talk to. Link-local IPv6 addresses mean nothing without
    the interface, and are left out.
    """
    if not port or not 0 < port < 65536:
        return ()
    if sum(len(key) + len(value or b"") + 2 for key, value in properties.items()) > MAX_TXT_BYTES:
        return ()
    host_id = _text(properties.get(b"id"))
    if not host_id or host_id == own.host_id or _text(properties.get(b"mesh")) != own.mesh_id:
        return ()
    if _text(properties.get(b"v")) != str(own.protocol):
        return ()
    hints: list[AddressHint] = []
    for address in addresses:
        url = _url(address, port)
        if url and len(hints) < MAX_ADDRESSES:
            hints.append(AddressHint(url, host_id))
    return tuple(hints)


def _text(value: bytes | None) -> str:
    if value is None or len(value) > MAX_VALUE_BYTES:
        return ""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return ""
    return text if text.isprintable() else ""


def _url(address: str, port: int) -> str:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return ""
    if parsed.is_unspecified or parsed.is_multicast or (parsed.version == 6 and parsed.is_link_local):
        return ""
    return f"https://[{parsed}]:{port}" if parsed.version == 6 else f"https://{parsed}:{port}"
