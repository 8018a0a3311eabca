"""A program's own transport: a loop that its threads share."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import threading
import weakref
from typing import TYPE_CHECKING, Any, TypeVar

from paglets.core.cork import CorkedLoop
from paglets.core.errors import HostError
from paglets.remote.wire.shared_loop import SharedLoop
from paglets.remote.wire.transport import PoolTransport

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    import msgspec

    from paglets.artifacts.store import ArtifactStore
    from paglets.remote.trust.signers import Signer
    from paglets.remote.wire.link import Receive
    from paglets.remote.wire.pool import LinkPool

T = TypeVar("T")

_STOP_TIMEOUT = 10.0


class ThreadTransport:
    """A transport with a loop of its own, which whoever calls runs; a thread stands by, started by the first call."""

    def __init__(self, make_pool: Callable[[], LinkPool]) -> None:
        self._make_pool = make_pool
        self._lock = threading.Lock()
        self._inner: PoolTransport | None = None
        self._thread: threading.Thread | None = None
        self._shared: SharedLoop | None = None
        self._closed = False
        self._at_exit: weakref.finalize[..., Any] | None = None

    def submit(
        self, host_url: str, method: str, params: msgspec.Struct, *, timeout: float | None
    ) -> concurrent.futures.Future[bytes]:
        """Call an operation of a host: the raw JSON result."""
        return self._started().submit(host_url, method, params, timeout=timeout)

    def fetch(self, host_url: str, resource: str, *, timeout: float) -> concurrent.futures.Future[bytes]:
        """GET path and query of a host: the JSON body."""
        return self._started().fetch(host_url, resource, timeout=timeout)

    def subscribe(
        self, host_url: str, method: str, params: msgspec.Struct, receive: Receive, *, timeout: float
    ) -> concurrent.futures.Future[Callable[[], None]]:
        """Start a subscription."""
        return self._started().subscribe(host_url, method, params, receive, timeout=timeout)

    def run(self, work: Callable[[LinkPool], Coroutine[Any, Any, T]]) -> concurrent.futures.Future[T]:
        """Run work over the pool."""
        return self._started().run(work)

    @property
    def signer(self) -> Signer | None:
        """None: the client that has this thread."""
        return None

    def artifacts_at(self, host_url: str) -> ArtifactStore | None:
        """None: no host is in this thread."""
        del host_url

    def require_other_thread(self) -> None:
        """``HostError`` on the loop's own thread."""
        if self._inner is not None:
            self._inner.require_other_thread()

    def run_on_loop(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` on the loop's thread."""
        with self._lock:
            if self._inner is not None:
                self._inner.run_on_loop(callback)

    def close(self) -> None:
        """Close the connections and end the thread; calls that wait fail. May be called twice."""
        with self._lock:
            self._closed = True
            thread, shared = self._thread, self._shared
            self._thread = self._inner = None
            if self._at_exit is not None:
                self._at_exit.detach()
        if thread is not None and shared is not None:
            shared.end()
            thread.join(_STOP_TIMEOUT)

    def _started(self) -> PoolTransport:
        if self._inner is not None:
            return self._inner
        with self._lock:
            if self._closed:
                raise HostError("this client is closed")
            if self._inner is None:
                started: concurrent.futures.Future[PoolTransport] = concurrent.futures.Future()
                self._thread = threading.Thread(
                    target=self._main, args=(started,), name="paglets-client", daemon=True
                )
                self._thread.start()
                self._inner = started.result()
            return self._inner

    def _main(self, started: concurrent.futures.Future[PoolTransport]) -> None:
        with asyncio.Runner(loop_factory=CorkedLoop) as runner:
            pool = runner.run(self._open())
            shared = self._shared = SharedLoop(runner.get_loop(), pool.discard_links)
            # A program that ends without closing its client has had sent what it asked for.
            self._at_exit = weakref.finalize(self, _flush, shared, os.getpid())
            transport = PoolTransport(shared, pool)
            started.set_result(transport)
            shared.serve()
            runner.run(pool.close())
            transport.give_up()

    async def _open(self) -> LinkPool:
        return self._make_pool()


def _flush(shared: SharedLoop, process: int) -> None:
    if os.getpid() == process:  # and not in one that was forked off: its connections are the other's
        shared.flush()
