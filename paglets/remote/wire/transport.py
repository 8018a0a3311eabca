"""From any thread to the loop that owns the connections."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from paglets.core.errors import HostError, PagletError
from paglets.remote.wire.addresses import HostAddress
from paglets.remote.wire.frames import encode_value

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    import msgspec

    from paglets.artifacts.store import ArtifactStore
    from paglets.remote.trust.signers import Signer
    from paglets.remote.wire.link import Receive
    from paglets.remote.wire.pending import Pending
    from paglets.remote.wire.pool import LinkPool

T = TypeVar("T")

_STOP_TIMEOUT = 10.0


class ClientTransport(Protocol):
    """What a ``HostClient`` calls through. Every method may be called from any thread, and none waits."""

    def submit(
        self, host_url: str, method: str, params: msgspec.Struct, *, timeout: float | None
    ) -> concurrent.futures.Future[bytes]:
        """Call an operation of a host: the raw JSON result."""
        ...

    def fetch(self, host_url: str, resource: str, *, timeout: float) -> concurrent.futures.Future[bytes]:
        """GET path and query of a host: the JSON body."""
        ...

    def subscribe(
        self, host_url: str, method: str, params: msgspec.Struct, receive: Receive, *, timeout: float
    ) -> concurrent.futures.Future[Callable[[], None]]:
        """Start a subscription; ``receive`` and the stop function run on the loop's thread."""
        ...

    def require_other_thread(self) -> None:
        """``HostError`` on the loop's own thread, where waiting would wait for itself."""
        ...

    def run(self, work: Callable[[LinkPool], Coroutine[Any, Any, T]]) -> concurrent.futures.Future[T]:
        """Run work over the connections, on their loop."""
        ...

    @property
    def signer(self) -> Signer | None:
        """Who signs what leaves through these connections; None: the client that uses them."""
        ...

    def artifacts_at(self, host_url: str) -> ArtifactStore | None:
        """The artifacts of that host, when it is in this program."""
        ...

    def run_on_loop(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` on the loop's thread, soon; never, once the transport is closed."""
        ...

    def close(self) -> None:
        """Let go of what the transport owns."""
        ...


class _Call(NamedTuple):
    """A call on its way to the loop."""

    address: HostAddress
    method: str
    params: bytes
    timeout: float | None
    answer: concurrent.futures.Future[bytes]


class PoolTransport:
    """A transport over a pool whose loop somebody else runs (a host)."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        pool: LinkPool,
        *,
        thread_id: int,
        resolve: Callable[[str], HostAddress] = HostAddress,
        signer: Signer | None = None,
    ) -> None:
        self.signer = signer
        self._loop = loop
        self._pool = pool
        self._thread_id = thread_id
        self._resolve = resolve
        self._submitted: deque[_Call] = deque()
        self._woken = False

    def submit(
        self, host_url: str, method: str, params: msgspec.Struct, *, timeout: float | None
    ) -> concurrent.futures.Future[bytes]:
        """Call an operation of a host: the raw JSON result."""
        answer: concurrent.futures.Future[bytes] = concurrent.futures.Future()
        call = _Call(self._resolve(host_url), method, encode_value(params), timeout, answer)
        self._submitted.append(call)
        if not self._woken:  # waking a loop costs more than a call; one that is woken takes whatever is there
            self._woken = True
            try:
                self._loop.call_soon_threadsafe(self._begin_submitted)
            except RuntimeError:
                raise HostError("this client is closed") from None
        return answer

    def _begin_submitted(self) -> None:
        self._woken = False  # first: who submits from here on wakes the loop anew
        while self._submitted:
            self._begin(self._submitted.popleft())

    def give_up(self) -> None:
        """Cancel what was submitted and will not be begun any more: the loop ends."""
        self._woken = False
        while self._submitted:
            answer = self._submitted.popleft().answer
            answer.cancel()
            answer.set_running_or_notify_cancel()

    def _begin(self, call: _Call) -> None:
        """On the loop."""
        address, method, params, timeout, answer = call
        try:
            work = self._pool.begin(address, method, params, timeout)
        except PagletError as error:  # the link is full, or was lost just now
            answer.set_exception(error)
            return
        answer.add_done_callback(lambda _: self._given_up(answer, work))
        work.add_done_callback(lambda _: _pass_on(work, answer))

    def _given_up(self, answer: concurrent.futures.Future[bytes], work: Pending[bytes]) -> None:
        if answer.cancelled() and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(work.cancel)

    def fetch(self, host_url: str, resource: str, *, timeout: float) -> concurrent.futures.Future[bytes]:
        """GET path and query of a host: the JSON body."""
        work = self._pool.fetch(self._resolve(host_url), resource, timeout=timeout)
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def subscribe(
        self, host_url: str, method: str, params: msgspec.Struct, receive: Receive, *, timeout: float
    ) -> concurrent.futures.Future[Callable[[], None]]:
        """Start a subscription."""
        work = self._pool.subscribe(self._resolve(host_url), method, params, receive, timeout=timeout)
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def run(self, work: Callable[[LinkPool], Coroutine[Any, Any, T]]) -> concurrent.futures.Future[T]:
        """Run work over the pool."""
        return asyncio.run_coroutine_threadsafe(work(self._pool), self._loop)

    def artifacts_at(self, host_url: str) -> ArtifactStore | None:
        """None: a pool belongs to no host that it knows of."""
        del host_url

    def require_other_thread(self) -> None:
        """``HostError`` on the loop's own thread."""
        if threading.get_ident() == self._thread_id:
            raise HostError("a synchronous call from the loop's own thread would wait for itself")

    def run_on_loop(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` on the loop's thread."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(callback)

    def close(self) -> None:
        """Nothing is owned here: the loop and the pool are the host's."""


class ThreadTransport:
    """A transport with a thread and a loop of its own, started by the first call."""

    def __init__(self, make_pool: Callable[[], LinkPool]) -> None:
        self._make_pool = make_pool
        self._lock = threading.Lock()
        self._inner: PoolTransport | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._closed = False

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
            thread, loop, stop = self._thread, self._loop, self._stop
            self._thread = self._inner = None
            if thread is None or loop is None or stop is None:
                return
            loop.call_soon_threadsafe(stop.set)
        thread.join(_STOP_TIMEOUT)

    def _started(self) -> PoolTransport:
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
        asyncio.run(self._serve(started))

    async def _serve(self, started: concurrent.futures.Future[PoolTransport]) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        pool = self._make_pool()
        transport = PoolTransport(self._loop, pool, thread_id=threading.get_ident())
        started.set_result(transport)
        try:
            await self._stop.wait()
        finally:
            await pool.close()
            transport.give_up()


def _pass_on(work: Pending[bytes], answer: concurrent.futures.Future[bytes]) -> None:
    if work.cancelled():
        answer.cancel()
        return
    error = work.exception()
    if not answer.set_running_or_notify_cancel():
        return  # the caller has given up
    if error is not None:
        answer.set_exception(error)
    else:
        answer.set_result(work.result())
