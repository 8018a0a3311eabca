"""A sender's proxy learns the new place: what it sends next goes there without a detour."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from paglets.core.errors import RemoteHostError
from paglets.core.messages import Message
from paglets.remote.client import HostClient
from paglets.remote.proxy import PagletProxy
from tests.outbox.agents import Lister
from tests.outbox.agents_that_travel import Correspondent
from tests.outbox.asking import items, note

if TYPE_CHECKING:
    from collections.abc import Callable

    from paglets.testing.mesh import LocalMesh

WAYS: dict[str, Callable[[PagletProxy], Any]] = {
    "send": items,
    "send_oneway": lambda proxy: proxy.send_oneway(note("x")),
    "send_future": lambda proxy: proxy.send_future(Message("items")).get_reply(20.0),
    "info": lambda proxy: proxy.info(),
}


def travelled(mesh: LocalMesh) -> tuple[str, list[str]]:
    """A paglet that went from a over b and c home to a; its id, and the addresses in that order."""
    hosts = [mesh.start(name) for name in "abc"]
    proxy = hosts[0].create(Lister)
    for target in "bca":
        proxy = proxy.dispatch(target)
    return proxy.agent_id, [host.address for host in hosts]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("seen_at", ["b", "c"])
def test_a_proxy_goes_to_the_new_place_directly(paglets_mesh: LocalMesh, way: str, seen_at: str) -> None:
    agent_id, addresses = travelled(paglets_mesh)
    old = dict(zip("abc", addresses, strict=True))[seen_at]
    with HostClient(mesh_dir=paglets_mesh.mesh_dir) as client:
        proxy, never_used = PagletProxy(old, agent_id, client), PagletProxy(old, agent_id, client)
        WAYS[way](proxy)
        assert proxy.host_url == addresses[0]
        paglets_mesh.stop("b")
        paglets_mesh.stop("c")
        WAYS[way](proxy)
        with pytest.raises(RemoteHostError):
            WAYS[way](never_used)


def test_a_proxy_of_a_program_with_a_host_does(paglets_mesh: LocalMesh) -> None:
    agent_id, addresses = travelled(paglets_mesh)
    proxy = paglets_mesh["c"].proxy_for(addresses[1], agent_id)
    assert items(proxy) == []
    assert proxy.host_url == addresses[0]


def test_a_proxy_of_a_paglet_does(paglets_mesh: LocalMesh) -> None:
    agent_id, addresses = travelled(paglets_mesh)
    sender = paglets_mesh["c"].create(Correspondent)
    told = {"agent_id": agent_id, "host_url": addresses[1]}
    places = sender.send(Message("write", {**told, "values": [1, 2]}), timeout=20.0)
    assert places == [addresses[0], addresses[0]]
    assert items(paglets_mesh["a"].proxy_for(addresses[0], agent_id)) == [1, 2]


def test_a_paglet_that_goes_on_is_found_from_any_place_that_it_was_at(paglets_mesh: LocalMesh) -> None:
    agent_id, addresses = travelled(paglets_mesh)
    proxy = paglets_mesh["a"].proxy_for(addresses[0], agent_id)
    for target in "bcabc":
        proxy = proxy.dispatch(target)
    for address in addresses:
        seen = paglets_mesh["b"].proxy_for(address, agent_id)
        assert items(seen) == []
        assert seen.host_url == addresses[2]
