"""Paglets for the tests of the patterns. A module of its own, because their processes import it."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paglets.core.errors import TransferError
from paglets.patterns.operations import OperationHandlers, OperationPaglet
from paglets.patterns.tasks import TaskPaglet, TaskState, TaskStatus
from paglets.services.operations import ServiceOperation

if TYPE_CHECKING:
    from paglets.core.events import MobilityEvent
    from paglets.core.messages import Message
    from paglets.remote.proxy import PagletProxy


@dataclass
class WorkRequest:
    """What to do, and with what."""

    what: str = "double"
    number: int = 0
    target: str = ""
    seconds: float = 0.0
    marks: str = ""
    """A file that gets a line for each time that the work begins."""


@dataclass
class WorkResult:
    """What came of it."""

    number: int
    where: str = ""


@dataclass
class WorkState(TaskState):
    """Of a worker."""

    notes: list[str] = field(default_factory=list[str])


class OddError(Exception):
    """An error of the author's."""


class Worker(TaskPaglet[WorkRequest, WorkResult, WorkState]):
    """Does what the request says."""

    State = WorkState
    Request = WorkRequest
    Result = WorkResult

    def run_task(self, request: WorkRequest) -> WorkResult | PagletProxy | None:
        if request.marks:
            with Path(request.marks).open("a") as file:
                file.write(f"{self.context.name}\n")
        match request.what:
            case "double":
                return WorkResult(request.number * 2)
            case "slow":
                return self._slowly(request)
            case "raise":
                raise OddError("as asked")
            case "exit":
                raise SystemExit(3)
            case "odd":
                return self._odd()
            case "mutate":
                request.number += 1
                return WorkResult(request.number)
            case _:
                return self._leave(request)

    def _slowly(self, request: WorkRequest) -> WorkResult:
        self.wait_state(lambda state: "go" in state.notes, request.seconds)
        return WorkResult(request.number * 2, self.context.name)

    def _leave(self, request: WorkRequest) -> WorkResult | PagletProxy | None:
        match request.what:
            case "go":
                return self.dispatch(request.target)
            case "go-waiting":
                self.set_task_status(TaskStatus.WAITING_FOR_ARRIVAL)
                self.dispatch_to(request.target)
                return None
            case "try":
                try:
                    return self.dispatch("nowhere")
                except TransferError:
                    return self.dispatch(request.target)
            case "clones":
                for _ in range(request.number):
                    self.clone()
                return WorkResult(request.number)
            case "crash-once":
                if Path(request.marks).read_text().count("\n") == 1:
                    os._exit(7)
                return WorkResult(request.number)
            case "later":
                return None
            case _:
                raise ValueError(request.what)

    def _odd(self) -> Any:
        return 7

    def on_arrival(self, event: MobilityEvent) -> None:
        with self.locked_state() as state:
            state.notes.append(f"arrival@{event.host_name}")
        if self.state.task_run.left_host:
            self.complete_task(WorkResult(1, event.host_name))

    def handle_task_message(self, message: Message) -> Any:
        match message.kind:
            case "go-on":
                with self.locked_state() as state:
                    state.notes.append("go")
                self.notify_all_state_changed()
                return True
            case "notes":
                return self.state.notes
            case "complete":
                self.complete_task(WorkResult(message.args["number"]))
                return True
            case "crash":
                os._exit(9)
            case _:
                return self.not_handled()


class OnlyOnce(Worker):
    """Does not begin interrupted work again."""

    RUN_AGAIN = False


class OwnRun(Worker):
    """Its ``run()`` knows nothing of tasks."""

    def run(self) -> None:
        time.sleep(0)


@dataclass
class Sum:
    """A reply."""

    total: int = 0


@dataclass
class Addends:
    """A request."""

    numbers: list[int] = field(default_factory=list[int])


@dataclass
class AdderState:
    """Of an adder."""

    calls: int = 0


ADD = ServiceOperation("add", Addends, Sum)
COUNT = ServiceOperation("count", reply_type=Sum)
MISSING = ServiceOperation("missing")


class Adder(OperationPaglet[AdderState]):
    """Adds."""

    State = AdderState
    Operations = (ADD, COUNT, MISSING)

    def operation_handlers(self) -> OperationHandlers:
        return {ADD: self.add, COUNT: lambda _: Sum(self.state.calls)}

    def add(self, request: Addends) -> Sum:
        self.state.calls += 1
        return Sum(sum(request.numbers))

    def handle_operation_message(self, message: Message) -> Any:
        return "hello" if message.kind == "greet" else None
