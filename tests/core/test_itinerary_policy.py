"""What plans do about stops that cannot be reached, and that no stop is lost or repeated."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paglets.core.errors import TransferError, TransferInDoubtError
from paglets.core.events import PersistencyEvent
from paglets.core.itinerary import (
    ItineraryAgentMixin,
    ItineraryPlan,
    TaskItineraryPlan,
    UnreachableAction,
    UnreachablePolicy,
)
from paglets.serialization.codec import dataclass_from_wire, dataclass_to_wire

if TYPE_CHECKING:
    from paglets.core.deactivation import DeactivationPolicy


class Road:
    """Goes wherever it is sent but to what is closed, and can be parked."""

    def __init__(self, *closed: str) -> None:
        self.closed = set(closed)
        self.tried: list[str] = []
        self.went: list[str] = []
        self.parked: list[DeactivationPolicy] = []

    def dispatch(self, target: str, /) -> Any:
        self.tried.append(target)
        if target in self.closed:
            raise TransferError(f"{target} is away")
        self.went.append(target)
        return f"proxy at {target}"

    def deactivate(self, *, reason: str, policy: DeactivationPolicy) -> Any:
        assert reason == "itinerary"
        self.parked.append(policy)
        return "parked"


def due(plan: ItineraryPlan) -> None:
    assert plan.retry_at is not None
    plan.retry_at = time.time() - 1.0


def test_by_default_the_error_is_the_callers() -> None:
    plan, road = ItineraryPlan(["a"]), Road("a")
    assert plan.unreachable == UnreachablePolicy(UnreachableAction.RAISE)
    before = dataclass_to_wire(plan)
    for _ in range(2):
        with pytest.raises(TransferError):
            plan.dispatch_next(road)
        assert dataclass_to_wire(plan) == before


def test_skipping_goes_on_with_the_next() -> None:
    plan, road = (
        ItineraryPlan(["a", "b", "c", "d"], unreachable=UnreachablePolicy.skip()),
        Road("a", "b", "d"),
    )
    plan.set_immutable()
    assert plan.dispatch_next(road) == "proxy at c"
    assert (plan.visited_destinations, plan.skipped_destinations) == (["c"], ["a", "b"])
    assert plan.get_current_location() == "c"
    assert plan.dispatch_next(road) is None
    assert plan.completed
    assert plan.skipped_destinations == ["a", "b", "d"]
    assert plan.get_destinations() == ["a", "b", "c", "d"]


def test_a_round_in_which_nothing_can_be_reached_is_an_error() -> None:
    plan, road = (
        ItineraryPlan(["a", "b"], circular=True, unreachable=UnreachablePolicy.skip()),
        Road("a", "b"),
    )
    with pytest.raises(TransferError):
        plan.dispatch_next(road)
    assert road.tried == ["a", "b"]
    road.closed.clear()
    assert plan.dispatch_next(road) == "proxy at a"


def test_the_plan_can_end_there() -> None:
    plan, road = ItineraryPlan(["a", "b", "c"], unreachable=UnreachablePolicy.end()), Road("b")
    plan.dispatch_next(road)
    assert plan.dispatch_next(road) is None
    assert (plan.completed, plan.ended, plan.next_destination()) == (True, True, None)
    assert plan.get_remaining_destination_count() == 2
    assert plan.dispatch_next(road) is None
    assert road.tried == ["a", "b"]
    assert not plan.skip_next()
    road.closed.clear()
    assert plan.add_next_destination("d")
    assert plan.dispatch_next(road) == "proxy at b"


def test_a_retry_parks_the_paglet_until_it_is_due() -> None:
    plan, road = ItineraryPlan(["a", "b"], unreachable=UnreachablePolicy.retry(2, interval=30.0)), Road("a")
    for number in (1, 2):
        assert plan.dispatch_next(road) == "parked"
        policy = road.parked[-1]
        assert policy.activate_at == plan.retry_at == pytest.approx(time.time() + 30.0, abs=5.0)
        assert policy.activate_on_message
        assert 25 < plan.seconds_until_retry() <= 30
        assert plan.failed_tries == number
        assert (plan.current_index, plan.visited_destinations, plan.leg_from) == (0, [], "")
        due(plan)
        assert plan.seconds_until_retry() == 0
    assert plan.dispatch_next(road) == "proxy at b"
    assert plan.skipped_destinations == ["a"]
    assert (plan.failed_tries, plan.retry_at) == (0, None)


def test_a_try_before_its_time_does_not_count() -> None:
    plan, road = ItineraryPlan(["a"], unreachable=UnreachablePolicy.retry(1, interval=30.0)), Road("a")
    plan.dispatch_next(road)
    at = plan.retry_at
    for _ in range(3):
        assert plan.dispatch_next(road) == "parked"
    assert (plan.failed_tries, plan.retry_at) == (1, at)
    road.closed.clear()
    assert plan.dispatch_next(road) == "proxy at a"


def test_after_the_last_try_the_plan_may_end() -> None:
    policy = UnreachablePolicy.retry(0, afterwards=UnreachableAction.END)
    plan, road = ItineraryPlan(["a", "b"], unreachable=policy), Road("a")
    assert plan.dispatch_next(road) is None
    assert plan.ended
    assert (plan.failed_tries, plan.retry_at) == (0, None)


def test_who_cannot_be_parked_gets_the_error() -> None:
    class Walker:
        def dispatch(self, target: str, /) -> Any:
            raise TransferError(target)

    plan = ItineraryPlan(["a"], unreachable=UnreachablePolicy.retry())
    with pytest.raises(TransferError):
        plan.dispatch_next(Walker())


def test_a_move_in_doubt_is_no_stop_that_cannot_be_reached() -> None:
    class Doubtful(Road):
        def dispatch(self, target: str, /) -> Any:
            raise TransferInDoubtError("host/1")

    plan = ItineraryPlan(["a", "b"], unreachable=UnreachablePolicy.skip())
    with pytest.raises(TransferInDoubtError):
        plan.dispatch_next(Doubtful())
    assert plan.next_destination() == "a"


def test_removing_or_skipping_the_awaited_stop_ends_the_wait() -> None:
    for skips in (True, False):
        plan, road = ItineraryPlan(["a", "b"], unreachable=UnreachablePolicy.retry()), Road("a")
        plan.dispatch_next(road)
        assert plan.skip_next() if skips else plan.remove_destination("a")
        assert (plan.retry_at, plan.failed_tries) == (None, 0)
        assert plan.dispatch_next(road) == "proxy at b"


@pytest.mark.parametrize(
    "make",
    [
        lambda: UnreachablePolicy(retries=-1),
        lambda: UnreachablePolicy(retry_interval=0.0),
        lambda: UnreachablePolicy(retry_interval=float("inf")),
        lambda: UnreachablePolicy.retry(afterwards=UnreachableAction.RAISE),
    ],
    ids=["retries", "interval", "endless", "afterwards"],
)
def test_policies_that_make_no_sense(make: Any) -> None:
    with pytest.raises(ValueError, match=r"policy needs|last try"):
        make()


def test_the_policy_travels_and_old_plans_load() -> None:
    plan = TaskItineraryPlan(["a"], unreachable=UnreachablePolicy.retry(7, interval=5.0))
    plan.dispatch_next(Road("a"))
    assert dataclass_from_wire(TaskItineraryPlan, dataclass_to_wire(plan)) == plan
    old = {each: dataclass_to_wire(ItineraryPlan(["a", "b"]))[each] for each in ("destinations", "completed")}
    assert dataclass_from_wire(ItineraryPlan, old) == ItineraryPlan(["a", "b"])


def test_positional_arguments_are_the_pages() -> None:
    names = [each.name for each in dataclasses.fields(TaskItineraryPlan) if not each.kw_only]
    assert names == [
        "destinations", "current_index", "current_location", "visited_destinations", "mutable", "circular",
        "loop_count", "completed", "destination_tasks", "default_tasks", "execute_default_on_arrival",
        "execute_default_on_dispatch", "execute_default_on_reverting",
    ]  # fmt: skip


# --- a move that never happened, seen so after a restart ---------------------------------------------------


def two_stops() -> ItineraryPlan:
    return ItineraryPlan(["b", "c"], unreachable=UnreachablePolicy.skip())


@dataclass
class TripState:
    itinerary: ItineraryPlan = field(default_factory=two_stops)


class Base:
    def __init__(self) -> None:
        self.state = TripState()
        self.seen: list[str] = []

    def on_activation(self, event: Any) -> None:
        self.seen.append(event.reason)

    def run(self) -> None:
        self.seen.append("run")


class Agent(ItineraryAgentMixin, Base):
    context: Any = type("C", (), {"name": "a"})()

    def dispatch(self, target: str, /) -> Any:
        self.seen.append(target)
        return target

    def wait_state(self, predicate: Any, /, timeout: float | None = None) -> bool:
        self.seen.append("waited")
        self.state.itinerary.retry_at = None
        return True

    def on_itinerary_completed(self) -> None:
        self.seen.append("completed")


def recovered(host: str) -> PersistencyEvent:
    return PersistencyEvent("id", host, "https://x:1", reason="recovered")


def test_the_stop_of_a_move_that_never_happened_comes_next_again() -> None:
    agent = Agent()
    plan = agent.state.itinerary
    agent.go_to_next_destination()
    assert (plan.leg_from, plan.next_destination()) == ("a", "c")
    agent.on_activation(recovered("a"))
    assert (plan.next_destination(), plan.visited_destinations, plan.current_location) == ("b", [], None)
    agent.run()
    assert agent.seen == ["b", "recovered", "b"]
    assert plan.visited_destinations == ["b"]


def test_where_it_has_arrived_nothing_is_taken_back() -> None:
    agent = Agent()
    plan = agent.state.itinerary
    agent.go_to_next_destination()
    agent.on_activation(recovered("b"))
    agent.run()
    assert (plan.next_destination(), plan.leg_from, agent.seen) == ("c", "", ["b", "recovered", "run"])
    agent.on_activation(recovered("a"))
    assert plan.next_destination() == "c"


def test_woken_early_it_waits_and_then_goes() -> None:
    agent = Agent()
    agent.state.itinerary.retry_at = time.time() + 60
    assert agent.resume_itinerary()
    assert agent.seen == ["waited", "b"]


def test_the_end_is_told() -> None:
    agent = Agent()
    agent.state.itinerary = ItineraryPlan()
    assert agent.go_to_next_destination() is None
    assert agent.seen == ["completed"]


# --- no stop is lost or repeated ----------------------------------------------------------------------------

POLICIES = st.sampled_from(
    [
        UnreachablePolicy(),
        UnreachablePolicy.skip(),
        UnreachablePolicy.end(),
        UnreachablePolicy.retry(1),
        UnreachablePolicy.retry(2, afterwards=UnreachableAction.END),
    ]
)


class Journey:
    """A plan, what is done to it, and what has become of each stop."""

    def __init__(self, stops: int, policy: UnreachablePolicy) -> None:
        self.stops = [f"s{number}" for number in range(stops)]
        self.plan = ItineraryPlan(list(self.stops), unreachable=policy)
        self.road = Road()
        self.gone: set[str] = set()

    def ahead(self) -> list[str]:
        return self.plan.destinations[self.plan.current_index :]

    def go(self) -> None:
        try:
            self.plan.dispatch_next(self.road)
        except TransferError:
            assert self.plan.unreachable.action is UnreachableAction.RAISE

    def close(self, data: st.DataObject) -> None:
        if self.ahead():
            self.road.closed.add(data.draw(st.sampled_from(self.ahead())))

    def change(self, step: str, data: st.DataObject) -> None:
        plan = self.plan
        if step == "add":
            self.stops.append(f"s{len(self.stops)}")
            place = data.draw(st.integers(plan.current_index, len(plan.destinations)))
            assert plan.add_next_destination(self.stops[-1], index=place)
        elif step == "remove" and plan.destinations:
            chosen = data.draw(st.sampled_from(plan.destinations))
            self.gone.update({chosen} & set(self.ahead()))
            assert plan.remove_destination(chosen)
        elif step == "skip" and plan.next_destination() is not None:
            self.gone.add(self.ahead()[0])
            assert plan.skip_next()

    def check(self) -> None:
        """Each stop is visited, skipped, removed or still to come: once."""
        where = [*self.plan.visited_destinations, *self.plan.skipped_destinations, *self.ahead()]
        assert sorted([*where, *self.gone]) == sorted(self.stops)
        assert self.plan.visited_destinations == self.road.went


@given(st.data(), st.integers(0, 5), POLICIES)
def test_every_stop_is_visited_skipped_removed_or_ahead_once(
    data: st.DataObject, stops: int, policy: UnreachablePolicy
) -> None:
    journey = Journey(stops, policy)
    steps = st.sampled_from(["go", "go", "close", "open", "add", "remove", "skip", "travel", "due"])
    for step in data.draw(st.lists(steps, max_size=25)):
        match step:
            case "go":
                journey.go()
            case "close":
                journey.close(data)
            case "open":
                journey.road.closed.clear()
            case "travel":
                journey.plan = dataclass_from_wire(ItineraryPlan, dataclass_to_wire(journey.plan))
            case "due" if journey.plan.retry_at is not None:
                due(journey.plan)
            case _:
                journey.change(step, data)
        journey.check()
    journey.plan.ended = False
    journey.road.closed.clear()
    ahead, went = journey.ahead(), len(journey.road.went)
    while journey.plan.dispatch_next(journey.road) is not None:
        pass
    assert journey.road.went[went:] == ahead
    assert journey.plan.completed
