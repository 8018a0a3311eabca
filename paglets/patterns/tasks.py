"""Tasks: a request, work that takes its time and may move, a result. The task is the paglet.

::

    class Count(TaskPaglet[CountRequest, CountResult, TaskState]):
        State, Request, Result = TaskState, CountRequest, CountResult

        def run_task(self, request: CountRequest) -> CountResult:
            return CountResult(sum(1 for _ in Path(request.path).open()))

    snapshot = TaskClient.for_paglet(proxy, Count).start_and_wait(CountRequest("/etc/hosts"))

What is promised:

- ``start`` answers within ``START_PATIENCE`` seconds; the work goes on in a thread of its own, so the paglet
  answers ``status``, ``wait`` and its other messages meanwhile. That a task was started is durable before
  ``start`` answers, and that it has ended before any of the three says so.
- Work that is interrupted - its host stopped, its process crashed, somebody moved or parked the paglet - is
  begun again from its request at the next life of the paglet (``RUN_AGAIN``), at the latest when somebody asks.
- Work that moves the paglet itself is not: it returns the proxy (or None) and goes on in the hooks or the
  ``run()`` of the copy that arrives, which calls ``complete_task`` or ``fail_task``. A move that never
  happened, seen so only after a restart, counts as an interruption.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import threading
import time
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, cast

from paglets.core.agent import Paglet, PagletContext
from paglets.core.errors import HostError, LifecycleError, PagletError
from paglets.patterns.payloads import decode_payload, encode_payload
from paglets.patterns.task_client import TaskClient, TaskSnapshot
from paglets.patterns.task_protocol import (
    ENDED,
    TASK_CONTRACT,
    TASK_START,
    TASK_STATUS,
    TASK_WAIT,
    TaskRun,
    TaskStartRequest,
    TaskState,
    TaskStatus,
    TaskStatusReply,
    TaskWaitRequest,
)
from paglets.remote.proxy import PagletProxy
from paglets.services.operations import EmptyPayload

if TYPE_CHECKING:
    from collections.abc import Generator

    from paglets.core.messages import Message
    from paglets.remote.transfer import TransferTicket

__all__ = [
    "TASK_CONTRACT", "TASK_START", "TASK_STATUS", "TASK_WAIT", "EmptyPayload", "TaskClient", "TaskPaglet",
    "TaskSnapshot", "TaskStartRequest", "TaskState", "TaskStatus", "TaskStatusReply", "TaskWaitRequest",
]  # fmt: skip

logger = logging.getLogger(__name__)

RequestT = TypeVar("RequestT")
ResultT = TypeVar("ResultT")
TaskStateT = TypeVar("TaskStateT", bound=TaskState)

START_PATIENCE = 0.1
"""Seconds that ``start`` waits for quick work to end, so that one question is enough for it."""
MAX_WAIT = 4.0
"""Seconds that ``wait`` keeps a question at most: less than a move from a thread waits for a handler (5 s)."""


class TaskPaglet(Paglet[TaskStateT], Generic[RequestT, ResultT, TaskStateT]):
    """Base of tasks. Subclasses name ``State``, ``Request`` and ``Result``, and say what ``run_task`` does."""

    Request: type[RequestT]
    """The dataclass of the request (or ``dict``)."""
    Result: type[ResultT]
    """The dataclass of the result (or ``dict``)."""
    RUN_AGAIN: ClassVar[bool] = True
    """Whether interrupted work is begun again. If not, the task is FAILED, and its error says so."""

    def __init__(self, state: TaskStateT | None = None, *, agent_id: str | None = None) -> None:
        super().__init__(state, agent_id=agent_id)
        self.__worker: threading.Thread | None = None
        self.__undisturbed = 0
        self.__ends = 0
        self.__ends_kept = 0
        """How many of its ends are durable. What an earlier life ended is durable already."""

    # --- for authors -------------------------------------------------------------------------------------

    def run_task(self, request: RequestT) -> ResultT | PagletProxy | None:
        """Do the work; the result, or None or a proxy when the task goes on elsewhere.

        Runs on a thread of its own beside the handlers: what both touch belongs under ``locked()``. An
        exception makes the task FAILED.
        """
        raise NotImplementedError(f"{type(self).__qualname__} has no run_task")

    def handle_task_message(self, message: Message) -> Any:
        """Answer a message that is none of a task's own."""
        del message
        return self.not_handled()

    def complete_task(self, result: ResultT, *, status: TaskStatus = TaskStatus.COMPLETED) -> None:
        """The task is done, with this result; ``ServiceContractError`` when it is of another type."""
        wire = encode_payload(f"the result of {type(self).__qualname__}", self.result_class(), result)
        with self.locked_state() as state:
            state.result = wire
            state.error = ""
            self._set_status(status, done=True)
        self.notify_all_state_changed()

    def fail_task(self, error: BaseException | str) -> None:
        """The task is done, without a result; of an exception the type is told, too."""
        with self.locked_state() as state:
            state.error = error if isinstance(error, str) else _told(error)
            self._set_status(TaskStatus.FAILED, done=True)
        self.notify_all_state_changed()

    def set_task_status(self, status: TaskStatus, *, done: bool | None = None) -> None:
        """Say how far the task is; ``done`` None: when the status is COMPLETED or FAILED."""
        with self.locked():
            self._set_status(status, done=status in ENDED if done is None else done)
        self.notify_all_state_changed()

    def task_status_reply(self) -> TaskStatusReply:
        """How far the task is, and where."""
        context = self._context()
        with self.locked_state() as state:
            return TaskStatusReply(
                status=state.status,
                done=state.done,
                result=dict(state.result),
                error=state.error,
                started_at=state.started_at,
                completed_at=state.completed_at,
                agent_id=self.agent_id,
                host_name="" if context is None else context.name,
                host_url="" if context is None else context.address,
            )

    @classmethod
    def request_class(cls) -> type[RequestT]:
        """What the class names as its ``Request``; ``HostError`` when that is nothing usable."""
        return cast("type[RequestT]", _named(cls, "Request"))

    @classmethod
    def result_class(cls) -> type[ResultT]:
        """What the class names as its ``Result``; ``HostError`` when that is nothing usable."""
        return cast("type[ResultT]", _named(cls, "Result"))

    # --- as a paglet -------------------------------------------------------------------------------------

    def run(self) -> None:
        """Begin interrupted work again. An override calls ``super().run()``, or it waits for somebody to ask."""
        self._resume()

    def handle_message(self, message: Message) -> Any:
        """Answer ``start``, ``status`` and ``wait``; the rest goes to ``handle_task_message``."""
        self._resume()
        handlers = {TASK_START: self._start, TASK_STATUS: self._status, TASK_WAIT: self._wait}
        return TASK_CONTRACT.route(message, handlers, default=self.handle_task_message)

    def dispatch(self, target: str | TransferTicket) -> PagletProxy:
        """As ``Paglet.dispatch``."""
        with self._leaving():
            return super().dispatch(target)

    def dispatch_to(self, name_or_url: str) -> PagletProxy:
        """As ``Paglet.dispatch_to``."""
        with self._leaving():
            return super().dispatch_to(name_or_url)

    def clone(self, target: str | TransferTicket | None = None) -> PagletProxy:
        """As ``Paglet.clone``. The clone does not run the task again."""
        with self._waits_ended():
            return super().clone(target)

    def clone_to(self, name_or_url: str) -> PagletProxy:
        """As ``Paglet.clone_to``. The clone does not run the task again."""
        with self._waits_ended():
            return super().clone_to(name_or_url)

    # --- the three operations ----------------------------------------------------------------------------

    def _start(self, asked: TaskStartRequest) -> TaskStatusReply:
        what = f"the request to {type(self).__qualname__}"
        request = decode_payload(what, self.request_class(), asked.request)
        with self.locked_state() as state:
            if state.status is not TaskStatus.NEW and not state.done:
                raise LifecycleError(
                    f"task {self.agent_id} is {state.status.name} already; wait until it is done"
                )
            before = {each.name: getattr(state, each.name) for each in fields(TaskState)}
            state.request = encode_payload(what, self.request_class(), request)
            state.result, state.error = {}, ""
            state.started_at, state.completed_at = time.time(), 0.0
            state.task_run = TaskRun(self.agent_id)
            self._set_status(TaskStatus.RUNNING, done=False)
        if self._context() is None:
            self._work(request)
            return self.task_status_reply()
        try:
            self.checkpoint()
        except BaseException:
            with self.locked_state() as state:
                for name, value in before.items():
                    setattr(state, name, value)
            raise
        self._begin(request)
        self.wait_state(
            lambda: self._settled() or self.state.status is not TaskStatus.RUNNING, START_PATIENCE
        )
        return self._durable_reply()

    def _status(self, _: EmptyPayload) -> TaskStatusReply:
        return self._durable_reply()

    def _wait(self, asked: TaskWaitRequest) -> TaskStatusReply:
        self.wait_state(self._settled, min(max(0.0, asked.wait_timeout), MAX_WAIT))
        return self._durable_reply()

    def _durable_reply(self) -> TaskStatusReply:
        """How far the task is; nobody is told of an end that a power cut could still take back."""
        reply = self.task_status_reply()
        if reply.done and self.__ends_kept != self.__ends and self._context() is not None:
            self._keep()
        return reply

    def _settled(self) -> bool:
        return self.state.done or self.__undisturbed > 0

    # --- the work ----------------------------------------------------------------------------------------

    def _begin(self, request: RequestT) -> None:
        self.__worker = threading.Thread(target=self._work, args=(request,), name="paglets-task", daemon=True)
        self.__worker.start()

    def _work(self, request: RequestT) -> None:
        try:
            result = self.run_task(request)
            if result is not None and not isinstance(result, PagletProxy):
                self.complete_task(result)
        except LifecycleError as error:
            if self._has_left():
                return  # interrupted: what is to be done stands in the state that has left
            self.fail_task(error)
        except (Exception, SystemExit) as error:
            logger.info("a task failed", extra={"agent_id": self.agent_id}, exc_info=True)
            self.fail_task(error)
        with self.locked_state() as state:
            state.task_run = TaskRun()
        if self._context() is not None:
            self._keep()

    def _keep(self) -> None:
        """Make the end of the work durable, if the paglet is still here."""
        ends = self.__ends
        try:
            self.checkpoint()
            self.__ends_kept = ends
        except LifecycleError:
            logger.debug("a task has left", extra={"agent_id": self.agent_id}, exc_info=True)
        except PagletError:
            logger.warning(
                "the end of a task is not durable yet", extra={"agent_id": self.agent_id}, exc_info=True
            )

    def _has_left(self) -> bool:
        if self._context() is None:
            return False
        try:
            self.checkpoint()
        except LifecycleError:
            return True
        except PagletError:
            return False
        return False

    def _resume(self) -> None:
        """Begin work again that an earlier life of the paglet did not end."""
        context = self._context()
        if context is None:
            return
        with self.locked_state() as state:
            run = state.task_run
            interrupted = run.agent_id == self.agent_id and run.left_host in {"", context.name}
            if state.done or not interrupted or (self.__worker is not None and self.__worker.is_alive()):
                return
            state.task_run = TaskRun(self.agent_id if self.RUN_AGAIN else "")
            if not self.RUN_AGAIN:
                self.fail_task("its work was interrupted, and is not begun again")
                return
            try:
                # A copy: the work may change its request, and the state keeps the one it was asked with.
                wire = copy.deepcopy(state.request)
                request = decode_payload("the request in its state", self.request_class(), wire)
            except PagletError as error:
                self.fail_task(error)
                return
            self._set_status(TaskStatus.RUNNING, done=False)
            logger.info("interrupted work begins again", extra={"agent_id": self.agent_id})
            self._begin(request)

    # --- private -----------------------------------------------------------------------------------------

    def _context(self) -> PagletContext | None:
        try:
            return self.context
        except HostError:
            return None

    def _set_status(self, status: TaskStatus, *, done: bool) -> None:
        state = self.state
        state.status, state.done = status, done
        if done:
            state.completed_at = time.time()
            self.__ends += 1

    @contextlib.contextmanager
    def _waits_ended(self) -> Generator[None]:
        """Answers ``wait`` at once inside: what leaves from a thread has to wait for the handlers."""
        with self.locked():
            self.__undisturbed += 1
        self.notify_all_state_changed()
        try:
            yield
        finally:
            with self.locked():
                self.__undisturbed -= 1

    @contextlib.contextmanager
    def _leaving(self) -> Generator[None]:
        """Remembers inside, for the state that moves, that it was the work itself that moved."""
        own = threading.current_thread() is self.__worker
        with self.locked_state() as state:
            before, state.task_run.left_host = (
                state.task_run.left_host,
                self.context.name if own else state.task_run.left_host,
            )
        try:
            with self._waits_ended():
                yield
        except BaseException:
            with self.locked_state() as state:
                state.task_run.left_host = before
            raise


def _told(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001 - an author's error that cannot say what it is about
        return type(error).__name__


def _named(cls: type[Any], attribute: str) -> type[Any]:
    named: object = getattr(cls, attribute, None)
    if isinstance(named, type) and (is_dataclass(named) or named is dict):
        return cast("type[Any]", named)
    raise HostError(f"{cls.__qualname__}.{attribute} must name the dataclass of its {attribute.lower()}")
