"""Asking a task from outside, with types."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from paglets.core.errors import ServiceContractError
from paglets.patterns.operations import OperationClient
from paglets.patterns.payloads import decode_payload, encode_payload
from paglets.patterns.task_protocol import (
    TASK_START,
    TASK_STATUS,
    TASK_WAIT,
    TaskStartRequest,
    TaskStatus,
    TaskWaitRequest,
)

if TYPE_CHECKING:
    from paglets.patterns.task_protocol import TaskStatusReply
    from paglets.patterns.tasks import TaskPaglet
    from paglets.remote.proxy import PagletProxy

RequestT = TypeVar("RequestT")
ResultT = TypeVar("ResultT")
AskedT = TypeVar("AskedT")
FoundT = TypeVar("FoundT")

MIN_ASKING_INTERVAL = 0.02
"""Seconds between two questions of a waiting client to a task that answers at once without being done."""
ANSWER_GRACE = 10.0
"""Seconds for a question to get there and back, beyond what the task may wait with its answer."""


@dataclass(frozen=True, slots=True)
class TaskSnapshot(Generic[ResultT]):
    """A task as it was when it answered. Times are seconds since the epoch, 0: not yet."""

    status: TaskStatus
    done: bool
    result: ResultT | None
    """None while there is none."""
    error: str
    """Why it failed; empty unless it has."""
    started_at: float
    completed_at: float
    agent_id: str
    host_name: str
    """Where it was."""
    host_url: str


class TaskClient(Generic[RequestT, ResultT]):
    """Starts a task and asks how far it is, wherever it has gone meanwhile. Made by ``for_paglet``."""

    def __init__(self, proxy: PagletProxy, request_type: type[RequestT], result_type: type[ResultT]) -> None:
        self.proxy = proxy
        self._client = OperationClient(proxy)
        self._request_type = request_type
        self._result_type = result_type

    @staticmethod
    def for_paglet(
        proxy: PagletProxy, cls: type[TaskPaglet[AskedT, FoundT, Any]]
    ) -> TaskClient[AskedT, FoundT]:
        """A client of the task at ``proxy``, typed as its class ``cls`` says."""
        return TaskClient(proxy, cls.request_class(), cls.result_class())

    def start(self, request: RequestT, *, timeout: float | None = None) -> TaskSnapshot[ResultT]:
        """Start the task; returns when it runs, and a quick one has ended by then.

        ``LifecycleError`` while it runs already, ``ServiceContractError`` for a request of another type.
        """
        wire = encode_payload(f"the request to {self.proxy.agent_id}", self._request_type, request)
        return self._snapshot(self._client.call(TASK_START, TaskStartRequest(wire), timeout=timeout))

    def status(self) -> TaskSnapshot[ResultT]:
        """How far it is now."""
        return self._snapshot(self._client.call(TASK_STATUS))

    def wait(self, *, wait_timeout: float = 0.5) -> TaskSnapshot[ResultT]:
        """Wait until it is done, at most ``wait_timeout`` seconds; look at ``done`` to see which it was."""
        return self._wait(wait_timeout, time.monotonic() + wait_timeout)

    def start_and_wait(
        self, request: RequestT, *, wait_timeout: float = 0.5, timeout: float | None = None
    ) -> TaskSnapshot[ResultT]:
        """Start it and wait until it is done, at most ``timeout`` seconds; None: as long as it takes.

        ``wait_timeout`` is how long the task keeps each question; between two of them it handles other messages.
        When the time is up, the snapshot is not ``done``, and the task goes on.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        snapshot = self.start(request, timeout=timeout)
        if snapshot.done or timeout == 0:
            return snapshot
        return self._wait(wait_timeout, deadline)

    def _wait(self, each: float, deadline: float | None) -> TaskSnapshot[ResultT]:
        while True:
            began = time.monotonic()
            left = each if deadline is None else min(each, deadline - began)
            asked = TaskWaitRequest(max(0.0, left))
            reply = self._client.call(TASK_WAIT, asked, timeout=asked.wait_timeout + ANSWER_GRACE)
            now = time.monotonic()
            if reply.done or (deadline is not None and now >= deadline):
                return self._snapshot(reply)
            # It answers early while it is about to move, and keeps no question for longer than its own bound.
            if now - began < MIN_ASKING_INTERVAL:
                time.sleep(MIN_ASKING_INTERVAL)

    def _snapshot(self, reply: TaskStatusReply) -> TaskSnapshot[ResultT]:
        return TaskSnapshot(
            status=reply.status,
            done=reply.done,
            result=self._result(reply),
            error=reply.error,
            started_at=reply.started_at,
            completed_at=reply.completed_at,
            agent_id=reply.agent_id,
            host_name=reply.host_name,
            host_url=reply.host_url,
        )

    def _result(self, reply: TaskStatusReply) -> ResultT | None:
        if not reply.result and reply.status is not TaskStatus.COMPLETED:
            return None
        try:
            return decode_payload(f"the result of {reply.agent_id}", self._result_type, reply.result)
        except ServiceContractError:
            if reply.result:
                raise
            return None  # it was said to be completed, without a result
