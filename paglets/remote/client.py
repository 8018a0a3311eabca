"""Talking to hosts from a program, synchronously and from any thread."""

from __future__ import annotations

import concurrent.futures
import queue
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from paglets.core.errors import RemoteHostError, SerializationError
from paglets.remote.mesh_location import default_mesh_path
from paglets.remote.proxy import PagletProxy
from paglets.remote.service_calls import ServiceCalls
from paglets.remote.wire.addresses import split_resource_url
from paglets.remote.wire.lazy_trust import LazyTrust
from paglets.remote.wire.pool import LinkPool
from paglets.remote.wire.transport import ClientTransport, ThreadTransport
from paglets.serialization.values import from_json
from paglets.services.resident import DEFAULT_SERVICE_LEASE_TTL_SECONDS

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from types import TracebackType

    import msgspec

    from paglets.remote.trust.credentials import MeshCredentials
    from paglets.remote.wire.settings import WireSettings
    from paglets.services.handles import ServiceHandle
    from paglets.services.resident import ServiceLease

T = TypeVar("T")

_MARGIN = 5.0  # how much longer than the transport's own bound a caller waits for its future


class HostClient:
    """A client of any number of hosts: ``https://host:port`` or, for the local socket, ``unix:/path.sock``.

    Shows the user's admin certificate from the mesh directory (``mesh_dir``, else ``PAGLETS_MESH_DIR``, else
    the user's own), or the ``credentials`` given; local sockets need neither. Starts one thread at the first
    call and ends it with ``close()``. With ``transport``, a host's loop and connections are used instead.

    Also a ``ProxyClient``: ``PagletProxy.from_wire(place, client)`` calls through it.
    """

    def __init__(
        self,
        timeout: float = 10.0,
        *,
        credentials: MeshCredentials | None = None,
        mesh_dir: Path | str | None = None,
        transport: ClientTransport | None = None,
        settings: WireSettings | None = None,
        local_url: str | None = None,
    ) -> None:
        self.timeout = timeout
        """Seconds that a call may take when it does not say otherwise."""
        self.local_url = local_url
        """The URL of the host that this client belongs to; None for a program of its own."""
        self._trust = LazyTrust(
            credentials, Path(mesh_dir) if mesh_dir is not None else None, default_mesh_path
        )
        self._transport = transport or ThreadTransport(lambda: LinkPool(self._trust, settings=settings))
        self._owns_trust = transport is None

    # --- operations ----------------------------------------------------------------------------------

    def call(
        self, host_url: str, method: str, params: msgspec.Struct, *, timeout: float | None = None
    ) -> bytes:
        """Call an operation of a host and wait for its raw JSON result.

        Raises the ``PagletError`` that the host reports; ``RemoteHostError`` naming the host and why when it
        cannot be reached or does not answer in ``timeout`` seconds (default: the client's).
        """
        self._transport.require_other_thread()
        return self._wait(host_url, self.submit(host_url, method, params, timeout=timeout), timeout)

    def submit(
        self, host_url: str, method: str, params: msgspec.Struct, *, timeout: float | None = None
    ) -> concurrent.futures.Future[bytes]:
        """The same without waiting."""
        self._prepare(host_url)
        return self._transport.submit(host_url, method, params, timeout=self._bound(timeout))

    def get_json(self, url: str, *, timeout: float | None = None) -> Any:
        """Read one of a host's JSON resources, ``host.address + "/agents"`` for example.

        An error is raised as the class that the host reports; ``RemoteHostError`` when the host cannot be reached,
        does not answer in ``timeout`` seconds (default: the client's), or answers with what cannot be read.
        ``ValueError`` for a URL without a path.
        """
        host_url, resource = split_resource_url(url)
        self._transport.require_other_thread()
        self._prepare(host_url)
        bound = self._bound(timeout)
        body = self._wait(host_url, self._transport.fetch(host_url, resource, timeout=bound), timeout)
        try:
            return from_json(body)
        except SerializationError as error:
            raise RemoteHostError(
                f"the host at {host_url} answered {resource} with what cannot be read: {error}"
            ) from None

    @contextmanager
    def subscribe(
        self, host_url: str, method: str, params: msgspec.Struct, *, timeout: float | None = None
    ) -> Generator[Iterator[bytes]]:
        """Events of a host as they come, each one raw JSON.

        The iteration waits for the next event as long as it takes, and raises ``RemoteHostError`` when there
        will be no more: the host is gone, or this side was too slow.
        """
        arrived: queue.SimpleQueue[tuple[bytes | None, str]] = queue.SimpleQueue()
        self._transport.require_other_thread()
        self._prepare(host_url)
        begun = self._transport.subscribe(
            host_url,
            method,
            params,
            lambda event, why: arrived.put((event, why)),
            timeout=self._bound(timeout),
        )
        stop = self._wait(host_url, begun, timeout)
        try:
            yield _events(arrived)
        finally:
            self._transport.run_on_loop(stop)

    def proxy_for(self, host_url: str, agent_id: str) -> PagletProxy:
        """A handle to a paglet; nobody is asked."""
        return PagletProxy(host_url, agent_id, self)

    def lease_service(
        self, handle: ServiceHandle, *, ttl: float = DEFAULT_SERVICE_LEASE_TTL_SECONDS
    ) -> ServiceLease:
        """Keep a provider up until the lease is released or ``ttl`` seconds have passed."""
        url = handle.record.proxy.host_url
        calls = ServiceCalls(lambda method, params: self.call(url, method, params))
        return calls.lease(handle, ttl, direct=True)

    # --- its life ------------------------------------------------------------------------------------

    def close(self) -> None:
        """Close the connections and end the thread; a transport that was given is left alone."""
        if self._owns_trust:
            self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # --- inside --------------------------------------------------------------------------------------

    def _prepare(self, host_url: str) -> None:
        """Read the credentials here, on the caller's thread: files must not be waited for on the loop."""
        if self._owns_trust and not host_url.startswith("unix:"):
            self._trust.load()

    def _bound(self, timeout: float | None) -> float:
        return self.timeout if timeout is None else timeout

    def _wait(self, host_url: str, future: concurrent.futures.Future[T], timeout: float | None) -> T:
        try:
            return future.result(self._bound(timeout) + _MARGIN)
        except concurrent.futures.CancelledError:
            raise RemoteHostError(f"the call to {host_url} was given up: the client was closed") from None
        except TimeoutError:
            future.cancel()
            raise RemoteHostError(f"the host at {host_url} did not answer in time") from None


def _events(arrived: queue.SimpleQueue[tuple[bytes | None, str]]) -> Iterator[bytes]:
    while True:
        event, why = arrived.get()
        if event is None:
            raise RemoteHostError(why)
        yield event
