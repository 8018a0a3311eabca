"""The host on this machine that commands talk to, over its Unix socket."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import stat
from concurrent.futures import TimeoutError as FutureTimeout
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from edge import start_note
from edge.cli.failures import NoHostError
from edge.directories import data_dirs_to_try, socket_candidates
from paglets.core.errors import RemoteHostError
from paglets.remote import api

if TYPE_CHECKING:
    import concurrent.futures
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

SHORT = 10.0
"""Seconds that a host may take to tell what it knows."""
LONG = 90.0
"""Seconds that a host may take to change a paglet's life: a hook may run for a minute."""
_MARGIN = 10.0
_PROBE = 2.0
_PAGE = 1000


class Client(Protocol):
    """What is needed of ``HostClient``."""

    def submit(
        self, host_url: str, method: str, params: msgspec.Struct, *, timeout: float | None = None
    ) -> concurrent.futures.Future[bytes]:
        """Call an operation of a host without waiting."""
        ...

    def subscribe(
        self, host_url: str, method: str, params: msgspec.Struct, *, timeout: float | None = None
    ) -> AbstractContextManager[Iterator[bytes]]:
        """Events as they come."""
        ...

    def close(self) -> None:
        """Close the connections."""
        ...


class LocalHost:
    """One host, asked through its local socket. It passes on what is meant for other hosts of its mesh."""

    def __init__(self, url: str, client: Client, *, wait: Waiter | None = None) -> None:
        self.url = url
        self._client = client
        self._wait = wait or _just_wait

    def ask(
        self, method: str, params: msgspec.Struct, *, timeout: float = SHORT, at: str = "", doing: str = ""
    ) -> Any:
        """Call an operation, at the host of URL ``at`` or at this one; its JSON result as plain values.

        ``doing`` says what happens, for people who wait. Raises what the host reports.
        """
        return json.loads(
            self._wait(self.begin(method, params, timeout=timeout, at=at), timeout + _MARGIN, doing)
        )

    def begin(
        self, method: str, params: msgspec.Struct, *, timeout: float = SHORT, at: str = ""
    ) -> concurrent.futures.Future[bytes]:
        """The same without waiting; the result as JSON text."""
        if at:
            inner = msgspec.Raw(msgspec.json.encode(params))
            params = api.AskParams(host_url=at, method=method, params=inner, timeout=timeout)
            method, timeout = api.HOST_ASK, timeout + _MARGIN / 2
        return self._client.submit(self.url, method, params, timeout=timeout)

    def subscribe(self, method: str, params: msgspec.Struct) -> AbstractContextManager[Iterator[bytes]]:
        """Events of this host as they come, each as JSON text."""
        return self._client.subscribe(self.url, method, params, timeout=SHORT)

    # --- what several commands read ----------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        """Who this host is."""
        return self.ask(api.HOST_STATUS, api.NoParams())

    def hosts(self) -> list[dict[str, Any]]:
        """The hosts of the mesh, this one among them."""
        return self.ask(api.HOSTS_LIST, api.HostsListParams())["hosts"]

    def paglets(self, *, at: str = "", timeout: float = SHORT) -> list[dict[str, Any]]:
        """Every paglet of a host, whatever its state, page by page."""
        found: list[dict[str, Any]] = []
        cursor = ""
        while True:
            params = api.PagletsListParams(state="all", limit=_PAGE, cursor=cursor, memory=True)
            page = self.ask(
                api.PAGLETS_LIST, params, at=at, timeout=timeout, doing="reading the list of paglets"
            )
            found += page["agents"]
            if not page.get("cursor"):
                return found
            cursor = page["cursor"]

    def locate(self, prefix: str, host: str = "") -> dict[str, Any]:
        """Where paglets are whose ids begin so, ``places``; and ``silent``: names of hosts that could not be asked.

        Of each place ``agent_id host_url host_name``.
        """
        params = api.LocateParams(prefix=prefix, host=host)
        return self.ask(api.PAGLETS_LOCATE, params, doing="looking for the paglet")

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


class Waiter(Protocol):
    """How to wait for an answer."""

    def __call__(self, answer: concurrent.futures.Future[bytes], timeout: float, doing: str) -> bytes:
        """The answer; ``RemoteHostError`` when it does not come within ``timeout`` seconds."""
        ...


def _just_wait(answer: concurrent.futures.Future[bytes], timeout: float, doing: str) -> bytes:
    try:
        return answer.result(timeout)
    except FutureTimeout:
        answer.cancel()
        what = f" ({doing})" if doing else ""
        raise RemoteHostError(
            f"the host did not answer within {timeout:.0f} s{what}; its log may say why"
        ) from None


def find_socket(option: Path | None, environ: Mapping[str, str]) -> Path:
    """The local socket of the host that a command means; see ``edge.directories`` for where it is looked for.

    ``NoHostError`` when nobody listens there.
    """
    tried = data_dirs_to_try(option, environ)
    foreign: Path | None = None
    for data_dir in tried:
        for path in socket_candidates(data_dir, environ):
            try:
                if _listens(path):
                    return path
            except PermissionError:
                foreign = foreign or path
    if foreign is not None:
        raise NoHostError(
            f"no host of yours runs here, and {foreign.parent} belongs to another user; "
            "use sudo, or become that user"
        )
    for data_dir in tried:
        for path in socket_candidates(data_dir, environ):
            if why := _why_not(path):
                raise NoHostError(f"no host runs in {data_dir}; its last start failed: {why}")
    if len(tried) == 1:
        raise NoHostError(
            f"no host runs in {tried[0]}; start one with `paglets host --data-dir {tried[0]}`, "
            "or name another directory with --data-dir"
        )
    raise NoHostError(
        "no host runs here, neither your own nor the system service; "
        "start one with `paglets host`, or name its directory with --data-dir"
    )


def _why_not(path: Path) -> str:
    """What the last start has left; /tmp is everybody's, so only our own or root's."""
    try:
        owner = path.parent.stat().st_uid
    except OSError:
        return ""
    return start_note.read(path) if owner in {0, os.getuid()} else ""


def _listens(path: Path) -> bool:
    """Whether a host answers at ``path``; ``PermissionError`` when it is not ours to talk to."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        status = path.lstat()
        if not stat.S_ISSOCK(status.st_mode):
            return False
        # /tmp is everybody's: a socket that somebody else put there must not be taken for our host's.
        if os.getuid() not in {0, status.st_uid} and status.st_uid != 0:
            raise PermissionError(path)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(_PROBE)
            try:
                probe.connect(str(path))
                # A connection that asks for nothing would be counted as a stranger's.
                probe.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
                probe.recv(64)
            except TimeoutError:
                return True  # it is there, and slow
            except (ConnectionError, FileNotFoundError):
                return False  # left behind by a host that was killed
            return True
    return False
