"""A host is restored that had taken a paglet in and sent it on, while its source still waits for the verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paglets.remote import api
from paglets.testing.points import Points
from tests.backup.test_restored_hosts import accept, back_up, call, put_back, status_of
from tests.backup.unheard import arrive_unheard
from tests.drain.drained import Counter

if TYPE_CHECKING:
    from pathlib import Path

    from paglets.runtime.host import Host
    from paglets.testing.mesh import LocalMesh


def doubts(host: Host) -> str:
    """Why its transfers are not settled."""
    return str(call(host, api.TRANSFERS_LIST)["transfers"])


def sent_on(mesh: LocalMesh, tmp_path: Path) -> str:
    """The paglet's id: it is at c, a waits for b's verdict, and b was put back from a backup of before."""
    points = Points(tmp_path / "points")
    a, b, _ = mesh.start("a"), mesh.start("b", points=points), mesh.start("c")
    agent_id = a.create(Counter).agent_id
    archive = back_up(b, tmp_path / "b.backup")
    arrive_unheard(mesh, agent_id, points)
    b.dispatch(agent_id, "c")
    mesh.stop("b")
    mesh.heal("a", "b")
    put_back(mesh, "b", archive)
    assert agent_id in doubts(a)
    return agent_id


def test_it_says_arrived_when_the_paglet_is_found_where_it_was_sent_on(
    paglets_mesh: LocalMesh, tmp_path: Path
) -> None:
    agent_id = sent_on(paglets_mesh, tmp_path)
    a, b = paglets_mesh["a"], paglets_mesh["b"]
    assert accept(b)["silent"] == []
    paglets_mesh.wait_until(lambda: agent_id not in doubts(a))
    assert paglets_mesh.places(agent_id) == ["c"]
    b.dispatch(b.create(Counter).agent_id, "a")
    a.dispatch(a.create(Counter).agent_id, "b")


def test_accepted_by_force_it_gives_no_verdict_on_what_may_be_at_a_host_that_was_not_asked(
    paglets_mesh: LocalMesh, tmp_path: Path
) -> None:
    agent_id = sent_on(paglets_mesh, tmp_path)
    a, b = paglets_mesh["a"], paglets_mesh["b"]
    paglets_mesh.stop("c")
    paglets_mesh.wait_until(lambda: not b.mesh.is_online("c"))
    assert accept(b, force=True)["silent"] == ["c"]
    paglets_mesh.wait_until(lambda: "not every host could be asked" in doubts(a))
    assert agent_id in doubts(a)
    paglets_mesh.restart("b")
    c = paglets_mesh.start("c")
    a.dispatch(a.create(Counter).agent_id, "b")
    c.dispatch(c.create(Counter).agent_id, "b")
    assert agent_id in doubts(a)
    assert status_of(c, agent_id) == "active"
