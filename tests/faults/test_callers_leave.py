"""Whoever asks for an operation may hang up at any time: it is done whole, or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from paglets.remote import api
from paglets.remote.client import HostClient
from tests.faults.moving import traveller
from tests.faults.site import TRAVELLER, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.faults.site import Site


@pytest.fixture
def caller(site: Site) -> Iterator[HostClient]:
    """A client with connections of its own."""
    client = HostClient(mesh_dir=site["a"].data_dir.parent / "mesh")
    yield client
    client.close()


@pytest.mark.parametrize("point", ["dispatching", "trailer-due", "trailer-sent", "before:departed"])
def test_a_move_goes_on(site: Site, caller: HostClient, point: str) -> None:
    agent_id = traveller(site)
    site["a"].hold(point)
    params = api.DispatchParams(agent_id=agent_id, ticket={"destination": site["b"].url})
    caller.submit(site["a"].url, api.PAGLETS_DISPATCH, params)
    site["a"].reached(point)
    caller.close()
    site["a"].let_go(point)
    eventually(lambda: [copy.host for copy in site.copies(agent_id)] == ["b"])
    assert site.settled(agent_id).epoch == 2
    assert site.tell("a", agent_id, "add", by=0) > 0
    site.only_their_processes()


@pytest.mark.parametrize("point", ["deactivating", "before:inactive", "after:inactive"])
def test_parking_is_done_whole(site: Site, caller: HostClient, point: str) -> None:
    agent_id = traveller(site)
    site["a"].hold(point)
    caller.submit(site["a"].url, api.PAGLETS_DEACTIVATE, api.DeactivateParams(agent_id=agent_id))
    site["a"].reached(point)
    caller.close()
    site["a"].let_go(point)
    eventually(lambda: [copy.status for copy in site.copies(agent_id)] == ["inactive"])
    site.only_their_processes()
    assert site.tell("a", agent_id, "look")["log"][-1] == "activation:activate@a"


@pytest.mark.parametrize(
    "point", ["before:active:activation", "after:active:activation", "activation:activate"]
)
def test_waking_is_done_whole(site: Site, caller: HostClient, point: str) -> None:
    agent_id = traveller(site)
    site.proxy("a", agent_id).deactivate()
    site["a"].hold(point)
    caller.submit(site["a"].url, api.PAGLETS_ACTIVATE, api.PagletParams(agent_id=agent_id))
    site["a"].reached(point)
    caller.close()
    site["a"].let_go(point)
    assert site.tell("a", agent_id, "look")["log"][-1] == "activation:activate@a"
    assert site.settled(agent_id).epoch == 2
    site.only_their_processes()


@pytest.mark.parametrize("point", ["before:active:creation", "after:active:creation", "creation"])
def test_creation_is_done_whole(site: Site, caller: HostClient, point: str) -> None:
    site["a"].hold(point)
    before = {copy.agent_id for copy in site.copies()}
    caller.submit(
        site["a"].url, api.PAGLETS_CREATE, api.CreateParams(class_name=TRAVELLER, state=msgspec.Raw(b"{}"))
    )
    site["a"].reached(point)
    caller.close()
    site["a"].let_go(point)
    [agent_id] = eventually(lambda: {copy.agent_id for copy in site.copies()} - before)
    assert site.tell("a", agent_id, "look")["log"] == ["creation@a"]
    site.only_their_processes()


@pytest.mark.parametrize("point", ["before:active:arrival", "after:active:arrival", "arrival"])
def test_a_move_to_the_same_host_is_done_whole(site: Site, caller: HostClient, point: str) -> None:
    agent_id = traveller(site)
    site["a"].hold(point)
    params = api.DispatchParams(agent_id=agent_id, ticket={"destination": site["a"].url})
    caller.submit(site["a"].url, api.PAGLETS_DISPATCH, params)
    site["a"].reached(point)
    caller.close()
    site["a"].let_go(point)
    eventually(lambda: [copy.epoch for copy in site.copies(agent_id)] == [2])
    assert site.tell("a", agent_id, "look")["log"][-1] == "arrival@a"
    site.only_their_processes()


def test_a_target_whose_source_has_hung_up_acts_on_what_it_decides(site: Site) -> None:
    agent_id = traveller(site)
    site["b"].hold("before:active:arrival")
    params = api.DispatchParams(agent_id=agent_id, ticket={"destination": site["b"].url})
    site.soon(lambda: site.ask("a", api.PAGLETS_DISPATCH, params))
    site["b"].reached("before:active:arrival")
    site["a"].kill()
    site["b"].let_go("before:active:arrival")
    eventually(lambda: site.copies(agent_id))
    assert site.tell("b", agent_id, "look")["log"][-1] == "arrival@b"
    site["a"].start()
    assert site.settled(agent_id).host == "b"
    site.only_their_processes()
