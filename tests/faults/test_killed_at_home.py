"""A host is killed at the durable steps of a paglet's life on it.

What was acknowledged is there afterwards; the rest is there whole, or not at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from paglets.core.errors import RemoteHostError
from paglets.remote import api
from tests.faults.moving import traveller
from tests.faults.site import TRAVELLER

if TYPE_CHECKING:
    from _pytest.mark.structures import ParameterSet

    from tests.faults.site import Site


def seldom(*points: str) -> list[ParameterSet]:
    """Points that are tried in the slow run only."""
    return [pytest.param(point, marks=pytest.mark.slow) for point in points]


def log_of(site: Site, agent_id: str) -> list[str]:
    return site.tell("a", agent_id, "look")["log"]


@pytest.mark.parametrize(
    "point", ["before:active:creation", "after:active:creation", *seldom("creation", "before:active")]
)
def test_creation(site: Site, point: str) -> None:
    site["a"].hold(point)
    params = api.CreateParams(class_name=TRAVELLER, state=msgspec.Raw(b"{}"), agent_id=f"made.{point}")
    call = site.soon(lambda: site.ask("a", api.PAGLETS_CREATE, params))
    site["a"].reached(point)
    site["a"].restart()
    assert isinstance(call.exception(10.0), RemoteHostError)
    site.at_rest()
    if point == "before:active:creation":
        assert site.copies(params.agent_id) == []
    else:
        # Nobody was told of it, but it is durable; its hook runs until it has returned once.
        assert site.settled_as("active", params.agent_id).epoch == 2
        assert log_of(site, params.agent_id) == ["creation@a"]
    site.only_their_processes()


@pytest.mark.parametrize("point", [*seldom("deactivating"), "before:inactive", "after:inactive"])
def test_deactivation(site: Site, point: str) -> None:
    agent_id = traveller(site)
    site["a"].hold(point)
    site.soon(site.proxy("a", agent_id).deactivate)
    site["a"].reached(point)
    site["a"].restart()
    copy = site.settled_as("inactive" if point == "after:inactive" else "active", agent_id)
    assert copy.epoch == (1 if copy.status == "inactive" else 2)
    assert site.tell("a", agent_id, "add", by=0) >= 1000
    site.only_their_processes()


@pytest.mark.parametrize(
    "point",
    ["before:active:activation", "after:active:activation", *seldom("activation:activate", "before:active")],
)
def test_activation(site: Site, point: str) -> None:
    agent_id = traveller(site)
    site.proxy("a", agent_id).deactivate()
    site["a"].hold(point)
    site.soon(site.proxy("a", agent_id).activate)
    site["a"].reached(point)
    site["a"].restart()
    copy = site.settled_as("inactive" if point == "before:active:activation" else "active", agent_id)
    assert copy.epoch == (1 if copy.status == "inactive" else 3)
    assert site.tell("a", agent_id, "add", by=0) >= 1000
    assert log_of(site, agent_id).count("deactivating@a") == 1
    site.only_their_processes()


@pytest.mark.parametrize("point", ["before:active", "after:active"])
def test_checkpoint(site: Site, point: str) -> None:
    agent_id = traveller(site)
    before = site.tell("a", agent_id, "add", by=0)
    site["a"].hold(point)
    call = site.soon(lambda: site.tell("a", agent_id, "save", by=5))
    site["a"].reached(point)
    site["a"].restart()
    assert isinstance(call.exception(10.0), RemoteHostError)
    site.settled_as("active", agent_id)
    assert site.tell("a", agent_id, "add", by=0) == before + (5 if point == "after:active" else 0)
    site.only_their_processes()


@pytest.mark.parametrize(
    "point", ["before:active:arrival", "after:active:arrival", *seldom("arrival", "before:active")]
)
@pytest.mark.parametrize("own", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_move_to_the_same_host(site: Site, point: str, own: bool) -> None:
    agent_id = traveller(site)
    site["a"].hold(point)
    if own:
        site.soon(lambda: site.tell("a", agent_id, "go", to=site["a"].url))
    else:
        site.soon(lambda: site.proxy("a", agent_id).dispatch(site["a"].url))
    site["a"].reached(point)
    site["a"].restart()
    copy = site.settled_as("active", agent_id)
    log = log_of(site, agent_id)
    if point == "before:active:arrival":
        assert (copy.epoch, log) == (2, ["creation@a", "activation:recovered@a"])
    else:
        assert (copy.epoch, log) == (3, ["creation@a", "dispatching@a", "arrival@a"])
    assert site.tell("a", agent_id, "add", by=0) >= 1000
    site.only_their_processes()


@pytest.mark.parametrize("point", ["before:tombstone", "after:tombstone"])
def test_disposal(site: Site, point: str) -> None:
    agent_id = traveller(site)
    site["a"].hold(point)
    site.soon(site.proxy("a", agent_id).dispose)
    site["a"].reached(point)
    site["a"].restart()
    site.at_rest()
    assert len(site.copies(agent_id)) == (point == "before:tombstone")
    site.only_their_processes()


@pytest.mark.parametrize(
    "point",
    ["after:active:activation", *seldom("before:active:activation", "activation:recovered", "before:active")],
)
def test_recovery(site: Site, point: str) -> None:
    """Killed again while it brings back what it had: each attempt is a life, and none is lost."""
    agent_id = traveller(site)
    for _ in range(2):
        site["a"].kill()
        site["a"].hold(point)
        site["a"].start()
        site["a"].reached(point)
    site["a"].restart()
    assert site.settled_as("active", agent_id).epoch == (2 if point == "before:active:activation" else 4)
    assert log_of(site, agent_id) == ["creation@a", "activation:recovered@a"]
    assert site.tell("a", agent_id, "add", by=0) >= 1000
    site.only_their_processes()
