r"""Packing up: the leaving hook, the resources, the state - where it was asked for, or between two messages.

::

    HERE --depart (dispatch, retract, deactivate, dispose)--> AWAY --resume--> HERE
      \--depart (clone, checkpoint)--> HERE                     \--finish--> the process ends

AWAY: the handler thread takes no message, and calls of the paglet on its context raise ``LifecycleError``.
"""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager, nullcontext
from typing import IO, TYPE_CHECKING, Any, cast

from paglets.core.error_reports import report
from paglets.core.errors import LifecycleError
from paglets.runtime.child.hooks import clone_event, mobility_event, run_leaving_hook
from paglets.runtime.child.link import head_of
from paglets.runtime.child_specs import CallThread, Departure, DepartureKind
from paglets.runtime.frames import Cloned, Depart, Handled, Resume, SnapshotTaken
from paglets.runtime.memory_files import Payload, PayloadWriter
from paglets.serialization.codec import dataclass_to_wire
from paglets.serialization.state_pickle import dump_state

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from paglets.core.agent import Paglet
    from paglets.runtime.child.calls import Calls
    from paglets.runtime.child.context_host import ChildContextHost
    from paglets.runtime.child.link import ChildLink

logger = logging.getLogger(__name__)

_STAYS = {DepartureKind.CLONE, DepartureKind.CHECKPOINT}
_MOVES = {DepartureKind.DISPATCH, DepartureKind.RETRACT}


class Departures:
    """The departures of one paglet, one at a time."""

    def __init__(
        self,
        *,
        paglet: Paglet[Any],
        host: ChildContextHost,
        calls: Calls,
        link: ChildLink,
        enqueue: Callable[[Callable[[], None]], None],
        gate: threading.Lock,
    ) -> None:
        self._paglet = paglet
        self._host = host
        self._calls = calls
        self._link = link
        self._enqueue = enqueue
        self._gate = gate  # held by the handler thread while it works
        self._packing = threading.Lock()
        self._giving = threading.Lock()  # states are sent in the order in which they were taken
        self._asked_in: int | None = None
        self.away = False

    def take(self, frame: Depart | Resume | Cloned) -> None:
        """What the host wants with one; never waits."""
        match frame:
            case Depart(seq, departure):
                self.begin(seq, departure)
            case Resume(seq, event):
                self.resume(seq, event)
            case Cloned(seq, event):
                self.cloned(seq, event)

    def begin(self, seq: int, departure: Departure) -> None:
        """Take it to the thread where it belongs; never waits."""
        self._on_its_thread(seq, departure.call_id, lambda: self._depart(seq, departure))

    def resume(self, seq: int, event: dict[str, Any] | None) -> None:
        """The paglet stays: reopen, and run ``on_dispatch_failed`` on the thread that packed; never waits."""

        def work() -> None:
            self.away = False
            self._calls.reopen()
            if event is not None:
                with self._handler_kept_out():
                    self._paglet.on_dispatch_failed(mobility_event(self._paglet, self._host.place, event))
            self._link.answer(seq, b"null")

        self._on_its_thread(seq, self._asked_in, work)

    def cloned(self, seq: int, event: dict[str, Any]) -> None:
        """Run ``on_cloned`` on the thread that asked for the clone; never waits."""

        def work() -> None:
            with self._handler_kept_out():
                self._paglet.on_cloned(clone_event(self._paglet, self._host.place, event))
            self._link.answer(seq, b"null")

        self._on_its_thread(seq, self._asked_in, work)

    def handled(self, seq: int, result: bytes, error: BaseException | None) -> None:
        """Answer a message that has been handled, together with the state that it left.

        A state that cannot be given is the answer then: what the handler did would be lost in a crash.
        """
        told = None if error is None else report(error)
        with self._giving, self.state() as state:
            self._link.send(Handled(seq, result, told, head_of(state)), state)

    @contextmanager
    def state(self) -> Generator[Payload]:
        """The paglet's state, packed."""
        with PayloadWriter() as writer:
            with self._paglet.locked():
                wire = dataclass_to_wire(self._paglet.state)
            dump_state(wire, cast("IO[bytes]", writer))  # a pickler does nothing but write
            with writer.finish() as payload:
                yield payload

    def _on_its_thread(self, seq: int, call_id: int | None, work: Callable[[], None]) -> None:
        def guarded() -> None:
            try:
                work()
            except BaseException as error:  # the host waits for an answer, whatever ends this thread
                self._link.answer(seq, error=error)
                if not isinstance(error, Exception):
                    raise

        # A thread that does not wait any more (its call was a future's) leaves it to the handler's.
        if call_id is None or not self._calls.run_on(call_id, guarded):
            self._enqueue(guarded)

    def _depart(self, seq: int, departure: Departure) -> None:
        kind = departure.kind
        if kind is DepartureKind.CHECKPOINT:
            # On a thread of its own, perhaps: that keeps it from leaving no more.
            self._take(seq, departure, {})
            return
        if self.away or not self._packing.acquire(blocking=False):
            raise self._leaving_already()
        try:
            with self._handler_kept_out(departure.handler_wait):
                policy = run_leaving_hook(self._paglet, self._host.place, kind, departure.event)
                try:
                    self._take(seq, departure, policy)
                except Exception:
                    if kind in _MOVES:
                        self._tell_failed(departure.event)
                    raise
        finally:
            self._packing.release()

    def _take(self, seq: int, departure: Departure, policy: dict[str, Any]) -> None:
        """Clean up, take the state, close the context, send it all off."""
        stays = departure.kind in _STAYS
        if not stays:
            self._paglet.resources.cleanup()
        disposed = departure.kind is DepartureKind.DISPOSE
        with self._giving, nullcontext() if disposed else self.state() as state:
            if self.away:
                raise self._leaving_already()
            if departure.kind is not DepartureKind.CHECKPOINT:
                self._asked_in = departure.call_id
            if not stays:
                self.away = True
                self._calls.close(
                    f"paglet {self._paglet.agent_id} has left this process ({departure.kind.value}); "
                    "it can only return now"
                )
            self._link.send(SnapshotTaken(seq, None if state is None else head_of(state), policy), state)

    def _leaving_already(self) -> LifecycleError:
        return LifecycleError(f"paglet {self._paglet.agent_id} is leaving already")

    @contextmanager
    def _handler_kept_out(self, wait: float = 5.0) -> Generator[None]:
        """No message is handled inside; the handler thread's own work is not waited for."""
        if self._calls.role() is CallThread.HANDLER:
            yield
            return
        if self._paglet.holds_lock():
            raise LifecycleError(
                f"paglet {self._paglet.agent_id} cannot move inside locked(): a handler may wait for the lock"
            )
        if not self._gate.acquire(timeout=wait):
            raise LifecycleError(
                f"paglet {self._paglet.agent_id} cannot move now: a handler did not return within {wait:g} s"
            )
        try:
            yield
        finally:
            self._gate.release()

    def _tell_failed(self, event: dict[str, Any]) -> None:
        try:
            self._paglet.on_dispatch_failed(mobility_event(self._paglet, self._host.place, event))
        except Exception:
            logger.exception("on_dispatch_failed raised", extra={"agent_id": self._paglet.agent_id})
