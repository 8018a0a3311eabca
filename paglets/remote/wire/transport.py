"""From any thread to the loop that owns the connections."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from paglets.core.cork import cork_of
from paglets.core.errors import HostError, PagletError
from paglets.remote.replies import RawReply
from paglets.remote.wire.addresses import HostAddress
from paglets.remote.wire.frames import encode_value

if TYPE_CHECKING:
    import concurrent.futures
    from collections.abc import Callable, Coroutine

    import msgspec

    from paglets.artifacts.store import ArtifactStore
    from paglets.remote.trust.signers import Signer
    from paglets.remote.wire.link import Receive
    from paglets.remote.wire.pending import Pending
    from paglets.remote.wire.pool import LinkPool

T = TypeVar("T")

_MANY = 8
"""Calls of one host under way from which on its next ones leave together."""
_MOMENT = 0.001
"""Seconds between calls that do."""


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
    answer: RawReply


class Loop(Protocol):
    """The loop of a pool, as threads see it that do not own it."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop itself."""
        ...

    @property
    def is_mine(self) -> bool:
        """Whether the calling thread runs it just now."""
        ...

    def answer(self) -> RawReply:
        """A future for something on it."""
        ...

    def at_once(self, work: Callable[[], bool]) -> bool:
        """Do something short on the calling thread, if the loop does not run; whether that was done."""
        ...

    def hold(self) -> None:
        """Something is expected of it that no thread waits for in the result of an ``answer``."""
        ...

    def let_go(self) -> None:
        """End of ``hold``."""
        ...


class ForeignLoop:
    """A loop that a thread runs all the time."""

    def __init__(self, loop: asyncio.AbstractEventLoop, thread_id: int) -> None:
        self.loop = loop
        self._thread_id = thread_id

    @property
    def is_mine(self) -> bool:
        """Whether the calling thread runs it."""
        return threading.get_ident() == self._thread_id

    def answer(self) -> RawReply:
        """One that is waited for as any future is."""
        return RawReply()

    def at_once(self, work: Callable[[], bool]) -> bool:
        """Never: it runs."""
        del work
        return False

    def hold(self) -> None:
        """It runs anyway."""

    def let_go(self) -> None:
        """It runs anyway."""


class PoolTransport:
    """A transport over a pool whose loop somebody else runs (a host), or that is shared by those who call."""

    def __init__(
        self,
        loop: Loop,
        pool: LinkPool,
        *,
        resolve: Callable[[str], HostAddress] = HostAddress,
        signer: Signer | None = None,
    ) -> None:
        self.signer = signer
        self._shared = loop
        self._loop = loop.loop
        self._pool = pool
        self._resolve = resolve
        self._submitted: deque[_Call] = deque()
        self._woken = False
        self._cork = cork_of(self._loop)
        self._begun_at = 0.0

    def submit(
        self, host_url: str, method: str, params: msgspec.Struct, *, timeout: float | None
    ) -> concurrent.futures.Future[bytes]:
        """Call an operation of a host: the raw JSON result."""
        answer = self._shared.answer()
        call = _Call(self._resolve(host_url), method, encode_value(params), timeout, answer)
        if not self._submitted and self._shared.at_once(lambda: self._begin_at_once(call)):
            return answer
        self._submitted.append(call)
        if not self._woken:  # waking a loop costs more than a call; one that is woken takes whatever is there
            self._woken = True
            try:
                self._loop.call_soon_threadsafe(self._begin_submitted)
            except RuntimeError:
                raise HostError("this client is closed") from None
        return answer

    def _begin_at_once(self, call: _Call) -> bool:
        """On the calling thread, while nobody runs the loop: send it, if nothing has to be waited for.

        Now, or with the next ones: where the host has many before it, and another was begun a moment ago.
        """
        earlier, self._begun_at = self._begun_at, time.monotonic()
        if self._pool.under_way(call.address) < _MANY or self._begun_at - earlier > _MOMENT:
            self._cork.release()
            return self._begin(call, self._pool.begin_now)
        return self._cork.gather(lambda: self._begin(call, self._pool.begin_now))

    def _begin_submitted(self) -> None:
        self._woken = False  # first: who submits from here on wakes the loop anew
        calls = self._submitted
        # Not those that come meanwhile: they have the next turn of the loop.
        here = (calls.popleft() for _ in range(len(calls)))
        try:
            self._cork.work_off(here, self._begin_submitted_one)
        finally:
            if calls and not self._woken:  # it was interrupted
                self._woken = True
                self._loop.call_soon(self._begin_submitted)

    def _begin_submitted_one(self, call: _Call) -> None:
        try:
            self._begin(call, self._pool.begin)
        except BaseException:
            call.answer.cancel()
            raise

    def give_up(self) -> None:
        """Cancel what was submitted and will not be begun any more: the loop ends."""
        self._woken = False
        while self._submitted:
            self._submitted.popleft().answer.cancel()

    def _begin(
        self, call: _Call, begin: Callable[[HostAddress, str, bytes, float | None], Pending[bytes] | None]
    ) -> bool:
        """On the loop; whether ``begin`` took it."""
        address, method, params, timeout, answer = call
        try:
            work = begin(address, method, params, timeout)
        except PagletError as error:  # the link is full, or was lost just now
            if answer.begin():
                answer.set_exception(error)
            return True
        if work is None:
            return False
        answer.when_given_up(lambda: self._give_up(work))
        work.add_done_callback(lambda _: _pass_on(work, answer))
        return True

    def _give_up(self, work: Pending[bytes]) -> None:
        with suppress(RuntimeError):  # the loop is closed, and with it all work
            self._loop.call_soon_threadsafe(work.cancel)

    def fetch(self, host_url: str, resource: str, *, timeout: float) -> concurrent.futures.Future[bytes]:
        """GET path and query of a host: the JSON body."""
        return self._started(self._pool.fetch(self._resolve(host_url), resource, timeout=timeout))

    def subscribe(
        self, host_url: str, method: str, params: msgspec.Struct, receive: Receive, *, timeout: float
    ) -> concurrent.futures.Future[Callable[[], None]]:
        """Start a subscription."""
        return self._started(self._subscribe(host_url, method, params, receive, timeout))

    async def _subscribe(
        self, host_url: str, method: str, params: msgspec.Struct, receive: Receive, timeout: float
    ) -> Callable[[], None]:
        over = _Once(self._shared.let_go)

        def received(event: bytes | None, why: str) -> None:
            if event is None:
                over()
            receive(event, why)

        self._shared.hold()
        try:
            stop = await self._pool.subscribe(
                self._resolve(host_url), method, params, received, timeout=timeout
            )
        except BaseException:
            over()
            raise

        def ended() -> None:
            over()
            stop()

        return ended

    def run(self, work: Callable[[LinkPool], Coroutine[Any, Any, T]]) -> concurrent.futures.Future[T]:
        """Run work over the pool."""
        return self._started(work(self._pool))

    def _started(self, work: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        self._shared.hold()
        try:
            future = asyncio.run_coroutine_threadsafe(work, self._loop)
        except BaseException:
            self._shared.let_go()
            raise
        future.add_done_callback(lambda _: self._shared.let_go())
        return future

    def artifacts_at(self, host_url: str) -> ArtifactStore | None:
        """None: a pool belongs to no host that it knows of."""
        del host_url

    def require_other_thread(self) -> None:
        """``HostError`` on the thread that runs the loop."""
        if self._shared.is_mine:
            raise HostError("a synchronous call from the loop's own thread would wait for itself")

    def run_on_loop(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` on the loop's thread."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(callback)

    def close(self) -> None:
        """Nothing is owned here: the loop and the pool are the host's."""


class _Once:
    """Calls something once, however often it is called."""

    def __init__(self, call: Callable[[], None]) -> None:
        self._call: Callable[[], None] | None = call

    def __call__(self) -> None:
        call, self._call = self._call, None
        if call is not None:
            call()


def _pass_on(work: Pending[bytes], answer: RawReply) -> None:
    if work.cancelled():
        answer.cancel()
        return
    error = work.exception()
    if not answer.begin():
        return  # the caller has given up
    if error is not None:
        answer.set_exception(error)
    else:
        answer.set_result(work.result())
