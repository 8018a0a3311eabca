"""A paglet that is back before its leaving was noted is not lost to a late receipt, nor doubled by it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from paglets.persistence.records import Phase
from paglets.remote import api
from tests.faults.moving import set_out
from tests.faults.site import eventually

if TYPE_CHECKING:
    from tests.faults.site import Site


def come_back(site: Site, agent_id: str, *, parked: bool = False) -> None:
    """Have it move from b to a, with b believing what it must."""
    ticket = {"destination": site["a"].url, "arrival_mode": "inactive" if parked else "activate"}
    site.ask("b", api.PAGLETS_DISPATCH, api.DispatchParams(agent_id=agent_id, ticket=ticket))


@pytest.mark.parametrize("kind", ["own", "dispatch", "retract"])
@pytest.mark.parametrize("parked", [False, True])
def test_before_its_receipt_was_read(site: Site, kind: str, parked: bool) -> None:
    site["a"].hold("verdict-received")
    journey = set_out(site, kind)
    site["a"].reached("verdict-received")
    come_back(site, journey.agent_id, parked=parked)
    journey.call.exception(20.0)  # it moved: whoever waits hears so, although the receipt was not read
    copy = site.settled(journey.agent_id)
    site["a"].let_go("verdict-received")
    assert (copy.host, copy.epoch) == ("a", journey.epoch + 2)
    assert copy.status == ("inactive" if parked else "active")
    assert site.tell("b", journey.agent_id, "look")["log"][-1].endswith("@a")
    site.only_their_processes()


def test_its_messages_reach_it_at_home(site: Site) -> None:
    site["a"].hold("verdict-received")
    journey = set_out(site, "dispatch")
    site["a"].reached("verdict-received")
    waiting = [site.soon(lambda: site.tell("a", journey.agent_id, "add", by=1)) for _ in range(3)]
    eventually(lambda: _waiting(site, journey.agent_id) == 3)
    come_back(site, journey.agent_id)
    first = sorted(each.result(20.0) for each in waiting)
    assert first == [first[0], first[0] + 1, first[0] + 2]
    site["a"].let_go("verdict-received")
    assert site.settled(journey.agent_id).host == "a"


def _waiting(site: Site, agent_id: str) -> int:
    return site.ask("a", api.PAGLETS_INFO, api.PagletParams(agent_id=agent_id))["waiting_messages"]


def test_home_while_the_earlier_transfer_is_in_doubt(site: Site) -> None:
    """The floor may pass that transfer from then on, so asking about it would find it closed."""
    site["b"].hold("verdict-due")
    site["b"].hold_all("question-received")
    journey = set_out(site, "own", timeout=0.7)
    site["b"].reached("verdict-due")
    eventually(
        lambda: [copy.status for copy in site.copies(journey.agent_id) if copy.host == "a"] == ["in-doubt"]
    )
    site["b"].reached("question-received")
    come_back(site, journey.agent_id)
    copy = site.settled(journey.agent_id)
    assert (copy.host, copy.status) == ("a", "active")
    for point in ("question-received", "verdict-due"):
        site["b"].let_go(point)
    assert site.settled(journey.agent_id) == copy
    site["a"].restart()
    assert site.settled(journey.agent_id).host == "a"
    site.only_their_processes()


@pytest.mark.parametrize(
    "victims", ["a", pytest.param("b", marks=pytest.mark.slow), pytest.param("ab", marks=pytest.mark.slow)]
)
def test_home_and_then_a_power_cut(site: Site, victims: str) -> None:
    site["a"].hold("verdict-received")
    journey = set_out(site, "dispatch")
    site["a"].reached("verdict-received")
    come_back(site, journey.agent_id)
    for victim in victims:
        site[victim].kill()
    for victim in victims:
        site[victim].start()
    assert journey.finish("a").epoch >= journey.epoch + 2
    site.only_their_processes()


def test_there_and_back_under_load(site: Site) -> None:
    """No move waits for another: each direction goes on while the other's receipt is late."""
    journeys = [set_out(site, "dispatch") for _ in range(6)]
    for journey in journeys:
        journey.call.result(20.0)
    backs = [site.soon(lambda each=journey: come_back(site, each.agent_id)) for journey in journeys]
    for back in backs:
        back.result(20.0)
    assert {site.settled(journey.agent_id).host for journey in journeys} == {"a"}
    assert Phase.ACTIVE.value in {copy.status for copy in site.copies()}
