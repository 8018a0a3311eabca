from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from paglets.core.agent import Paglet
from paglets.core.errors import TransferError
from paglets.core.itinerary import (
    EXECUTE_ON_ARRIVAL,
    EXECUTE_ON_DEFAULT,
    EXECUTE_ON_DISPATCH,
    EXECUTE_ON_REVERTING,
    ItineraryAgentMixin,
    ItineraryPlan,
    ItineraryTask,
    TaskItineraryPlan,
)
from paglets.serialization.codec import dataclass_from_wire, dataclass_to_wire


class Agent:
    """Goes wherever it is sent, unless the road is closed."""

    def __init__(self, closed: str = "") -> None:
        self.went: list[str] = []
        self.closed = closed

    def dispatch(self, target: str, /) -> Any:
        if target == self.closed:
            raise TransferError(f"{target} is closed")
        self.went.append(target)
        return f"proxy at {target}"


def test_a_plan_is_travelled_to_its_end():
    plan, agent = ItineraryPlan(["a", "b"]), Agent()
    assert plan.next_destination() == "a"
    assert plan.next_destination() == "a"
    assert plan.dispatch_next(agent) == "proxy at a"
    assert (plan.current_index, plan.get_current_location(), plan.visited_destinations) == (1, "a", ["a"])
    assert plan.get_remaining_destination_count() == 1
    plan.dispatch_next(agent)
    assert not plan.completed
    assert plan.next_destination() is None
    assert plan.dispatch_next(agent) is None
    assert plan.completed
    assert agent.went == plan.visited_destinations == ["a", "b"]


def test_the_copy_that_arrives_knows_where_it_is():
    plan = ItineraryPlan(["a", "b"])
    seen: list[Any] = []

    class Snapshot(Agent):
        def dispatch(self, target: str, /) -> Any:
            seen.append(dataclass_from_wire(ItineraryPlan, dataclass_to_wire(plan)))

    plan.dispatch_next(Snapshot())
    assert seen[0].get_current_location() == "a"
    assert seen[0].next_destination() == "b"


def test_a_move_that_failed_leaves_the_plan_as_it_was():
    plan, agent = ItineraryPlan(["a", "b"], circular=True, current_index=2), Agent(closed="a")
    before = dataclass_to_wire(plan)
    with pytest.raises(TransferError):
        plan.dispatch_next(agent)
    assert dataclass_to_wire(plan) == before
    assert plan.skip_next()
    assert plan.dispatch_next(agent) == "proxy at b"


def test_a_circular_plan_starts_over():
    plan, agent = ItineraryPlan(["a", "b"], circular=True), Agent()
    for _ in range(5):
        plan.dispatch_next(agent)
    assert agent.went == ["a", "b", "a", "b", "a"]
    assert plan.get_loop_count() == 2
    assert ItineraryPlan(circular=True).dispatch_next(agent) is None


def test_destinations_are_added_where_they_are_wanted():
    plan = ItineraryPlan(["a", "b"])
    assert plan.add_next_destination("c")
    assert plan.add_next_destination("first", index=0)
    assert plan.add_next_destination("after a", after="a")
    assert plan.get_destinations() == ["first", "a", "after a", "b", "c"]
    assert not plan.add_next_destination("x", index=9)
    assert not plan.add_next_destination("x", index=-1)
    assert not plan.add_next_destination("x", after="unknown")
    assert not plan.add_next_destination("x", index=1, after="a")
    assert not plan.add_next_destination("")
    assert not plan.add_next_destination("a", allow_duplicate=False)
    assert not plan.add_next_destination_if_not_duplicated("a")
    assert plan.add_next_destination("a")
    assert plan.get_destination_count() == 6
    assert (plan.get_first_destination(), plan.get_last_destination()) == ("first", "a")


def test_changes_behind_the_traveller_do_not_move_what_lies_ahead():
    plan, agent = ItineraryPlan(["a", "b", "c"]), Agent()
    plan.dispatch_next(agent)
    plan.add_next_destination("x", index=0)
    assert plan.next_destination() == "b"
    plan.remove_destination_at(0)
    plan.remove_destination("a")
    assert plan.next_destination() == "b"
    assert plan.get_destinations() == ["b", "c"]


def test_removing_takes_the_visit_that_is_still_to_come():
    plan = ItineraryPlan(["a", "b", "a"], current_index=1)
    assert plan.remove_destination("a")
    assert plan.get_destinations() == ["a", "b"]
    assert not plan.remove_destination("unknown")
    assert not plan.remove_destination_at(2)
    assert not plan.remove_destination_at(-1)


def test_a_completed_plan_goes_on_when_something_is_added():
    plan, agent = ItineraryPlan(), Agent()
    assert plan.dispatch_next(agent) is None
    assert plan.completed
    plan.add_next_destination("a")
    assert not plan.completed
    assert plan.dispatch_next(agent)


def test_an_immutable_plan_is_travelled_but_not_changed():
    plan = TaskItineraryPlan(["a", "b"], destination_tasks={"a": [ItineraryTask("t")]})
    plan.set_immutable()
    before = dataclass_to_wire(plan)
    task, by_default = ItineraryTask("t"), ItineraryTask("d", EXECUTE_ON_DEFAULT)
    answers = [
        plan.add_next_destination("c"),
        plan.add_next_destination_if_not_duplicated("c"),
        plan.remove_destination("a"),
        plan.remove_destination_at(0),
        plan.skip_next(),
        plan.add_default_task(by_default),
        plan.remove_default_task(by_default),
        plan.add_task_for_destination("a", task),
        plan.add_next_destination_with_task("c", task),
        plan.remove_task_for_destination("a", task),
        plan.remove_all_tasks_for_destination("a"),
    ]
    assert answers == [False] * 11
    assert dataclass_to_wire(plan) == before
    assert plan.dispatch_next(Agent())


def test_tasks_belong_to_destinations_and_phases():
    plan = TaskItineraryPlan(["a"])
    everywhere = ItineraryTask("everywhere", EXECUTE_ON_DEFAULT)
    leaving = ItineraryTask("leave", EXECUTE_ON_DISPATCH)
    assert plan.add_default_task(everywhere)
    assert not plan.add_default_task(everywhere)
    assert not plan.add_default_task(leaving)
    assert plan.add_task_for_destination("a", ItineraryTask("look"))
    assert plan.add_task_for_destination("a", leaving)
    assert not plan.add_task_for_destination("unknown", leaving)
    assert plan.add_next_destination_with_task("b", leaving)

    def names(dest: str | None, phase: str) -> list[str]:
        return [task.name for task in plan.tasks_for_phase(dest, phase)]

    assert names("a", EXECUTE_ON_ARRIVAL) == ["everywhere", "look"]
    assert names("a", EXECUTE_ON_DISPATCH) == ["leave"]
    assert names("a", EXECUTE_ON_REVERTING) == []
    assert names(None, EXECUTE_ON_ARRIVAL) == ["everywhere"]
    plan.execute_default_on_dispatch = True
    assert names("b", EXECUTE_ON_DISPATCH) == ["everywhere", "leave"]
    assert plan.remove_default_task(everywhere)
    assert not plan.remove_default_task(everywhere)


def test_tasks_are_removed_one_by_one_or_all():
    plan = TaskItineraryPlan(["a", "b"])
    first, second = ItineraryTask("1"), ItineraryTask("2", args={"x": 1})
    for task in (first, second):
        plan.add_task_for_destination("a", task)
    assert plan.get_tasks_for_destination("a") == [first, second]
    assert plan.remove_task_for_destination("a", first)
    assert not plan.remove_task_for_destination("a", first)
    assert plan.remove_all_tasks_for_destination("a")
    assert not plan.remove_all_tasks_for_destination("a")
    plan.add_task_for_destination("b", first)
    plan.remove_destination("b")
    assert plan.get_tasks_for_destination("b") == []


def test_a_task_must_know_when():
    with pytest.raises(ValueError, match="execution must be one of"):
        ItineraryTask("t", "sometimes")


@dataclass
class TourState:
    itinerary: TaskItineraryPlan = field(default_factory=TaskItineraryPlan)


class Tourist(ItineraryAgentMixin, Paglet[TourState]):
    State = TourState

    def execute_itinerary_task(self, task: ItineraryTask, phase: str, event: Any = None) -> Any:
        return (task.name, phase, event)


def test_a_paglet_executes_the_tasks_of_where_it_is():
    tourist = Tourist()
    plan = tourist.state.itinerary
    plan.add_next_destination_with_task("a", ItineraryTask("look"))
    assert tourist.get_itinerary() is plan
    assert tourist.execute_itinerary_tasks(EXECUTE_ON_ARRIVAL) == []
    plan.dispatch_next(Agent())
    assert tourist.execute_itinerary_tasks(EXECUTE_ON_ARRIVAL, 5) == [("look", "arrival", 5)]
    assert tourist.go_to_next_destination() is None
    assert plan.completed


def test_tasks_without_an_executor_are_an_error():
    class Idle(ItineraryAgentMixin):
        itinerary_attr = "route"

    with pytest.raises(NotImplementedError, match="'look'"):
        Idle().execute_itinerary_task(ItineraryTask("look"), EXECUTE_ON_ARRIVAL)


def test_a_plan_travels_in_a_state():
    state = TourState(
        TaskItineraryPlan(["a"], default_tasks=[ItineraryTask("d", EXECUTE_ON_DEFAULT)], circular=True)
    )
    assert dataclass_from_wire(TourState, dataclass_to_wire(state)) == state
