"""One GET of a host's JSON reads, from the calling side."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from paglets.core.errors import RemoteHostError
from paglets.remote.wire.failures import error_of_body, explain

if TYPE_CHECKING:
    from paglets.remote.wire.addresses import HostAddress
    from paglets.remote.wire.dialer import Dialer
    from paglets.remote.wire.settings import WireSettings

_OK = 200
_MAX_HEAD = 16 * 1024


async def fetch(
    dialer: Dialer, address: HostAddress, resource: str, timeout: float, settings: WireSettings
) -> bytes:
    """The body of ``GET resource``; for all but a 200 the error that it reports, or ``RemoteHostError``."""
    try:
        async with asyncio.timeout(timeout):
            reader, writer = await dialer.connect_plain(address, limit=_MAX_HEAD)
            try:
                request = f"GET {resource} HTTP/1.1\r\nHost: paglets\r\nConnection: close\r\n\r\n"
                writer.write(request.encode("ascii"))
                status, body = await _read_response(reader, address.url, settings.max_response_bytes)
            finally:
                writer.transport.abort()
    except OSError as error:  # TimeoutError too
        raise explain(address.url, error) from None
    if status != _OK:
        raise error_of_body(address.url, status, body)
    return body


async def _read_response(reader: asyncio.StreamReader, url: str, max_body: int) -> tuple[int, bytes]:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        status, length = parse_head(head)
        if length > max_body:
            raise RemoteHostError(f"the host at {url} answers with {length} bytes, more than are read")
        return status, await reader.readexactly(length)
    except (asyncio.IncompleteReadError, EOFError):
        raise explain(url, None) from None
    except (asyncio.LimitOverrunError, ValueError) as error:
        raise RemoteHostError(f"what answers at {url} is no paglets host: {error}") from None


def parse_head(head: bytes) -> tuple[int, int]:
    """Status and Content-Length of a response head (RFC 9112, section 4); ``ValueError`` for all else."""
    status_line, *lines = head.decode("ascii", errors="replace").split("\r\n")
    version, _, rest = status_line.partition(" ")
    code = rest[:3]
    if version != "HTTP/1.1" or not (code.isascii() and code.isdigit() and len(code) == 3):
        raise ValueError(f"no HTTP answer: {status_line[:60]!r}")
    lengths = {
        value.strip()
        for name, _, value in (line.partition(":") for line in lines)
        if name.lower() == "content-length"
    }
    if len(lengths) != 1:
        raise ValueError("an HTTP answer without one Content-Length")
    length = lengths.pop()
    if not (length.isascii() and length.isdigit() and len(length) <= 18):
        raise ValueError(f"an HTTP answer with Content-Length {length[:30]!r}")
    return int(code), int(length)
