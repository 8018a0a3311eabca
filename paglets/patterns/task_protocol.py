r"""What a task and those who ask it agree on: its statuses, its state, its three operations.

::

    NEW --start--> RUNNING --result--> COMPLETED
                     |  \--error---> FAILED
                     v
            WAITING_FOR_ARRIVAL --the arrived copy completes or fails--> COMPLETED, FAILED
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from paglets.core.agent import PagletState
from paglets.services.contracts import ServiceContract
from paglets.services.operations import EmptyPayload, ServiceOperation


class TaskStatus(Enum):
    """How far a task is."""

    NEW = "NEW"
    RUNNING = "RUNNING"
    WAITING_FOR_ARRIVAL = "WAITING_FOR_ARRIVAL"
    """It is on its way to the host where it goes on."""
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"


ENDED = frozenset({TaskStatus.COMPLETED, TaskStatus.FAILED})
"""The statuses that nothing follows but another start."""


@dataclass(slots=True)
class TaskRun:
    """Who is inside ``run_task``: what tells an interrupted run from one that goes on elsewhere."""

    agent_id: str = ""
    """The paglet whose ``run_task`` has not returned; a clone has another id, and does not run it again."""
    left_host: str = ""
    """The host that it left from within ``run_task``: on another one it arrived, on that one it never left."""


@dataclass
class TaskState(PagletState):
    """State of a task; subclasses add fields of their own. Times are seconds since the epoch, 0: not yet."""

    status: TaskStatus = TaskStatus.NEW
    done: bool = False
    request: dict[str, Any] = field(default_factory=dict[str, Any])
    """The request that it was started with, as plain data."""
    result: dict[str, Any] = field(default_factory=dict[str, Any])
    """The result, as plain data."""
    error: str = ""
    started_at: float = 0.0
    completed_at: float = 0.0
    # By keyword only, so that the fields of subclasses come right behind those above.
    task_run: TaskRun = field(default_factory=TaskRun, kw_only=True)
    """Kept by ``TaskPaglet``."""


@dataclass(slots=True)
class TaskStartRequest:
    """Start with this request, as plain data."""

    request: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(slots=True)
class TaskWaitRequest:
    """Wait until the task is done, so many seconds at most."""

    wait_timeout: float = 0.5


@dataclass(slots=True)
class TaskStatusReply:
    """How far a task is, and where. Times as in ``TaskState``; the result as plain data."""

    status: TaskStatus
    done: bool
    result: dict[str, Any] = field(default_factory=dict[str, Any])
    error: str = ""
    started_at: float = 0.0
    completed_at: float = 0.0
    agent_id: str = ""
    host_name: str = ""
    """Empty for a task that is on no host."""
    host_url: str = ""


TASK_START = ServiceOperation("start", TaskStartRequest, TaskStatusReply)
TASK_STATUS = ServiceOperation("status", EmptyPayload, TaskStatusReply)
TASK_WAIT = ServiceOperation("wait", TaskWaitRequest, TaskStatusReply)
TASK_CONTRACT = ServiceContract("paglets.task", (TASK_START, TASK_STATUS, TASK_WAIT))
"""The three together; every ``TaskPaglet`` answers them."""
