"""Tasks on real hosts, and without any."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, cast

import pytest

from paglets.core.errors import HostError, LifecycleError, NotHandledError, PagletError, ServiceContractError
from paglets.core.messages import Message
from paglets.patterns.operations import OperationClient
from paglets.patterns.task_protocol import TaskRun
from paglets.patterns.tasks import (
    MAX_WAIT,
    TASK_START,
    TASK_STATUS,
    TASK_WAIT,
    TaskClient,
    TaskPaglet,
    TaskSnapshot,
    TaskStartRequest,
    TaskState,
    TaskStatus,
    TaskStatusReply,
    TaskWaitRequest,
)
from paglets.serialization.codec import dataclass_from_wire, dataclass_to_wire
from tests.host.support import ask, eventually
from tests.patterns.agents import OnlyOnce, OwnRun, Worker, WorkRequest, WorkResult, WorkState

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from paglets.core.context import PagletContext
    from paglets.remote.proxy import PagletProxy
    from paglets.runtime.host import Host

Client = TaskClient[WorkRequest, WorkResult]


def worker(host: Host, cls: type[Worker] = Worker) -> tuple[PagletProxy, Client]:
    proxy = host.create(cls)
    return proxy, TaskClient.for_paglet(proxy, cls)


# --- without a host -----------------------------------------------------------------------------------------


def started(task: Worker, request: WorkRequest) -> TaskStatusReply:
    asked = TASK_START.to_message(TaskStartRequest(dataclass_to_wire(request)))
    return TASK_START.decode_reply(task.handle_message(asked))


def test_without_a_host_the_work_is_done_in_the_handler() -> None:
    task = Worker(agent_id="me")
    assert task.task_status_reply() == TaskStatusReply(TaskStatus.NEW, done=False, agent_id="me")
    reply = started(task, WorkRequest(number=4))
    assert (reply.status, reply.done, reply.result) == (
        TaskStatus.COMPLETED,
        True,
        {"number": 8, "where": ""},
    )
    assert 0 < reply.started_at <= reply.completed_at
    again = TASK_STATUS.decode_reply(task.handle_message(TASK_STATUS.to_message()))
    assert again == reply
    assert started(task, WorkRequest("raise")).error == "OddError: as asked"


def test_an_error_makes_it_failed() -> None:
    task = Worker()
    for what, said in (("raise", "OddError: as asked"), ("exit", "SystemExit: 3"), ("odd", "not a int")):
        reply = started(task, WorkRequest(what))
        assert (reply.status, reply.done, reply.result) == (TaskStatus.FAILED, True, {})
        assert said in reply.error


def test_what_an_author_sets() -> None:
    task = Worker()
    task.set_task_status(TaskStatus.WAITING_FOR_ARRIVAL)
    assert (task.state.status, task.state.done) == (TaskStatus.WAITING_FOR_ARRIVAL, False)
    with pytest.raises(LifecycleError, match="WAITING_FOR_ARRIVAL already"):
        started(task, WorkRequest())
    task.complete_task(WorkResult(3))
    assert (task.state.status, task.state.done, task.state.result["number"]) == (
        TaskStatus.COMPLETED,
        True,
        3,
    )
    task.fail_task("no more")
    assert (task.state.status, task.state.error) == (TaskStatus.FAILED, "no more")
    task.set_task_status(TaskStatus.RUNNING, done=True)
    assert task.state.done
    wrong: Any = WorkRequest()
    with pytest.raises(ServiceContractError, match="the result of Worker is a WorkResult"):
        task.complete_task(wrong)


def test_the_work_does_not_change_what_it_was_asked() -> None:
    task = Worker()
    assert started(task, WorkRequest("mutate", 1)).result["number"] == 2
    assert task.state.request["number"] == 1


def test_a_request_of_another_shape_starts_nothing() -> None:
    task = Worker()
    with pytest.raises(ServiceContractError, match="the request to Worker"):
        task.handle_message(Message("start", {"request": {"number": "four"}}))
    with pytest.raises(ServiceContractError):
        task.handle_message(Message("start", {"request": 5}))
    assert task.state.status is TaskStatus.NEW


def test_waiting_ends_when_it_is_done_or_the_time_is_up() -> None:
    task = Worker()
    began = time.monotonic()
    asked = TASK_WAIT.to_message(TaskWaitRequest(0.05))
    assert not TASK_WAIT.decode_reply(task.handle_message(asked)).done
    assert time.monotonic() - began < MAX_WAIT / 2
    timer = threading.Timer(0.05, task.complete_task, (WorkResult(1),))
    timer.start()
    assert TASK_WAIT.decode_reply(task.handle_message(TASK_WAIT.to_message(TaskWaitRequest(60)))).done
    timer.join()


def test_a_class_has_to_name_its_request_and_result() -> None:
    class Nameless(TaskPaglet[Any, Any, TaskState]):
        State = TaskState

    with pytest.raises(HostError, match=r"Nameless\.Request must name"):
        Nameless.request_class()
    with pytest.raises(NotImplementedError, match="Nameless has no run_task"):
        Nameless().run_task(None)


def test_plain_data_will_do() -> None:
    class Plain(TaskPaglet[dict[str, Any], dict[str, Any], TaskState]):
        State = TaskState
        Request = dict
        Result = dict

        def run_task(self, request: dict[str, Any]) -> dict[str, Any]:
            return {"was": request}

    task = Plain()
    task.handle_message(Message("start", {"request": {"a": 1}}))
    assert task.state.result == {"was": {"a": 1}}


def test_the_state_is_data() -> None:
    task = Worker()
    started(task, WorkRequest(number=4))
    assert dataclass_from_wire(WorkState, dataclass_to_wire(task.state)) == task.state
    assert dataclass_from_wire(TaskState, {}) == TaskState()


# --- on a host ----------------------------------------------------------------------------------------------


def test_a_quick_task_has_ended_when_start_returns(a: Host) -> None:
    proxy, client = worker(a)
    snapshot = client.start(WorkRequest(number=21))
    result: WorkResult | None = snapshot.result
    assert result == WorkResult(42)
    assert snapshot == TaskSnapshot(
        TaskStatus.COMPLETED, True, WorkResult(42), "", snapshot.started_at, snapshot.completed_at,
        proxy.agent_id, "a", a.address,
    )  # fmt: skip
    assert client.status() == client.wait() == snapshot
    assert client.start_and_wait(WorkRequest("raise")).error == "OddError: as asked"


def test_a_slow_one_answers_while_it_works(a: Host) -> None:
    proxy, client = worker(a)
    snapshot = client.start(WorkRequest("slow", 2, seconds=20.0))
    assert (snapshot.status, snapshot.done, snapshot.result) == (TaskStatus.RUNNING, False, None)
    with pytest.raises(LifecycleError, match="is RUNNING already"):
        client.start(WorkRequest())
    assert client.wait(wait_timeout=0.05).status is TaskStatus.RUNNING
    assert ask(proxy, "notes") == []
    ask(proxy, "go-on")
    assert client.wait(wait_timeout=10.0).result == WorkResult(4, "a")
    with pytest.raises(NotHandledError):
        ask(proxy, "unknown")


def test_patience_has_an_end(a: Host) -> None:
    proxy, client = worker(a)
    snapshot = client.start_and_wait(WorkRequest("slow", 2, seconds=20.0), wait_timeout=0.05, timeout=0.2)
    assert not snapshot.done
    ask(proxy, "go-on")
    assert client.wait(wait_timeout=10.0).done


def test_a_task_that_moves_ends_elsewhere(a: Host) -> None:
    for what in ("go", "go-waiting", "try"):
        _, client = worker(a)
        snapshot = client.start_and_wait(WorkRequest(what, target="b"), timeout=20.0)
        assert (snapshot.status, snapshot.result, snapshot.error) == (
            TaskStatus.COMPLETED, WorkResult(1, "b"), "",
        )  # fmt: skip
        assert snapshot.host_name == "b"


def test_a_task_that_cannot_move_fails_with_the_reason(a: Host) -> None:
    _, client = worker(a)
    snapshot = client.start_and_wait(WorkRequest("go", target="nowhere"), timeout=20.0)
    assert snapshot.status is TaskStatus.FAILED
    assert "TransferError" in snapshot.error
    assert client.start_and_wait(WorkRequest(number=1)).result == WorkResult(2)


def test_who_waits_does_not_hold_up_clones(a: Host) -> None:
    _, client = worker(a)
    began = time.monotonic()
    snapshot = client.start_and_wait(WorkRequest("clones", 4), wait_timeout=4.0, timeout=20.0)
    assert snapshot.done
    assert time.monotonic() - began < 4.0
    clones = [each for each in a.list_agents() if each["class_name"].endswith(":Worker")]
    assert len(clones) >= 5


def test_a_clone_does_not_run_the_task(a: Host, tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    proxy, client = worker(a)
    client.start(WorkRequest("slow", 2, seconds=20.0, marks=str(marks)))
    clone = proxy.clone()
    assert TaskClient.for_paglet(clone, Worker).status().status is TaskStatus.RUNNING
    ask(proxy, "go-on")
    assert client.wait(wait_timeout=10.0).done
    assert marks.read_text() == "a\n"


def test_none_leaves_it_to_others(a: Host) -> None:
    proxy, client = worker(a)
    snapshot = client.start(WorkRequest("later"))
    assert snapshot.status is TaskStatus.RUNNING
    ask(proxy, "complete", number=5)
    assert client.status().result == WorkResult(5)


@pytest.mark.parametrize("cls", [Worker, OwnRun])
def test_somebody_moves_it_while_it_works(a: Host, tmp_path: Path, cls: type[Worker]) -> None:
    marks = tmp_path / "marks"
    proxy, client = worker(a, cls)
    client.start(WorkRequest("slow", 2, seconds=20.0, marks=str(marks)))
    proxy.dispatch("b")
    client.status()
    eventually(lambda: marks.read_text() == "a\nb\n")
    ask(proxy, "go-on")
    assert client.wait(wait_timeout=10.0).result == WorkResult(4, "b")


def test_somebody_parks_it_while_it_works(a: Host, tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    proxy, client = worker(a)
    client.start(WorkRequest("slow", 2, seconds=20.0, marks=str(marks)))
    proxy.deactivate()
    proxy.activate()
    eventually(lambda: marks.read_text() == "a\na\n")
    ask(proxy, "go-on")
    assert client.wait(wait_timeout=10.0).result == WorkResult(4, "a")


def test_a_move_that_fails_does_not_end_the_work(a: Host) -> None:
    proxy, client = worker(a)
    client.start(WorkRequest("slow", 2, seconds=20.0))
    with pytest.raises(PagletError, match="nowhere"):
        proxy.dispatch("nowhere")
    ask(proxy, "go-on")
    assert client.wait(wait_timeout=10.0).result == WorkResult(4, "a")


def test_work_whose_process_crashes_is_begun_again(a: Host, tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    proxy, client = worker(a)
    client.start_and_wait(WorkRequest("slow", marks=str(marks)))
    marks.write_text("")
    with pytest.raises(PagletError):
        client.start(WorkRequest("crash-once", 5, marks=str(marks)))
    proxy.activate()
    assert client.wait(wait_timeout=10.0).result == WorkResult(5)
    assert marks.read_text() == "a\na\n"


def test_or_it_fails_where_the_class_says_so(a: Host) -> None:
    proxy, client = worker(a, OnlyOnce)
    client.start(WorkRequest("slow", seconds=20.0))
    proxy.deactivate()
    snapshot = client.status()
    assert snapshot.status is TaskStatus.FAILED
    assert "interrupted" in snapshot.error


def test_running_and_done_both_survive_a_power_cut(start: Callable[..., Host], tmp_path: Path) -> None:
    host = start("h")
    marks = tmp_path / "marks"
    slow, done = worker(host), worker(host)
    slow[1].start(WorkRequest("slow", 2, seconds=20.0, marks=str(marks)))
    assert done[1].start_and_wait(WorkRequest(number=3)).result == WorkResult(6)
    host.stop()
    host = start("h")
    again = TaskClient.for_paglet(host.proxy_for(host.address, done[0].agent_id), Worker)
    assert again.status().result == WorkResult(6)
    proxy = host.proxy_for(host.address, slow[0].agent_id)
    eventually(lambda: marks.read_text() == "h\nh\n")
    ask(proxy, "go-on")
    assert TaskClient.for_paglet(proxy, Worker).wait(wait_timeout=10.0).result == WorkResult(4, "h")


def test_the_operations_can_be_asked_without_the_client(a: Host) -> None:
    proxy, _ = worker(a)
    client = OperationClient(proxy)
    reply = client.call(TASK_START, TaskStartRequest({"number": 4}))
    assert reply.result == {"number": 8, "where": ""}
    assert client.call(TASK_WAIT).status is TaskStatus.COMPLETED
    with pytest.raises(ServiceContractError, match="number"):
        client.call(TASK_START, TaskStartRequest({"number": "four"}))


# --- whose run it was ---------------------------------------------------------------------------------------


class Place:
    """As much of a context as a task needs."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.address = f"https://{name}:1"

    def checkpoint(self, agent_id: str) -> None:
        assert agent_id


@pytest.mark.parametrize(
    ("run", "host", "again"),
    [
        (TaskRun("me"), "a", True),
        (TaskRun("me", left_host="a"), "a", True),
        (TaskRun("me", left_host="a"), "b", False),
        (TaskRun("the original"), "a", False),
        (TaskRun(), "a", False),
    ],
    ids=["interrupted", "never left", "arrived", "a clone", "returned"],
)
def test_only_work_that_nobody_goes_on_with_is_begun_again(run: TaskRun, host: str, again: bool) -> None:
    state = WorkState(status=TaskStatus.WAITING_FOR_ARRIVAL, request={"number": 4}, task_run=run)
    task = Worker(state, agent_id="me")
    task.attach(cast("PagletContext", Place(host)))
    task.run()
    assert task.wait_state(lambda: state.done, 5.0 if again else 0.05) is again
    assert state.result == ({"number": 8, "where": ""} if again else {})


def test_a_request_that_cannot_be_read_any_more_fails() -> None:
    state = WorkState(status=TaskStatus.RUNNING, request={"number": "four"}, task_run=TaskRun("me"))
    task = Worker(state, agent_id="me")
    task.attach(cast("PagletContext", Place("a")))
    task.run()
    assert state.status is TaskStatus.FAILED
    assert "number" in state.error


def test_nobody_is_told_of_an_end_that_is_not_durable() -> None:
    """The work's own checkpoint may be slower than the question that finds it done."""
    may_go_on = threading.Event()
    kept: list[WorkState] = []

    class SlowPlace(Place):
        def checkpoint(self, agent_id: str) -> None:
            if threading.current_thread().name == "paglets-task":
                assert may_go_on.wait(10.0)
            kept.append(dataclass_from_wire(WorkState, dataclass_to_wire(task.state)))

    task = Worker(WorkState(), agent_id="me")
    task.attach(cast("PagletContext", SlowPlace("a")))
    try:
        assert started(task, WorkRequest(number=4)).done
        assert kept[-1].done
        assert kept[-1].result == {"number": 8, "where": ""}
    finally:
        may_go_on.set()
