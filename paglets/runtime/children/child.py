"""The host's handle on one child process: one paglet, in one incarnation."""

from __future__ import annotations

import asyncio
import itertools
import logging
import signal
from functools import partial
from typing import TYPE_CHECKING, Any

from paglets.core.error_reports import from_report
from paglets.core.errors import HostError, PagletCrashedError, SerializationError
from paglets.runtime.child_specs import Admitted, ClassFacts, Snapshot
from paglets.runtime.children.leaving import Leaving
from paglets.runtime.children.link import HostLink
from paglets.runtime.children.memory import resident_memory
from paglets.runtime.children.open_calls import OpenCalls, calls_room
from paglets.runtime.children.outcomes import ChildEnd, ChildOutcome, outcome_of
from paglets.runtime.children.output import OutputReader
from paglets.runtime.children.requests import Requests, StateAfter
from paglets.runtime.children.state_text import state_text
from paglets.runtime.frames import (
    Admit,
    AdmittedAnswer,
    Answer,
    ChildFrame,
    Cloned,
    Deliver,
    Describe,
    Described,
    Finish,
    FrameError,
    Handled,
    HostFrame,
    Inspect,
    MakeCall,
    PayloadHead,
    Place,
    Prepare,
    ReadState,
    Recall,
    Resume,
    Returned,
    RunEnded,
    RunHook,
    SnapshotTaken,
    StartRun,
    StateText,
    Wake,
    encode_frame,
)
from paglets.runtime.launchers.launcher import MOST_FIRST_BYTES
from paglets.runtime.memory_files import Payload

if TYPE_CHECKING:
    from collections.abc import Callable

    from paglets.core.fair_share import FairShare
    from paglets.core.incarnation import Incarnation
    from paglets.persistence.records import HookKind
    from paglets.runtime.child_specs import AdmitSpec, Departure, Limits, Message
    from paglets.runtime.children.owner import ChildOwner
    from paglets.runtime.children.requests import Recipient
    from paglets.runtime.launchers.launcher import LaunchedProcess, Launcher, LaunchRequest

logger = logging.getLogger(__name__)

_LINGER_SECONDS = 1.0
"""Between the end of the link and that of the process, either way round."""


_SAID_ALL = {ChildEnd.CRASHED, ChildEnd.EXITED, ChildEnd.LAUNCHER_LOST}
"""Ends after which everything that the child has sent was read."""


class Child:
    """One child process, from launch to exit.

    Every method that waits raises ``PagletCrashedError`` when the child ends first, and may be cancelled: the
    child then goes on with what it does, and its answer is dropped. Bounds in time are the caller's
    (``asyncio.timeout``). Errors raised by the paglet's own code arrive as the classes of the API page.
    """

    def __init__(
        self,
        process: LaunchedProcess,
        *,
        agent_id: str,
        incarnation: Incarnation,
        owner: ChildOwner,
        room: FairShare | None = None,
    ) -> None:
        self.agent_id = agent_id
        self.incarnation = incarnation
        self.pid = process.pid
        self.outcome: ChildOutcome | None = None
        self.admitted: Admitted | None = None
        """What its paglet's classes say, once it is admitted."""
        self.told_place = ("", "")
        """Name and address of the host, as it was told last."""
        self.first_state: Payload | None = None
        """The state that it began with, if that was asked for; closed with the child."""
        self._process = process
        self._owner = owner
        self._requests = Requests()
        self._calls = OpenCalls(agent_id, partial(owner.on_call, self), room or calls_room())
        self._output = OutputReader(process.output, agent_id, lambda lines: owner.on_output(self, lines))
        self._states = itertools.count(1)  # that the child has given, for their order
        self._link_ended = asyncio.Event()
        self._violation: str | None = None
        self._finishing = False
        self._killed = False
        try:
            self._link = HostLink(process.socket, self._take, self._end_of_link)
        except BaseException:
            self._output.close()
            raise
        self._leaving = Leaving(agent_id, self._link, self._requests)
        self._watch = asyncio.get_running_loop().create_task(self._until_ended())

    @classmethod
    async def launch(
        cls,
        launcher: Launcher,
        request: LaunchRequest,
        *,
        agent_id: str,
        incarnation: Incarnation,
        owner: ChildOwner,
        room: FairShare | None = None,
        prepares: Prepare | None = None,
    ) -> Child:
        """A fresh process that holds no paglet yet; ``HostError`` when there is none. Safe to cancel.

        ``room``: bytes of calls, shared with other children; None: it has what one may have. ``prepares``: what it
        is to be told by ``prepare``, which it then begins with by itself; raises as that.
        """
        first = _encoded(agent_id, prepares) if prepares is not None else b""
        fits = len(first) <= MOST_FIRST_BYTES
        process = await launcher.launch(request, first if fits else b"")
        try:
            child = cls(process, agent_id=agent_id, incarnation=incarnation, owner=owner, room=room)
        except BaseException:  # nobody would own it
            process.send_signal(signal.SIGKILL)
            process.socket.close()
            raise
        if prepares is not None:
            child.told_place = prepares.spec.host_name, prepares.spec.host_address
        if not fits:
            child._link.send_encoded(first)
        return child

    # --- its life ----------------------------------------------------------------------------------------

    def prepare(self, spec: AdmitSpec, size: int = 0) -> None:
        """Apply limits and import the classes; ``admit`` follows, and says what went wrong.

        ``size``: bytes of the payload that it will get; 0: none. ``SerializationError`` when ``spec`` is too long.
        """
        self._link.send_encoded(_encoded(self.agent_id, Prepare(spec, size)))
        self.told_place = spec.host_name, spec.host_address

    async def admit(self, state: Payload | None = None, *, gives_state: bool = False) -> Admitted:
        """Bring to life what was prepared: decode the state; no hook runs.

        ``state`` is a snapshot's payload (stays the caller's to close); None: ``state_json`` of what was prepared, or
        the defaults. ``InvalidAgentError`` for a class that may not or cannot run, ``SerializationError`` for a
        state that does not fit, ``HostError`` otherwise; the child has ended then, as it has when this is
        cancelled. ``gives_state``: the state that it begins with is in ``first_state`` then.
        """
        try:
            admitted: Admitted = await self._ask(
                Admitted, lambda seq: Admit(seq, _head(state), gives_state), state
            )
        except BaseException:
            self._finishing = True
            self._kill()
            await asyncio.shield(self._watch)
            raise
        self.admitted = admitted
        return admitted

    async def inspect(self, state: Payload, limits: Limits) -> bytes:
        """Instead of ``admit``: the payload as JSON text; the child ends. See ``inspect_state``."""
        self._finishing = True
        return await self._text(
            await self._ask(
                Payload, lambda seq: Inspect(seq, limits, PayloadHead(state.data, state.size)), state
            )
        )

    async def describe(self, spec: AdmitSpec) -> ClassFacts:
        """Instead of ``admit``: what the class of ``spec`` says of itself; the child ends. See ``describe_class``."""
        self._finishing = True
        return await self._ask(ClassFacts, lambda seq: Describe(seq, spec))

    async def run_hook(self, kind: HookKind, event: dict[str, Any], *, init: bytes = b"null") -> None:
        """Run ``on_creation``, ``on_arrival``, ``on_clone`` or ``on_activation``; raises what it raised.

        ``event``: the fields that the event has beyond ``PagletEvent``'s (``timestamp`` may be among them),
        plain JSON values; ``init``: JSON text, for creation.
        """
        await self._ask(bytes, lambda seq: RunHook(seq, kind, event, init))

    def start_run(self) -> None:
        """Start ``run()`` on its own thread, if there is one; its end is told by ``on_run_ended``. At most once."""
        self._link.send(StartRun())

    async def finish(self, grace: float = 5.0) -> ChildOutcome:
        """Let the handler return (its reply is still delivered) and ``run()`` end, then exit.

        It is killed after ``grace`` seconds. Calls of the child that are under way are still answered.
        """
        self._finishing = True
        self._link.send(Finish())
        done, _ = await asyncio.wait([self._watch], timeout=grace)
        return await self.kill() if not done else await self.wait_ended()

    async def kill(self) -> ChildOutcome:
        """End it now."""
        self._kill()
        return await self.wait_ended()

    async def wait_ended(self) -> ChildOutcome:
        """Until the process is gone."""
        return await asyncio.shield(self._watch)

    # --- messages and state ------------------------------------------------------------------------------

    @property
    def takes_messages(self) -> bool:
        """Whether a message can be handed to it without waiting for anything."""
        return self._leaving.is_undone and self._link.has_room

    async def until_it_takes_messages(self) -> None:
        """Until what was given up is undone, and there is room, or the child has ended."""
        await self._leaving.undone()
        await self._link.drain()

    def hand(self, message: Message, recipient: Recipient) -> None:
        """Have one message handled. Handled in the order of the calls; see ``takes_messages``.

        The recipient gets the reply as JSON text, or ``NotHandledError`` when the paglet does not know it; an
        exception outside the listed classes is a ``HostError`` with type and text, the traceback in its notes;
        ``MessageReturnedError`` when it was recalled, the paglet had packed, or its process ended, before the
        message's turn came. With it comes the state after the message, when the class wants that to be durable
        before anybody hears of it. It is told after this has returned.
        """
        seq = self._requests.open_delivery(recipient)
        try:
            self._link.send(Deliver(seq, message))
        except FrameError as error:
            cannot = _cannot_be_told(self.agent_id, error)
            cannot.__cause__ = error
            self._requests.fail_delivery(seq, cannot)

    async def recall(self) -> None:
        """Have messages that are not begun with given back: their ``deliver`` raises ``MessageReturnedError``.

        Returns when all of them have been.
        """
        await self._leaving.undone()
        await self._ask(bytes, Recall)

    async def read_state(self) -> bytes:
        """The state as JSON text, while handlers and ``run()`` go on; ``SerializationError`` when it is too long."""
        return await self._text(await self._ask(Payload, ReadState))

    def wake(self, *, everyone: bool = False) -> None:
        """``notify_message()`` (or ``notify_all_messages()``) for those in ``wait_message``."""
        self._link.send(Wake(everyone))

    def set_place(self, host_name: str, host_address: str) -> None:
        """The host is called, or found, differently from now on."""
        self._link.send(Place(host_name, host_address))
        self.told_place = host_name, host_address

    # --- departures --------------------------------------------------------------------------------------

    async def begin_departure(self, departure: Departure) -> Snapshot:
        """Run the leaving hook, clean up resources, take the state; see ``Departure``.

        An error of the hook, of a resource (``ResourceCleanupError``) or of the state
        (``SerializationError``) cancels it: the paglet goes on, ``on_dispatch_failed`` has run if anything
        was cleaned up for a move, and there is nothing to resume. Otherwise calls of the paglet on its
        context raise ``LifecycleError`` (but not after a clone or a checkpoint) until ``resume``. The
        snapshot's payload is the caller's to close. Cancelled, it is undone as soon as the paglet has packed.
        """
        return await self._leaving.begin(departure)

    async def resume(self, event: dict[str, Any] | None = None) -> None:
        """It stays after all: reopen the context, run ``on_dispatch_failed`` if there is an event for it."""
        await self._ask(bytes, lambda seq: Resume(seq, event))

    async def cloned(self, event: dict[str, Any]) -> None:
        """Run ``on_cloned`` in the original; ``event`` as for ``run_hook``, with ``clone_agent_id``."""
        await self._ask(bytes, lambda seq: Cloned(seq, event))

    # --- what can be seen of it --------------------------------------------------------------------------

    def memory(self) -> int:
        """Resident memory in bytes: the proportional share where the kernel tells it; 0 when it has ended.

        Takes a fraction of a millisecond in the kernel: for many children, call it off the loop.
        """
        return 0 if self.outcome is not None else resident_memory(self.pid)

    # --- inside ------------------------------------------------------------------------------------------

    async def _ask(
        self,
        kind: type[Any],
        frame_of: Callable[[int], HostFrame],
        payload: Payload | None = None,
    ) -> Any:
        await self._link.drain()
        descriptors = [payload.fileno()] if payload is not None and payload.data is None else []
        seq, answer = self._requests.open(kind)
        try:
            try:
                self._link.send(frame_of(seq), descriptors)
            except FrameError as error:
                raise _cannot_be_told(self.agent_id, error) from error
            return await answer
        finally:
            self._requests.forget(seq)

    async def _text(self, payload: Payload) -> bytes:
        try:
            return await state_text(payload)
        except FrameError as error:
            self._link.violate(str(error))
            raise HostError(f"paglet {self.agent_id} did not tell its state: it sent {error}") from error

    def _take(self, frame: ChildFrame) -> None:
        match frame:
            case Answer(seq, result, error):
                if not self._requests.handled(seq, result, error, None):
                    self._take_answer(seq, result, error)
            case Handled(seq, result, error, state):
                self._take_handled(seq, result, error, StateAfter(self._payload(state), next(self._states)))
            case Returned(seq):
                self._requests.give_back(seq)
            case MakeCall():
                self._calls.begin(self._link, frame)
            case AdmittedAnswer(seq, admitted, head):
                if head is not None and self.first_state is None:
                    self.first_state = self._payload(head)
                self._requests.answer(seq, admitted)
            case Described(seq, facts):
                self._requests.answer(seq, facts)
            case SnapshotTaken(seq, head, policy):
                state = None if head is None else self._payload(head)
                snapshot = Snapshot(state=state, policy=policy, order=next(self._states))
                self._leaving.taken(seq, snapshot)
            case StateText(seq, head):
                self._requests.answer(seq, self._payload(head))
            case RunEnded(error):
                self._owner.on_run_ended(self, None if error is None else from_report(error))

    def _take_handled(self, seq: int, result: bytes, error: dict[str, Any] | None, after: StateAfter) -> None:
        taken = False
        try:
            taken = self._requests.handled(seq, result, error, after)
            if not taken:
                self._take_answer(seq, result, error)
        finally:
            if not taken:
                after.payload.close()

    def _take_answer(self, seq: int, result: bytes, error: dict[str, Any] | None) -> None:
        if error is None:
            self._requests.answer(seq, result)
            return
        self._leaving.failed(seq)
        self._requests.fail(seq, error)

    def _payload(self, head: PayloadHead) -> Payload:
        if head.data is not None:
            return Payload(head.data)
        try:
            return Payload.received(self._link.take_descriptor(), head.size)
        except ValueError as error:
            raise FrameError(str(error)) from error

    def _end_of_link(self, violation: str | None) -> None:
        self._violation = violation
        self._link_ended.set()

    def _kill(self) -> None:
        if not self._process.exit.done():
            self._killed = True
            self._process.send_signal(signal.SIGKILL)

    async def _until_ended(self) -> ChildOutcome:
        """Owns the child to its end: waits for link and process, settles what is open, tells the owner."""
        link_ended = asyncio.get_running_loop().create_task(self._link_ended.wait())
        await asyncio.wait([link_ended, self._process.exit], return_when=asyncio.FIRST_COMPLETED)
        if not self._process.exit.done():
            closed_early = self._violation is None and not self._killed
            if self._violation is None:  # most probably it is exiting just now
                await asyncio.wait([self._process.exit], timeout=_LINGER_SECONDS)
            if not self._process.exit.done():
                if closed_early and not self._finishing:
                    self._violation = ""
                self._process.send_signal(signal.SIGKILL)
        status = await self._process.exit
        # Its last frames and lines may be still to be read: a reply that was sent is a reply.
        self._link.read_out()
        await asyncio.wait([link_ended], timeout=_LINGER_SECONDS)
        link_ended.cancel()
        self._link.close()
        self._output.close()
        self.outcome = outcome_of(
            status, finishing=self._finishing, killed=self._killed, violation=self._violation
        )
        self._requests.fail_all(
            PagletCrashedError(f"the process of paglet {self.agent_id} ended: {self.outcome}"),
            in_order=self.outcome.end in _SAID_ALL and self._link_ended.is_set(),
        )
        self._leaving.end()
        if self.first_state is not None:
            self.first_state.close()
        await self._calls.aclose()
        if self.outcome.end is not ChildEnd.FINISHED:
            logger.log(
                logging.DEBUG if self.outcome.wanted else logging.WARNING,
                "a child ended",
                extra={"agent_id": self.agent_id, "pid": self.pid, "outcome": str(self.outcome)},
            )
        self._owner.on_exit(self, self.outcome)
        return self.outcome


def _encoded(agent_id: str, frame: HostFrame) -> bytes:
    try:
        return encode_frame(frame)
    except FrameError as error:
        raise _cannot_be_told(agent_id, error) from error


def _cannot_be_told(agent_id: str, error: FrameError) -> SerializationError:
    return SerializationError(f"this cannot be told to paglet {agent_id}: {error}")


def _head(payload: Payload | None) -> PayloadHead | None:
    return None if payload is None else PayloadHead(payload.data, payload.size)
