"""Passports of paglets that move between real hosts: they come along, stay behind, and show tampering."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

import pytest

from paglets.core.errors import PagletError
from paglets.remote import api
from paglets.remote.envelopes.stops import MAX_STOPS, encode_stops
from paglets.remote.transfer import TransferTicket
from tests.passport.travellers import Traveller

if TYPE_CHECKING:
    from collections.abc import Sequence

    from paglets.remote.envelopes.stops import Stop
    from paglets.runtime.host import Host
    from paglets.testing.mesh import LocalMesh


def passport(host: Host, agent_id: str) -> dict[str, Any]:
    params = api.PagletParams(agent_id=agent_id)
    return json.loads(host.client.call(host.address, api.PAGLETS_PASSPORT, params, timeout=30.0))


def stations(shown: dict[str, Any]) -> list[str]:
    names = [hop["source_name"] for hop in shown["hops"][:1]]
    return names + [hop["target_name"] for hop in shown["hops"]]


def travel(mesh: LocalMesh, agent_id: str, *names: str) -> None:
    for at, to in itertools.pairwise(names):
        mesh[at].dispatch(agent_id, TransferTicket(to, timeout=20.0))


def test_it_shows_where_a_paglet_has_been_and_who_took_it(paglets_mesh: LocalMesh) -> None:
    for name in "abc":
        paglets_mesh.start(name)
    agent_id = paglets_mesh["a"].create(Traveller).agent_id
    unmoved = passport(paglets_mesh["a"], agent_id)
    assert (unmoved["hops"], unmoved["complete"]) == ([], True)

    travel(paglets_mesh, agent_id, "a", "b", "c", "a", "b")
    for name in "abc":  # asked of any host: it follows
        shown = passport(paglets_mesh[name], agent_id)
        assert shown["host_name"] == "b"
        assert stations(shown) == ["a", "b", "c", "a", "b"]
        assert (shown["fits"], shown["complete"], shown["departed"]) == (True, True, False)

    b = paglets_mesh["b"]
    b.dispatch(agent_id, "b")  # to the host it is on: nobody else took it
    b.deactivate(agent_id)
    travel(paglets_mesh, agent_id, "b", "c")
    shown = passport(paglets_mesh["c"], agent_id)
    assert stations(shown) == ["a", "b", "c", "a", "b", "c"]
    assert shown["complete"]


def test_it_stays_where_the_paglet_has_left(paglets_mesh: LocalMesh) -> None:
    a, b = paglets_mesh.start("a"), paglets_mesh.start("b")
    agent_id = a.create(Traveller).agent_id
    travel(paglets_mesh, agent_id, "a", "b")
    paglets_mesh.stop("b")
    a = paglets_mesh.restart("a", meet=False)
    shown = passport(a, agent_id)
    assert shown["departed"]
    assert stations(shown) == ["a", "b"]
    assert shown["hops"][-1]["target"] == b.host_id
    assert shown["complete"], "with the receipt of the host that took it"


def test_a_clone_has_its_originals_and_goes_on_from_there(paglets_mesh: LocalMesh) -> None:
    a, b = paglets_mesh.start("a"), paglets_mesh.start("b")
    agent_id = a.create(Traveller).agent_id
    travel(paglets_mesh, agent_id, "a", "b")
    far = b.proxy_for(b.address, agent_id).clone("a").agent_id
    travel(paglets_mesh, far, "a", "b")
    shown = passport(b, far)
    assert [hop["kind"] for hop in shown["hops"]] == ["dispatch", "clone", "dispatch"]
    assert shown["complete"]
    near = b.proxy_for(b.address, agent_id).clone().agent_id
    assert passport(b, near)["hops"] == [], "it was born here, and nobody took it in"
    travel(paglets_mesh, near, "b", "a")
    assert passport(a, near)["complete"]


def test_a_long_journey_forgets_its_beginning(paglets_mesh: LocalMesh) -> None:
    a, _ = paglets_mesh.start("a"), paglets_mesh.start("b")
    agent_id = a.create(Traveller).agent_id
    travel(paglets_mesh, agent_id, *"ab" * (MAX_STOPS // 2 + 2))
    shown = passport(paglets_mesh["b"], agent_id)
    assert len(shown["hops"]) <= MAX_STOPS
    assert shown["hops"][0]["link"] == "cut-off"
    assert (shown["fits"], shown["complete"]) == (True, False)


@pytest.mark.parametrize("what", ["left out", "emptied"])
def test_a_host_that_tampers_is_found_out_and_the_paglet_still_moves(
    paglets_mesh: LocalMesh, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    for name in "abc":
        paglets_mesh.start(name)
    agent_id = paglets_mesh["a"].create(Traveller).agent_id
    travel(paglets_mesh, agent_id, "a", "b")

    def tampered(stops: Sequence[Stop]) -> bytes:
        return encode_stops(stops[1:] if what == "left out" and len(stops) > 1 else stops[-1:])

    with monkeypatch.context() as patch:
        patch.setattr("paglets.runtime.transfers.passports.encode_stops", tampered)
        travel(paglets_mesh, agent_id, "b", "c")  # c leaves out how the paglet came to b
    shown = passport(paglets_mesh["c"], agent_id)
    assert not shown["complete"]
    assert shown["hops"][0]["link"] == "cut-off"
    travel(paglets_mesh, agent_id, "c", "a")
    assert not passport(paglets_mesh["a"], agent_id)["complete"]


def test_there_is_none_of_a_paglet_that_is_gone(paglets_mesh: LocalMesh) -> None:
    a = paglets_mesh.start("a")
    agent_id = a.create(Traveller).agent_id
    a.dispose(agent_id)
    for unknown in (agent_id, "nobody"):
        with pytest.raises(PagletError, match="there is no paglet"):
            passport(a, unknown)
