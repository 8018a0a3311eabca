"""Talking to hosts from a program, synchronously and from any thread."""

from __future__ import annotations

import concurrent.futures
import queue
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from paglets.core.errors import RemoteHostError, SerializationError
from paglets.remote.client_artifacts import ClientArtifacts, ClientDesk, named
from paglets.remote.mesh_location import default_mesh_path
from paglets.remote.proxy import PagletProxy
from paglets.remote.service_calls import ServiceCalls
from paglets.remote.wire.addresses import split_resource_url
from paglets.remote.wire.lazy_trust import LazyTrust
from paglets.remote.wire.pool import LinkPool
from paglets.remote.wire.thread_transport import ThreadTransport
from paglets.serialization.values import from_json
from paglets.services.resident import DEFAULT_SERVICE_LEASE_TTL_SECONDS

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Generator, Iterator, Mapping
    from types import TracebackType

    import msgspec

    from paglets.artifacts.refs import ArtifactRef
    from paglets.remote.trust.credentials import MeshCredentials
    from paglets.remote.trust.signers import Signer
    from paglets.remote.wire.settings import WireSettings
    from paglets.remote.wire.transport import ClientTransport
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
        self._artifacts = ClientArtifacts(self._transport, self.call, self._signer)

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

    # --- artifacts -----------------------------------------------------------------------------------

    @property
    def artifact_desk(self) -> ClientDesk:
        """Artifacts as proxies and contexts use them."""
        return ClientDesk(self._artifacts, self.local_url or "")

    def upload_artifact(
        self,
        host_url: str,
        path: str | os.PathLike[str],
        *,
        owner_agent_id: str = "",
        name: str | None = None,
        compression: str = "",
        expires_at: float = 0.0,
        upload_id: str | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> ArtifactRef:
        """Have a host keep a copy of a file, by default under the file's name; takes as long as it takes.

        A connection that is lost is dialled again, and goes on where it broke off; with an ``upload_id`` of the
        caller's own a later call does, too. ``progress(bytes_done, bytes_total)`` is called on this thread.
        ``StorageQuotaError`` before a byte is sent that the host has no room for.
        """
        return self._artifacts.upload(
            host_url,
            path,
            owner_agent_id=owner_agent_id,
            name=name,
            compression=compression,
            expires_at=expires_at,
            upload_id=upload_id,
            progress=progress,
        )

    def download_artifact(
        self,
        artifact_or_url: ArtifactRef | Mapping[str, Any] | str,
        target: str | os.PathLike[str],
        artifact_id: str | None = None,
        *,
        move: bool = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> ArtifactRef:
        """Fetch an artifact into a file (or a directory, under its own name), whole or not at all.

        ``move``: delete it at its host once it is here, verified and durable. ``ValueError`` when a host's URL
        comes without an ``artifact_id``; ``TransferError`` when it does not have its checksum.
        """
        return self._artifacts.download(
            named(artifact_or_url, artifact_id), target, move=move, progress=progress
        )

    def artifact_metadata(
        self, artifact_or_url: ArtifactRef | Mapping[str, Any] | str, artifact_id: str | None = None
    ) -> ArtifactRef:
        """What its host says of an artifact; ``HostError`` when it has none of that id."""
        return self._artifacts.metadata(named(artifact_or_url, artifact_id))

    def list_artifacts(self, host_url: str, *, owner_agent_id: str | None = None) -> list[ArtifactRef]:
        """The artifacts of a host, or those of one owner."""
        return self._artifacts.list(host_url, owner_agent_id)

    def delete_artifact(
        self, artifact_or_url: ArtifactRef | Mapping[str, Any] | str, artifact_id: str | None = None
    ) -> bool:
        """Delete an artifact; whether it was there."""
        return self._artifacts.delete(named(artifact_or_url, artifact_id))

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

    def _signer(self, host_url: str) -> Signer | None:
        """Who signs what this client sends to a host; None at a local socket."""
        if not self._owns_trust:
            return self._transport.signer
        return None if host_url.startswith("unix:") else self._trust.load().signer

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
