"""Two want different things of a paglet that is moving: it ends in one place, and both are told the truth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from paglets.core.errors import InvalidAgentError, LifecycleError, PagletError, TransferError
from paglets.remote import api
from tests.faults.moving import begin, set_out, traveller
from tests.faults.site import eventually

if TYPE_CHECKING:
    from tests.faults.site import Site


@pytest.mark.parametrize("point", ["dispatching", "header-sent", "trailer-due", "verdict-received"])
def test_retracted_while_it_moves(site: Site, point: str) -> None:
    site["a"].hold(point)
    journey = set_out(site, "dispatch")
    site["a"].reached(point)
    retracted = begin(site, "retract", journey.agent_id)
    site["a"].let_go(point)
    journey.finish("b")
    assert isinstance(retracted.exception(20.0), LifecycleError | InvalidAgentError | None)
    site.only_their_processes()


@pytest.mark.parametrize("point", ["header-sent", "trailer-due", "verdict-received"])
@pytest.mark.parametrize(
    "method", [api.PAGLETS_DEACTIVATE, api.PAGLETS_DISPOSE, api.PAGLETS_CHECKPOINT, api.PAGLETS_CLONE]
)
def test_asked_for_something_else_while_it_moves(site: Site, point: str, method: str) -> None:
    site["a"].hold(point)
    journey = set_out(site, "dispatch")
    site["a"].reached(point)
    params = {
        api.PAGLETS_DEACTIVATE: api.DeactivateParams(agent_id=journey.agent_id),
        api.PAGLETS_CLONE: api.CloneParams(agent_id=journey.agent_id),
    }.get(method, api.PagletParams(agent_id=journey.agent_id))
    other = site.soon(lambda: site.ask("a", method, params, timeout=30.0))
    eventually(lambda: other.running() or other.done())
    site["a"].let_go(point)
    assert journey.finish("b").status == "active"
    assert isinstance(other.exception(30.0), LifecycleError | InvalidAgentError)
    assert len(site.copies(journey.agent_id)) == 1
    site.only_their_processes()


def test_sent_to_two_places_at_once(site: Site) -> None:
    agent_id = traveller(site)
    calls = [
        site.soon(
            lambda to=name: site.ask(
                "a",
                api.PAGLETS_DISPATCH,
                api.DispatchParams(agent_id=agent_id, ticket={"destination": site[to].url}),
            )
        )
        for name in ("b", "a", "b", "a")
    ]
    for call in calls:
        assert isinstance(call.exception(20.0), PagletError | None)
    assert site.settled(agent_id).status == "active"
    site.only_their_processes()


def test_a_target_that_refuses_says_why(site: Site) -> None:
    """Also when the refusal comes too late for the source to take the move back by itself."""
    for _ in range(5):
        agent_id = traveller(site)
        ticket = {"destination": site["b"].url, "expected_code_version": "0.0"}
        with pytest.raises(TransferError, match="code version"):
            site.ask("a", api.PAGLETS_DISPATCH, api.DispatchParams(agent_id=agent_id, ticket=ticket))
        assert site.settled(agent_id).host == "a"
