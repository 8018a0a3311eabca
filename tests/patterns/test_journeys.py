"""Itineraries on real hosts, some of which are away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from paglets.core.errors import TransferError
from paglets.core.itinerary import (
    EXECUTE_ON_DEFAULT,
    ItineraryPlan,
    ItineraryTask,
    TaskItineraryPlan,
    UnreachableAction,
    UnreachablePolicy,
)
from tests.host.support import ask, eventually
from tests.patterns.agents_on_tour import Errands, ErrandState, Tourist, TourState

if TYPE_CHECKING:
    from collections.abc import Callable

    from paglets.remote.proxy import PagletProxy
    from paglets.runtime.host import Host


def tour(host: Host, *stops: str, policy: UnreachablePolicy) -> PagletProxy:
    return host.create(Tourist, TourState(ItineraryPlan(list(stops), unreachable=policy)))


def report_when(proxy: PagletProxy, condition: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    said: dict[str, Any] = {}

    def looked() -> bool:
        said.update(ask(proxy, "report"))
        return bool(condition(said))

    eventually(looked)
    return said


def completed(said: dict[str, Any]) -> bool:
    return said["completed"] == 1


def test_a_tour_of_hosts_that_are_there(a: Host) -> None:
    proxy = tour(a, "b", "a", policy=UnreachablePolicy.end())
    said = report_when(proxy, completed)
    assert (said["seen"], said["skipped"], said["ended"]) == (["a", "b", "a"], [], False)
    assert proxy.host_url == a.address


def test_stops_that_are_away_are_skipped(a: Host) -> None:
    proxy = tour(a, "gone", "b", "gone too", policy=UnreachablePolicy.skip())
    said = report_when(proxy, completed)
    assert (said["seen"], said["skipped"]) == (["a", "b"], ["gone", "gone too"])


def test_or_the_tour_ends_there(a: Host, b: Host) -> None:
    proxy = tour(a, "b", "gone", "a", policy=UnreachablePolicy.end())
    said = report_when(proxy, completed)
    assert (said["seen"], said["ended"]) == (["a", "b"], True)
    assert proxy.host_url == b.address


def test_a_stop_that_comes_back_is_reached(start: Callable[..., Host]) -> None:
    here = start("here")
    proxy = tour(here, "late", "here", policy=UnreachablePolicy.retry(100, interval=0.2))
    eventually(lambda: not proxy.is_active())
    start("late", peers=[here.address])
    here.mesh.wait_for_host("late", timeout=10.0)
    said = report_when(proxy, completed)
    assert (said["seen"], said["skipped"]) == (["here", "late", "here"], [])


def test_tries_have_an_end(a: Host) -> None:
    policy = UnreachablePolicy.retry(1, interval=0.1, afterwards=UnreachableAction.END)
    proxy = tour(a, "gone", "b", policy=policy)
    eventually(lambda: not proxy.is_active())
    eventually(proxy.is_active)
    said = report_when(proxy, completed)
    assert (said["seen"], said["ended"], said["tries"]) == (["a"], True, 0)


def test_a_parked_tourist_answers_and_waits_on(a: Host) -> None:
    proxy = tour(a, "gone", policy=UnreachablePolicy.retry(5, interval=60.0))
    eventually(lambda: not proxy.is_active())
    assert ask(proxy, "report")["tries"] == 1
    assert ask(proxy, "report")["tries"] == 1
    assert proxy.is_active()
    proxy.dispose()


def test_a_tourist_waits_through_a_restart_of_its_host(start: Callable[..., Host]) -> None:
    here = start("here")
    proxy = tour(here, "late", policy=UnreachablePolicy.retry(100, interval=0.3))
    eventually(lambda: not proxy.is_active())
    here.stop()
    here = start("here")
    late = start("late", peers=[here.address])
    eventually(lambda: late.get_proxy(proxy.agent_id, include_inactive=True), within=15.0)
    there = late.proxy_for(late.address, proxy.agent_id)
    assert report_when(there, completed)["seen"] == ["here", "late"]


def test_errands_are_run_where_they_belong(a: Host) -> None:
    plan = TaskItineraryPlan(["b", "a"], default_tasks=[ItineraryTask("look", EXECUTE_ON_DEFAULT)])
    plan.add_task_for_destination("b", ItineraryTask("fetch"))
    proxy = a.create(Errands, ErrandState(plan))
    for place in ("b", "a"):
        proxy = proxy if ask(proxy, "go") else None
        assert proxy is not None, place
    assert ask(proxy, "done") == ["look@b:arrival", "fetch@b:arrival", "look@a:arrival"]
    assert ask(proxy, "go") is None


def test_without_a_policy_the_handler_gets_the_error(a: Host) -> None:
    proxy = a.create(Errands, ErrandState(TaskItineraryPlan(["gone", "b"])))
    with pytest.raises(TransferError):
        ask(proxy, "go")
    assert ask(proxy, "done") == []


def test_a_handler_may_be_what_parks_it(a: Host) -> None:
    plan = TaskItineraryPlan(["gone", "b"], unreachable=UnreachablePolicy.retry(1, interval=0.2))
    plan.add_task_for_destination("b", ItineraryTask("fetch"))
    proxy = a.create(Errands, ErrandState(plan))
    assert ask(proxy, "go") == proxy.to_wire()
    eventually(lambda: ask(proxy, "done") == ["fetch@b:arrival"])
