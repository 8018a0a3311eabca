"""A host that is drained: everything that can leaves it, nothing comes, and what stays is named."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from paglets.core.errors import HostError, PagletError, TransferError
from paglets.core.messages import Message
from paglets.remote import api
from paglets.remote.members import HostFacts
from paglets.runtime.draining import Loads
from tests.drain.drained import Counter, Seasick, Stubborn

if TYPE_CHECKING:
    from paglets.remote.mesh_view import SeenHost
    from paglets.runtime.host import Host
    from paglets.testing.mesh import LocalMesh


def told(host: Host, action: api.DrainAction = api.DrainAction.LOOK, *to: str) -> dict[str, Any]:
    params = api.DrainParams(action=action, to=list(to))
    return json.loads(host.client.call(host.address, api.HOST_DRAIN, params, timeout=10.0))


def begin(host: Host, *to: str) -> None:
    told(host, api.DrainAction.BEGIN, *to)


def drained(mesh: LocalMesh, host: Host, *to: str) -> dict[str, Any]:
    begin(host, *to)
    mesh.wait_until(lambda: not told(host)["running"], within=30.0)
    return told(host)


def ids(host: Host) -> set[str]:
    return {entry["agent_id"] for entry in host.list_agents(inactive=True)}


class TestLeaving:
    def test_active_and_parked_paglets_leave_for_all_other_hosts_alike(self, paglets_mesh: LocalMesh) -> None:
        a, b, c = (paglets_mesh.start(name) for name in ("a", "b", "c"))
        active = [a.create(Counter) for _ in range(4)]
        parked = [a.create(Counter) for _ in range(2)]
        active[0].send(Message("count"))
        a.checkpoint(active[0].agent_id)
        for proxy in parked:
            a.deactivate(proxy.agent_id)
        report = drained(paglets_mesh, a)
        assert (report["moved"], report["failed"]) == (6, [])
        assert ids(a) == set()
        assert (len(ids(b)), len(ids(c))) == (3, 3)
        states = {
            entry["agent_id"]: entry["status"] for host in (b, c) for entry in host.list_agents(inactive=True)
        }
        assert {states[proxy.agent_id] for proxy in active} == {"active"}
        assert {states[proxy.agent_id] for proxy in parked} == {"inactive"}
        assert active[0].send(Message("count")) == 2

    def test_only_hosts_that_are_named_take_them(self, paglets_mesh: LocalMesh) -> None:
        a, b, c = (paglets_mesh.start(name) for name in ("a", "b", "c"))
        made = {a.create(Counter).agent_id for _ in range(3)}
        drained(paglets_mesh, a, "c")
        assert (ids(b), ids(c)) == (set(), made)

    def test_what_does_not_want_to_go_stays_and_is_named(self, paglets_mesh: LocalMesh) -> None:
        a, b = paglets_mesh.start("a"), paglets_mesh.start("b")
        free, stubborn = a.create(Counter), a.create(Stubborn)
        report = drained(paglets_mesh, a)
        assert ids(a) == {stubborn.agent_id}
        assert ids(b) == {free.agent_id}
        ((failed),) = report["failed"]
        assert failed["agent_id"] == stubborn.agent_id
        assert "I live here" in failed["reason"]
        assert stubborn.send(Message("count")) == 1

    def test_one_that_fails_after_it_has_left_has_left(self, paglets_mesh: LocalMesh) -> None:
        a, b = paglets_mesh.start("a"), paglets_mesh.start("b")
        sick = a.create(Seasick)
        report = drained(paglets_mesh, a)
        assert (report["moved"], report["failed"]) == (1, [])
        assert "the ground moves" in report["moves"][0]["note"]
        assert paglets_mesh.places(sick.agent_id) == ["b"]
        assert ids(b) == {sick.agent_id}

    def test_without_another_host_all_stay_and_it_says_why(self, paglets_mesh: LocalMesh) -> None:
        a = paglets_mesh.start("a")
        proxy = a.create(Counter)
        report = drained(paglets_mesh, a)
        assert report["failed"][0]["agent_id"] == proxy.agent_id
        assert "no other host" in report["failed"][0]["reason"]
        assert proxy.send(Message("count")) == 1

    def test_two_hosts_that_are_drained_do_not_fill_each_other(self, paglets_mesh: LocalMesh) -> None:
        a, b = paglets_mesh.start("a"), paglets_mesh.start("b")
        drained(paglets_mesh, b)
        paglets_mesh.wait_until(
            lambda: [h.properties.get("draining") for h in a.list_hosts() if h.name == "b"] == [True]
        )
        proxy = a.create(Counter)
        assert "no other host" in drained(paglets_mesh, a)["failed"][0]["reason"]
        assert ids(a) == {proxy.agent_id}

    def test_a_host_that_is_named_is_asked_itself_whatever_was_heard_of_it(
        self, paglets_mesh: LocalMesh
    ) -> None:
        # What was heard may be old: it may take paglets in again since a moment ago.
        a, b = paglets_mesh.start("a"), paglets_mesh.start("b")
        begin(a)
        paglets_mesh.wait_until(lambda: any(host.properties.get("draining") for host in b.list_hosts()))
        agent_id = b.create(Counter).agent_id
        [failure] = drained(paglets_mesh, b, "a")["failed"]
        assert failure["agent_id"] == agent_id
        assert "host a is being drained and takes no paglets" in failure["reason"]
        assert ids(b) == {agent_id}

    def test_again_is_harmless_and_takes_what_was_left(self, paglets_mesh: LocalMesh) -> None:
        a = paglets_mesh.start("a")
        proxy = a.create(Counter)
        assert drained(paglets_mesh, a)["failed_count"] == 1
        b = paglets_mesh.start("b")
        assert drained(paglets_mesh, a)["failed_count"] == 0
        assert ids(b) == {proxy.agent_id}
        assert drained(paglets_mesh, a)["failed_count"] == 0


class TestShut:
    def test_nothing_is_created_cloned_or_taken_in_until_it_is_undone(self, paglets_mesh: LocalMesh) -> None:
        a, b = paglets_mesh.start("a"), paglets_mesh.start("b")
        visitor, stubborn = b.create(Counter), a.create(Stubborn)
        drained(paglets_mesh, a)
        with pytest.raises(HostError, match="being drained"):
            a.create(Counter)
        with pytest.raises(HostError, match="being drained"):
            a.clone(stubborn.agent_id)
        with pytest.raises(TransferError, match="being drained"):
            b.dispatch(visitor.agent_id, "a")
        assert visitor.send(Message("count")) == 1
        assert a.status()["draining"] is True
        assert "agents:receive" not in a.health()["capabilities"]

        assert told(a, api.DrainAction.UNDO)["draining"] is False
        b.dispatch(visitor.agent_id, "a")
        assert a.create(Counter).send(Message("count")) == 1
        assert a.status()["draining"] is False
        paglets_mesh.wait_until(lambda: all("draining" not in host.properties for host in b.list_hosts()))

    def test_it_stays_shut_over_a_restart_and_goes_on(self, paglets_mesh: LocalMesh) -> None:
        a = paglets_mesh.start("a")
        proxy = a.create(Counter)
        drained(paglets_mesh, a)
        b = paglets_mesh.start("b")
        a = paglets_mesh.restart("a")
        assert a.status()["draining"] is True
        with pytest.raises(HostError, match="being drained"):
            a.create(Counter)
        paglets_mesh.wait_until(lambda: ids(b) == {proxy.agent_id})

    def test_an_order_that_names_no_host_or_itself_changes_nothing(self, paglets_mesh: LocalMesh) -> None:
        a = paglets_mesh.start("a")
        with pytest.raises(PagletError, match="called 'nowhere'"):
            begin(a, "nowhere")
        with pytest.raises(HostError, match="is the one to be drained"):
            begin(a, "a")
        assert a.status()["draining"] is False
        a.create(Counter)

    def test_a_host_without_a_mesh_is_only_shut(self, paglets_mesh: LocalMesh) -> None:
        a = paglets_mesh.start("a", mesh=False)
        drained(paglets_mesh, a)
        with pytest.raises(HostError, match="being drained"):
            a.create(Counter)
        told(a, api.DrainAction.UNDO)
        a.create(Counter)

    def test_nobody_has_to_wait_for_it(self, paglets_mesh: LocalMesh) -> None:
        """As when the command line that asked is killed at once."""
        a, b = paglets_mesh.start("a"), paglets_mesh.start("b")
        made = {a.create(Counter).agent_id for _ in range(3)}
        begin(a)
        paglets_mesh.wait_until(lambda: ids(b) == made)


def seen(name: str, count: int) -> SeenHost:
    return cast("SeenHost", SimpleNamespace(facts=HostFacts(name, name, "", active_count=count)))


def test_loads_fill_the_emptiest_first() -> None:
    loads, hosts = Loads(), [seen("x", 5), seen("y", 2), seen("z", 3)]
    chosen: list[str] = []
    for _ in range(6):
        host = loads.lightest(hosts)
        assert host is not None
        chosen.append(host.facts.name)
        loads.add(host.facts.host_id, 1)
    assert chosen == ["y", "y", "z", "y", "z", "x"]
    assert loads.lightest([]) is None
