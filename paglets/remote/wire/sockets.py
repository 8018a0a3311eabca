"""Listening sockets."""

from __future__ import annotations

import asyncio
import errno
import socket
import stat
from typing import TYPE_CHECKING, NamedTuple

from paglets.core.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

_MAX_SOCKET_PATH = 107  # sun_path less its final zero, unix(7)
_FREE_PORT_TRIES = 16
_NO_SUCH_FAMILY = {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL}


async def bind_tcp(binds: Sequence[str], port: int, backlog: int) -> list[socket.socket]:
    """Listening sockets on every address of ``binds``, all on one port; ``HostError`` when that cannot be."""
    loop = asyncio.get_running_loop()
    addresses: dict[_Address, None] = {}
    for bind in dict.fromkeys(binds):
        try:
            found = await loop.getaddrinfo(
                bind or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )
        except OSError as error:
            raise HostError(
                f"cannot listen on {bind!r}: {error.strerror}; name an address of this machine"
            ) from None
        except ValueError:  # what IDNA cannot write, RFC 3490, and a zero in it
            raise HostError(
                f"cannot listen on {bind!r}: that is neither an address nor a host name"
            ) from None
        for family, _, _, _, address in sorted(found):  # IPv4 first
            addresses[_Address(family, str(address[0]), required=bool(bind) or family == socket.AF_INET)] = (
                None
            )
    for _ in range(_FREE_PORT_TRIES):
        try:
            return _bind_all(addresses, port, backlog)
        except _PortTakenError:
            if port:
                raise
    raise HostError("found no port that is free on all addresses")


_HINTS = {
    errno.EADDRINUSE: "; another program, or another host, has it: stop that, or choose another port (0: a free one)",
    errno.EADDRNOTAVAIL: "; this machine has no such address now",
    errno.EACCES: "; ports below 1024 are not for every user: choose a higher one",
}


class _Address(NamedTuple):
    family: int
    address: str
    required: bool
    """False for IPv6 among "every address": a kernel may be without."""


class _PortTakenError(HostError):
    """The port is in use on one of the addresses."""


def _bind_all(addresses: Iterable[_Address], port: int, backlog: int) -> list[socket.socket]:
    bound: list[socket.socket] = []
    try:
        for family, address, required in addresses:
            try:
                opened = _bind_one(family, address, port, backlog)
            except OSError as error:
                if not required and error.errno in _NO_SUCH_FAMILY:
                    continue
                hint = _HINTS.get(error.errno or 0, "")
                message = f"cannot listen on {address} port {port}: {error.strerror}{hint}"
                kind = _PortTakenError if error.errno == errno.EADDRINUSE else HostError
                raise kind(message) from None
            bound.append(opened)
            port = opened.getsockname()[1]
    except BaseException:
        for opened in bound:
            opened.close()
        raise
    return bound


def _bind_one(family: int, address: str, port: int, backlog: int) -> socket.socket:
    # Only where the protocol is named has asyncio small writes leave at once (TCP_NODELAY), also on what is accepted.
    opened = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        opened.settimeout(0)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        opened.bind((address, port))
        opened.listen(backlog)
    except BaseException:
        opened.close()
        raise
    return opened


def bind_unix(path: Path, backlog: int) -> socket.socket:
    """A listening Unix socket with mode 0600 in a directory that is made 0700; a stale socket is replaced.

    ``HostError`` when the path is too long, when its directory belongs to somebody else, or when a live host
    listens there.
    """
    if len(str(path).encode()) > _MAX_SOCKET_PATH:
        raise HostError(f"the local socket's path is longer than {_MAX_SOCKET_PATH} bytes: {path}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.parent.chmod(0o700)
        _remove_stale(path)
        opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    except OSError as error:
        raise HostError(f"cannot listen on {path}: {error.strerror}") from None
    try:
        opened.settimeout(0)
        opened.bind(str(path))
        path.chmod(0o600)
        opened.listen(backlog)
    except OSError as error:
        opened.close()
        raise HostError(f"cannot listen on {path}: {error.strerror}") from None
    return opened


def _remove_stale(path: Path) -> None:
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise HostError(f"cannot listen on {path}: something that is no socket is there")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(0.2)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            path.unlink(missing_ok=True)
        except OSError as error:
            raise HostError(f"cannot listen on {path}: {error}") from None
        else:
            raise HostError(f"another host listens on {path} already")
