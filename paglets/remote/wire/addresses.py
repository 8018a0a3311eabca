"""Where a host is reached: ``https://host:port`` or ``unix:/path``."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec

DEFAULT_PORT = 8765
SOCKET_SUFFIX = ".sock"
"""Every Unix socket of a host is named so, which tells a socket's path from the resource behind it."""


class HostAddress(msgspec.Struct, frozen=True):
    """A host to call: where it is, and, when known, which key it must show."""

    url: str
    host_id: str | None = None
    """Insisted on when given: a host with another key is not talked to."""
    alternatives: tuple[str, ...] = ()
    """More URLs of the same host; all are tried."""

    @property
    def urls(self) -> tuple[str, ...]:
        """Every URL, each once, the first one first."""
        return tuple(dict.fromkeys((self.url, *self.alternatives)))


class Endpoint(NamedTuple):
    """A parsed host URL: either TCP (``host``, ``port``) or a Unix socket (``path``)."""

    host: str
    port: int
    path: str = ""


def parse_host_url(url: str) -> Endpoint:
    """Read a host URL; ``ValueError`` with a sentence for anything else.

    A path, query or fragment after ``https://host:port`` is refused, as are credentials.
    """
    if url.startswith("unix:"):
        path = url.removeprefix("unix:").removeprefix("//")
        if not path.startswith("/") or not path.endswith(SOCKET_SUFFIX) or "\0" in path:
            raise ValueError(f"{url!r} names no Unix socket; it looks like unix:/run/paglets/NAME.sock")
        return Endpoint("", 0, path)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"{url!r} is no host URL: {error}") from None
    if parts.scheme != "https" or not parts.hostname:
        raise ValueError(f"{url!r} is no host URL; it looks like https://HOST:PORT")
    if parts.path not in {"", "/"} or parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError(f"{url!r} is no host URL: nothing may follow or precede https://HOST:PORT")
    try:
        parts.hostname.encode("idna")
    except UnicodeError:  # labels of 1 to 63 characters, RFC 3490
        raise ValueError(f"{url[:200]!r} is no host URL: no host can have that name") from None
    if port == 0:
        raise ValueError(f"{url!r} is no host URL: there is no port 0 to call")
    return Endpoint(parts.hostname, DEFAULT_PORT if port is None else port)


def host_url(host: str, port: int) -> str:
    """The URL of a TCP address; IPv6 addresses get their brackets."""
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"


def split_resource_url(url: str) -> tuple[str, str]:
    """``https://host:port/path?query`` or ``unix:/name.sock/path?query`` -> (host URL, path and query).

    ``ValueError`` when there is no path to read, or when it could not stand in a request line.
    """
    if url.startswith("unix:"):
        socket, suffix, resource = url.partition(SOCKET_SUFFIX)
        base = socket + suffix
    else:
        scheme, separator, rest = url.partition("://")
        netloc, slash, tail = rest.partition("/")
        base, resource = scheme + separator + netloc, slash + tail
    if not resource.startswith("/"):
        raise ValueError(f"{url!r} names no resource; it looks like https://HOST:PORT/health")
    if not resource.isascii() or not resource.isprintable() or " " in resource:
        raise ValueError(f"{url!r} has characters that must be percent-encoded")
    parse_host_url(base)
    return base, resource
