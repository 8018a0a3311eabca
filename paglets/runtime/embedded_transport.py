"""A host client's transport for the program that embeds the host: its own operations without a network."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any, TypeVar

from paglets.core.errors import HostError
from paglets.remote.api import MESSAGE_SEND, MessageParams
from paglets.remote.wire.transport import ForeignLoop, PoolTransport

if TYPE_CHECKING:
    import concurrent.futures
    from collections.abc import Callable, Coroutine

    import msgspec

    from paglets.artifacts.store import ArtifactStore
    from paglets.remote.trust.signers import Signer
    from paglets.remote.wire.link import Receive
    from paglets.remote.wire.pool import LinkPool
    from paglets.runtime.core import HostCore
    from paglets.runtime.listeners import ListenerThread
    from paglets.runtime.loop_thread import LoopThread

T = TypeVar("T")


class EmbeddedTransport:
    """A ``ClientTransport``. Made on the host's loop; the loop and the connections are the host's."""

    def __init__(self, core: HostCore, runner: LoopThread, listeners: ListenerThread) -> None:
        self._core = core
        self._runner = runner
        self._listeners = listeners
        self._remote = PoolTransport(
            ForeignLoop(asyncio.get_running_loop(), threading.get_ident()),
            core.neighbours.pool,
            resolve=lambda url: core.neighbours.peers.address("", url),
            signer=core.neighbours.trust.signer,
        )

    def submit(
        self, host_url: str, method: str, params: msgspec.Struct, *, timeout: float | None
    ) -> concurrent.futures.Future[bytes]:
        """Run an operation: here when the URL is this host's, over its links otherwise."""
        if self._core.ground.here.is_me(host_url):
            told = self._listeners.can_catch_up
            return self._runner.submit(self._bounded(method, params, timeout, told=told))
        if isinstance(params, MessageParams) and method == MESSAGE_SEND:
            return self._runner.submit(self._posted(host_url, params, timeout))
        return self._remote.submit(host_url, method, params, timeout=timeout)

    async def _posted(self, host_url: str, params: MessageParams, timeout: float | None) -> bytes:
        return await self._core.outbox_room.outbox.post("", host_url, params, timeout=timeout)

    async def _bounded(
        self, method: str, params: msgspec.Struct, timeout: float | None, *, told: bool
    ) -> bytes:
        try:
            async with asyncio.timeout(timeout):
                return await self._core.doors.operations.call_here(method, params)
        except TimeoutError:
            raise HostError(
                f"host {self._core.ground.here.name} did not finish {method} within {timeout:g} s"
            ) from None
        finally:
            if told:
                await self._listeners.caught_up()

    def fetch(self, host_url: str, resource: str, *, timeout: float) -> concurrent.futures.Future[bytes]:
        """GET path and query of a host."""
        return self._remote.fetch(host_url, resource, timeout=timeout)

    def subscribe(
        self, host_url: str, method: str, params: msgspec.Struct, receive: Receive, *, timeout: float
    ) -> concurrent.futures.Future[Callable[[], None]]:
        """Start a subscription."""
        return self._remote.subscribe(host_url, method, params, receive, timeout=timeout)

    def run(self, work: Callable[[LinkPool], Coroutine[Any, Any, T]]) -> concurrent.futures.Future[T]:
        """Run work over the host's connections."""
        return self._remote.run(work)

    @property
    def signer(self) -> Signer | None:
        """The host."""
        return self._remote.signer

    def artifacts_at(self, host_url: str) -> ArtifactStore | None:
        """The host's own, when it is meant."""
        return self._core.ground.artifacts if self._core.ground.here.is_me(host_url) else None

    def require_other_thread(self) -> None:
        """``HostError`` on the loop's own thread."""
        self._remote.require_other_thread()

    def run_on_loop(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` on the loop's thread."""
        self._remote.run_on_loop(callback)

    def close(self) -> None:
        """Nothing is owned here."""
