"""What a paglet asks of its host: calls that wait, and the work that comes to a waiting thread meanwhile."""

from __future__ import annotations

import itertools
import threading
from concurrent.futures import Future
from queue import SimpleQueue
from typing import TYPE_CHECKING

import msgspec

from paglets.core.error_reports import from_report
from paglets.core.errors import LifecycleError, PagletError, SerializationError
from paglets.remote.moved import MovedReply
from paglets.runtime.child_specs import CallThread
from paglets.runtime.frames import CallResult, FrameError, MakeCall

if TYPE_CHECKING:
    from collections.abc import Callable

    from paglets.runtime.child.artifact_desk import ChildArtifactDesk
    from paglets.runtime.child.link import ChildLink
    from paglets.runtime.child.reading import Reading


class Calls:
    """Calls of a child to its host, by number. A ``ProxyClient`` for the proxies of the paglet.

    A thread that waits in ``call`` is also there for work that belongs on it: a move that it asked for packs
    up on that very thread.
    """

    local_url: str
    """The address of the host that this child belongs to."""

    def __init__(
        self,
        link: ChildLink,
        reading: Reading,
        aside: Callable[[Callable[[], None]], None],
        local_url: str = "",
    ) -> None:
        self.local_url = local_url
        self.reading = reading
        """For those who wait for what comes over the link."""
        self._link = link
        self._aside = aside
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._waiting: dict[int, SimpleQueue[CallResult | Callable[[], None]]] = {}
        self._futures: dict[int, Future[bytes]] = {}
        self._roles: dict[int, CallThread] = {}
        self._closed: str | None = None

    @property
    def artifact_desk(self) -> ChildArtifactDesk:
        """Artifacts and files through this link."""
        # Few paglets have any, and each would pay for the import.
        from paglets.runtime.child.artifact_desk import ChildArtifactDesk  # noqa: PLC0415

        return ChildArtifactDesk(self)

    def name_thread(self, role: CallThread) -> None:
        """The calling thread is the handler's, or that of ``run()``."""
        self._roles[threading.get_ident()] = role

    def role(self) -> CallThread:
        """What the calling thread is."""
        return self._roles.get(threading.get_ident(), CallThread.OTHER)

    def close(self, reason: str) -> None:
        """Refuse calls from now on, with a ``LifecycleError``; those that wait still get their answers."""
        self._closed = reason

    def reopen(self) -> None:
        """Allow calls again."""
        self._closed = None

    def check_open(self) -> None:
        """``LifecycleError`` when the paglet has left."""
        if self._closed is not None:
            raise LifecycleError(self._closed)

    def call(
        self,
        host_url: str,
        method: str,
        params: msgspec.Struct,
        *,
        timeout: float | None = None,
        descriptor: int | None = None,
    ) -> bytes:
        """Have the host run an operation; the result as raw JSON, or the error it reports.

        ``descriptor``: an open file for the operation; it stays the caller's.
        """
        number = next(self._numbers)
        inbox: SimpleQueue[CallResult | Callable[[], None]] = SimpleQueue()
        self._waiting[number] = inbox
        try:
            self._ask(number, host_url, method, params, timeout, descriptor)
            while not isinstance(came := self.reading.next_of(inbox), CallResult):
                came()
        finally:
            with self._lock:
                del self._waiting[number]
        return _result(came)

    def submit(
        self, host_url: str, method: str, params: msgspec.Struct, *, timeout: float | None = None
    ) -> Future[bytes]:
        """The same without waiting."""
        number = next(self._numbers)
        future: Future[bytes] = Future()
        self._futures[number] = future
        try:
            self._ask(number, host_url, method, params, timeout)
        except BaseException:
            del self._futures[number]
            raise
        self.reading.expect(number)
        if number not in self._futures:  # it has come in between
            self.reading.came(number)
        return future

    def take(self, result: CallResult) -> None:
        """The host has answered; one that nobody waits for is dropped."""
        if (inbox := self._waiting.get(result.id)) is not None:
            inbox.put(result)
        elif (future := self._futures.pop(result.id, None)) is not None:
            self.reading.came(result.id)
            # What listens to a future is the author's, and may take its time.
            self._aside(lambda: _settle(future, result))

    def run_on(self, number: int, work: Callable[[], None]) -> bool:
        """Have the thread that waits in this call do some work first; False when none waits there."""
        with self._lock:
            inbox = self._waiting.get(number)
            if inbox is None:
                return False
            inbox.put(work)
            return True

    def _ask(
        self,
        number: int,
        host_url: str,
        method: str,
        params: msgspec.Struct,
        timeout: float | None,
        descriptor: int | None = None,
    ) -> None:
        self.check_open()
        body = msgspec.json.encode(params)
        try:
            self._link.send(
                MakeCall(number, host_url, method, body, self.role(), timeout, descriptor is not None),
                descriptor=descriptor,
            )
        except FrameError as error:
            raise SerializationError(f"{method} cannot be asked for: {error}") from error


def _result(answer: CallResult) -> bytes:
    if answer.error is not None:
        raise from_report(answer.error)
    return MovedReply.at(answer.result, answer.moved_to) if answer.moved_to else answer.result


def _settle(future: Future[bytes], answer: CallResult) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(_result(answer))
    except PagletError as error:
        future.set_exception(error)
