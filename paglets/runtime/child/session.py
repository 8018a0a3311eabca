"""A paglet at work in its process: which thread does what.

- the main thread handles: hooks, messages, snapshots asked for from outside, one after the other
- whoever waits reads the link, and a thread that stands by for when nobody does (``Reading``)
- ``run()`` has a thread of its own
- what listens (callbacks of futures) and what looks (the state, for a reader outside) share another
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections import deque
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, cast

from paglets.core.agent import NOT_HANDLED, Paglet
from paglets.core.context import PagletContext
from paglets.core.error_reports import report
from paglets.core.errors import HostError, LifecycleError, NotHandledError, SerializationError
from paglets.core.messages import Message
from paglets.core.policies import CheckpointMode
from paglets.core.wire_fields import checked
from paglets.remote.proxy import PagletProxy
from paglets.runtime.child.calls import Calls
from paglets.runtime.child.context_host import ChildContextHost
from paglets.runtime.child.departures import Departures
from paglets.runtime.child.hooks import defines, run_arriving_hook
from paglets.runtime.child.reading import Reading
from paglets.runtime.child.state_text import send_state_text
from paglets.runtime.child_specs import CallThread
from paglets.runtime.frames import (
    CallResult,
    Cloned,
    Deliver,
    Depart,
    Finish,
    HostFrame,
    Place,
    ReadState,
    Recall,
    Resume,
    Returned,
    RunEnded,
    RunHook,
    StartRun,
    Wake,
)
from paglets.serialization.codec import dataclass_to_wire
from paglets.serialization.values import from_json, to_json

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from paglets.runtime import child_specs as specs
    from paglets.runtime.child.link import ChildLink
    from paglets.runtime.child_specs import AdmitSpec
    from paglets.runtime.memory_files import Payload

logger = logging.getLogger(__name__)

_STATE_TRIES = 20
_BODY = {"args": dict, "reply_to": (str, type(None))}
"""What a message says beside its ``arg``, which may be anything."""


class Session:
    """One admitted paglet and its threads."""

    def __init__(self, link: ChildLink, paglet: Paglet[Any], spec: AdmitSpec) -> None:
        self._link = link
        self._paglet = paglet
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._messages: deque[tuple[int, specs.Message]] = deque()  # not begun with; any thread may take them
        self._handling = threading.Lock()
        self._aside = _Aside()
        self._run: threading.Thread | None = None
        self._reading = Reading(link, self._take, _exit)
        self._calls = Calls(link, self._reading, self._aside.put)
        self._host = ChildContextHost(paglet, spec, self._calls)
        self._departures = Departures(
            paglet=paglet,
            host=self._host,
            calls=self._calls,
            link=link,
            enqueue=self._jobs.put,
            gate=self._handling,
        )
        self._keeps = type(paglet).CHECKPOINT.mode is CheckpointMode.EVERY_MESSAGE
        paglet.attach(PagletContext(self._host, paglet.agent_id))
        PagletProxy.process_client = self._calls

    def serve(self) -> int:
        """Work until the host says that it is done; the exit code. To be called on the main thread."""
        self._calls.name_thread(CallThread.HANDLER)
        self._link.standing_by = self._reading.start().native_id or 0
        self._work()
        if self._run is not None:
            self._run.join()
        return 0

    def rehearse(self, frame: HostFrame) -> None:
        """Do what this frame asks for, as if the host had sent it, on the calling thread alone."""
        self._calls.name_thread(CallThread.HANDLER)
        self._take(frame)
        self._jobs.put(None)
        self._work()

    def state(self) -> AbstractContextManager[Payload]:
        """The paglet's state as it is, before any thread is at work on it."""
        return self._departures.state()

    def _work(self) -> None:
        while (job := self._reading.next_of(self._jobs)) is not None:
            with self._handling:
                job()

    def _take(self, frame: HostFrame) -> None:
        match frame:
            case CallResult():
                self._calls.take(frame)
            case Deliver(seq, message):
                self._messages.append((seq, message))
                self._jobs.put(self._next_message)
            case Recall(seq):
                self._give_back(seq)
            case RunHook(seq, kind, event, init):
                place = self._host.place
                self._jobs.put(
                    lambda: self._answer(
                        seq, lambda: run_arriving_hook(self._paglet, place, kind, event, init)
                    )
                )
            case Depart() | Resume() | Cloned():
                self._departures.take(frame)
            case ReadState(seq):
                self._aside.put(lambda: self._tell_state(seq))
            case StartRun():
                self._start_run()
            case Wake(everyone):
                self._host.wake(everyone=everyone)
            case Place(name, address):
                self._host.move_to(name, address)
            case Finish():
                self._jobs.put(None)
                self._end_waits()
            case _:
                raise HostError("a child is admitted once")

    def _answer(self, seq: int, work: Callable[[], bytes | None]) -> None:
        try:
            result = work()
        except Exception as error:
            logger.debug("a request of the host failed", exc_info=True)
            self._link.answer(seq, error=error)
        else:
            self._link.answer(seq, b"null" if result is None else result)

    def _next_message(self) -> None:
        try:
            seq, message = self._messages.popleft()
        except IndexError:
            return  # it was given back
        if self._departures.away:
            self._link.send(Returned(seq))
        elif self._keeps:
            self._answer_kept(seq, message)
        else:
            self._answer(seq, lambda: self._handle(message))

    def _answer_kept(self, seq: int, message: specs.Message) -> None:
        """Handle it; the state that it left goes with the answer, whatever the handler ended with."""
        result, failure = b"null", None
        try:
            result = self._handle(message)
        except Exception as error:
            logger.debug("a message was not handled well", exc_info=True)
            failure = error
        if not self._departures.away:
            try:
                self._departures.handled(seq, result, failure)
            except Exception as error:
                logger.debug("the state after a message could not be given", exc_info=True)
                failure = error
            else:
                return
        self._link.answer(seq, result, failure)

    def _give_back(self, recall: int) -> None:
        with contextlib.suppress(IndexError):
            while True:
                # From behind: what the handler's thread takes meanwhile is still the first of those that are left.
                seq, _ = self._messages.pop()
                self._link.send(Returned(seq))
        self._link.answer(recall, b"null")

    def _handle(self, sent: specs.Message) -> bytes:
        message = _opened(sent)
        reply = self._paglet.handle_message(message)
        if reply is NOT_HANDLED:
            raise NotHandledError(
                f"{type(self._paglet).__qualname__} does not handle messages of kind {message.kind!r}"
            )
        return to_json(reply)

    def _tell_state(self, seq: int) -> None:
        try:
            send_state_text(self._link, seq, self._state())
        except Exception as error:
            logger.debug("the state could not be told", exc_info=True)
            self._link.answer(seq, error=error)

    def _state(self) -> dict[str, Any]:
        """The state's plain values, read beside those who change it: again when it has changed meanwhile."""
        for _ in range(_STATE_TRIES):
            try:
                return dataclass_to_wire(self._paglet.state)
            except RuntimeError:  # "changed size during iteration"
                continue
        raise HostError(f"the state of paglet {self._paglet.agent_id} changes too fast to be read")

    def _end_waits(self) -> None:
        """What waits for a change of a paglet that has left would keep the process from its end."""
        reason = f"paglet {self._paglet.agent_id} has left this process"
        self._host.end_waits(reason)
        if not self._paglet.end_waits(reason, blocking=False):  # somebody has its lock, perhaps for long
            self._aside.put(lambda: self._paglet.end_waits(reason))

    def _start_run(self) -> None:
        # What it is by now: a hook may have set it. Most have none, and a thread would be started for nothing.
        if self._run is None and defines(self._paglet, "run"):
            self._run = threading.Thread(target=self._run_paglet, name="paglets-run", daemon=True)
            self._run.start()

    def _run_paglet(self) -> None:
        self._calls.name_thread(CallThread.RUN)
        error: dict[str, Any] | None = None
        try:
            self._paglet.run()
        except Exception as raised:
            if isinstance(raised, LifecycleError) and self._departures.away:
                logger.debug("run() ended, as the paglet has left", exc_info=True)
            else:
                logger.exception("run() raised")
                error = report(raised)
        finally:
            self._link.send(RunEnded(error))


def _opened(sent: specs.Message) -> Message:
    """The message as the paglet sees it; ``SerializationError`` for a body that is none."""
    body = from_json(sent.body)
    if not isinstance(body, dict):
        raise SerializationError("the body of a message is a JSON object")
    fields = cast("dict[str, Any]", body)
    own: dict[str, Any] = {"args": fields.get("args") or {}, "reply_to": fields.get("reply_to")}
    return Message(
        **checked("Message", own, _BODY),
        kind=sent.kind,
        arg=fields.get("arg"),
        sender=sent.sender,
        priority=sent.priority,
        message_type=sent.message_type,
        timestamp=sent.timestamp,
        message_id=sent.message_id,
    )


def _exit() -> None:
    """The host has gone: whatever the threads of this process are at, it is over."""
    os._exit(0)


class _Aside:
    """A thread for what must not hold up the others; started when there is something for it."""

    def __init__(self) -> None:
        self._jobs: SimpleQueue[Callable[[], object]] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def put(self, job: Callable[[], object]) -> None:
        self._jobs.put(job)
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="paglets-aside", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        while True:
            try:
                self._jobs.get()()
            except Exception:
                logger.exception("a listener raised")
