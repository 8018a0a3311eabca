"""A move whose verdict does not come in the ticket's time blocks the paglet until it is settled, and no longer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from paglets.core.errors import LifecycleError, PagletError, TransferInDoubtError
from paglets.remote import api
from tests.faults.moving import Journey, set_out
from tests.faults.site import alive, eventually

if TYPE_CHECKING:
    from tests.faults.site import Site

SHORT = 0.5


def in_doubt(site: Site, kind: str, point: str) -> Journey:
    """A move that has been held at the target for longer than its ticket allows."""
    site["b"].hold(point)
    journey = set_out(site, kind, timeout=SHORT)
    site["b"].reached(point)
    eventually(lambda: [copy.status for copy in site.copies(journey.agent_id)] == ["in-doubt"])
    return journey


@pytest.mark.parametrize("kind", ["own", pytest.param("dispatch", marks=pytest.mark.slow)])
def test_it_does_not_return_into_the_handler(site: Site, kind: str) -> None:
    site["a"].hold("go-failed", "dispatch_failed")
    pids = site["a"].children()
    journey = in_doubt(site, kind, "before:active:arrival")
    with pytest.raises(TransferInDoubtError, match=journey.agent_id):
        journey.call.result(10.0)
    eventually(lambda: site["a"].children() <= pids)
    assert not site["a"].points.is_reached("go-failed")
    assert not site["a"].points.is_reached("dispatch_failed")
    site["b"].let_go("before:active:arrival")
    assert journey.finish("b").epoch == journey.epoch + 1
    site.only_their_processes()


def test_a_target_that_is_still_looking_at_the_envelope_does_not_fence_it(site: Site) -> None:
    journey = in_doubt(site, "own", "trailer-received")
    [transfer] = [each for each in site.transfers() if each["direction"] == "out"]
    eventually(lambda: "ask again" in next(each for each in site.transfers() if each["at"] == "a")["reason"])
    assert transfer["status"] == "in-doubt"
    site["b"].let_go("trailer-received")
    journey.finish("b")


def test_fenced_after_the_deadline_it_starts_again_in_its_next_life(site: Site) -> None:
    journey = in_doubt(site, "own", "before:active:arrival")
    site["b"].restart()
    copy = journey.finish("a")
    assert copy.epoch == journey.epoch + 1
    log = site.tell("a", journey.agent_id, "look")["log"]
    assert log == ["creation@a", "dispatching@a", "activation:recovered@a"]
    site.only_their_processes()


@pytest.mark.parametrize("outcome", ["arrived", "fenced", pytest.param("restarted", marks=pytest.mark.slow)])
def test_messages_wait_and_reach_it(site: Site, outcome: str) -> None:
    journey = in_doubt(site, "dispatch", "before:active:arrival")
    waiting = [site.soon(lambda: site.tell("a", journey.agent_id, "add", by=1)) for _ in range(3)]
    eventually(
        lambda: (
            site.ask("a", api.PAGLETS_INFO, api.PagletParams(agent_id=journey.agent_id))["waiting_messages"]
            == 3
        )
    )
    if outcome == "restarted":
        # Whoever waits at a host that dies is told so; nothing is made up.
        site["a"].restart()
        assert all(isinstance(each.exception(10.0), PagletError) for each in waiting)
        site["b"].let_go("before:active:arrival")
        journey.finish("b")
        return
    if outcome == "arrived":
        site["b"].let_go("before:active:arrival")
    else:
        site["b"].restart()
    count = sorted(each.result(20.0) for each in waiting)
    assert count == [count[0], count[0] + 1, count[0] + 2]
    site.settled(journey.agent_id)


@pytest.mark.parametrize("restarted", [False, True])
def test_nothing_can_be_done_with_it_and_that_is_said(site: Site, restarted: bool) -> None:
    journey = in_doubt(site, "dispatch", "before:active:arrival")
    agent_id = journey.agent_id
    if restarted:
        site["a"].restart()
        eventually(lambda: [copy.status for copy in site.copies(agent_id)] == ["in-doubt"])
    asked = {
        api.PAGLETS_ACTIVATE: api.PagletParams(agent_id=agent_id),
        api.PAGLETS_DISPOSE: api.PagletParams(agent_id=agent_id),
        api.PAGLETS_CHECKPOINT: api.PagletParams(agent_id=agent_id),
        api.PAGLETS_DEACTIVATE: api.DeactivateParams(agent_id=agent_id),
        api.PAGLETS_CLONE: api.CloneParams(agent_id=agent_id),
        api.PAGLETS_DISPATCH: api.DispatchParams(agent_id=agent_id, ticket={"destination": site["b"].url}),
    }
    for method, params in asked.items():
        with pytest.raises((LifecycleError, TransferInDoubtError), match=r"doubt|not known|prepared"):
            site.ask("a", method, params, timeout=10.0)
    site["b"].let_go("before:active:arrival")
    journey.finish("b")


def test_it_is_settled_as_soon_as_the_target_is_back(site: Site) -> None:
    journey = in_doubt(site, "own", "before:active:arrival")
    site["b"].kill()
    # By now the source waits for seconds between its questions.
    eventually(lambda: len(site.transfers()) == 1 and site.transfers()[0]["reason"] != "")
    eventually(lambda: _peer_failed(site), within=15.0)
    site["b"].start()
    site.at_rest(within=3.0)
    journey.finish("a")


def _peer_failed(site: Site) -> bool:
    events = site.ask("a", api.EVENTS_LIST, api.EventsListParams(since=0, limit=1000))["events"]
    return any(event["kind"] == "peer-failed" for event in events)


def test_in_doubt_over_restarts_of_the_source(site: Site) -> None:
    site["a"].hold("trailer-sent")
    site["b"].hold("before:active:arrival")
    journey = set_out(site, "own")
    site["a"].reached("trailer-sent")
    site["b"].reached("before:active:arrival")
    for _ in range(2):
        site["a"].restart()
        eventually(lambda: [copy.status for copy in site.copies(journey.agent_id)] == ["in-doubt"])
        assert not any(alive(pid) for pid in site["a"].children())
    site["b"].let_go("before:active:arrival")
    journey.finish("b")
