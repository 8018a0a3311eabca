"""Meshes of real hosts for a test."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import psutil
import pytest

from paglets.core.errors import HostError, RemoteHostError, TransferError
from paglets.core.messages import Message
from paglets.remote.mesh_location import MESH_DIR_VARIABLE
from paglets.runtime.launchers.keeper import shared_keeper
from paglets.testing.mesh import LocalMesh
from tests.testing.agents import Counter, CounterState

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from paglets.testing.points import Points


@pytest.fixture(scope="module", autouse=True)
def warm_zygote() -> Generator[None]:
    """For the speed of these tests only."""
    keeper = shared_keeper()
    keeper.acquire()
    yield
    keeper.release()


def test_hosts_know_each_other_and_paglets_move(paglets_mesh: LocalMesh) -> None:
    hall, roof = paglets_mesh.start("hall"), paglets_mesh.start("roof", tags=["outside"])
    assert paglets_mesh.hosts == {"hall": hall, "roof": roof}
    assert paglets_mesh["hall"] is hall
    proxy = hall.create(Counter)
    moved = proxy.dispatch("roof")
    assert paglets_mesh.places(proxy.agent_id) == ["roof"]
    assert moved.send(Message("add"), timeout=10) == 1
    assert roof.get_state(proxy.agent_id, CounterState) == CounterState(1, ["roof"])
    assert [ref.tags for ref in hall.list_hosts(include_self=False)] == [("outside",)]


def test_a_cut_link_stops_moves_and_messages_until_it_is_healed(paglets_mesh: LocalMesh) -> None:
    hall, roof = paglets_mesh.start("hall"), paglets_mesh.start("roof")
    proxy = hall.create(Counter)
    away = hall.proxy_for(roof.address, roof.create(Counter).agent_id)
    assert away.send(Message("add"), timeout=10) == 1

    paglets_mesh.cut("hall", "roof")
    with pytest.raises(TransferError):
        proxy.dispatch("roof")
    with pytest.raises(RemoteHostError):
        away.send(Message("add"), timeout=10)
    paglets_mesh.wait_until(lambda: not roof.mesh.is_online("hall"))
    assert paglets_mesh.places(proxy.agent_id) == ["hall"]

    paglets_mesh.heal("hall", "roof")
    paglets_mesh.wait_until(lambda: hall.mesh.is_online("roof"))
    assert away.send(Message("add"), timeout=10) == 2
    proxy.dispatch("roof")
    assert paglets_mesh.places(proxy.agent_id) == ["roof"]


def test_two_that_are_cut_off_from_each_other_still_reach_a_third(paglets_mesh: LocalMesh) -> None:
    for name in ("hall", "roof", "yard"):
        paglets_mesh.start(name)
    paglets_mesh.cut("hall", "roof")
    proxy = paglets_mesh["hall"].create(Counter)
    with pytest.raises(TransferError):
        proxy.dispatch(paglets_mesh["roof"].address)
    proxy.dispatch("yard").dispatch("roof")
    assert paglets_mesh.places(proxy.agent_id) == ["roof"]


def test_a_host_comes_back_with_its_paglets_and_its_address(paglets_mesh: LocalMesh) -> None:
    paglets_mesh.start("hall")
    roof = paglets_mesh.start("roof", properties={"floor": 3})
    proxy = roof.create(Counter)
    proxy.send(Message("add"), timeout=10)

    address = roof.address
    again = paglets_mesh.restart("roof")
    assert again is not roof
    assert (again.address, again.host_id, again.get_property("floor")) == (address, roof.host_id, 3)
    with pytest.raises(HostError):
        roof.health()
    assert proxy.agent_id in [entry["agent_id"] for entry in again.list_agents()]
    found = paglets_mesh["hall"].proxy_for(again.address, proxy.agent_id)
    assert found.send(Message("add"), timeout=10) == 2


def test_a_host_that_was_stopped_may_be_started_again(paglets_mesh: LocalMesh) -> None:
    hall = paglets_mesh.start("hall")
    with pytest.raises(ValueError, match="restart"):
        paglets_mesh.start("hall")
    agent_id, address = hall.create(Counter).agent_id, hall.address
    paglets_mesh.stop("hall")
    paglets_mesh.stop("hall")
    assert not paglets_mesh.hosts
    with pytest.raises(KeyError):
        paglets_mesh["hall"]
    assert paglets_mesh.start("hall").address == address
    paglets_mesh["hall"].stop()
    assert not paglets_mesh.hosts
    assert paglets_mesh.start("hall").address == address
    assert paglets_mesh.places(agent_id) == ["hall"]


def test_hosts_that_cannot_meet_are_not_waited_for(paglets_mesh: LocalMesh) -> None:
    begun = time.monotonic()
    paglets_mesh.start("hall")
    paglets_mesh.start("alone", mesh=False)
    paglets_mesh.start("newer", mesh_version="9.9")
    paglets_mesh.cut("hall", "behind")
    paglets_mesh.start("behind")
    assert time.monotonic() - begun < 10


def test_a_paglet_is_held_at_a_point_and_its_host_loses_its_power(
    paglets_mesh: LocalMesh, paglets_points: Points
) -> None:
    host = paglets_mesh.start("hall")
    proxy = host.create(Counter)
    assert proxy.send(Message("add"), timeout=10) == 1
    paglets_points.arm("adding")
    reply = proxy.send_future(Message("add"))
    paglets_points.wait_reached("adding")
    again = paglets_mesh.restart("hall")
    with pytest.raises(HostError):
        reply.get_reply(timeout=10)
    assert again.get_state(proxy.agent_id, CounterState).count == 1


def test_a_store_fails_at_a_named_step(paglets_mesh: LocalMesh, paglets_points: Points) -> None:
    hall = paglets_mesh.start("hall", points=paglets_points)
    roof = paglets_mesh.start("roof")
    proxy = hall.create(Counter)
    paglets_points.arm("before:prepared", error=errno.ENOSPC)
    with pytest.raises(TransferError, match="full"):
        proxy.dispatch("roof")
    assert paglets_mesh.places(proxy.agent_id) == ["hall"]
    proxy.dispatch(roof.address)
    assert paglets_mesh.places(proxy.agent_id) == ["roof"]
    assert paglets_mesh.restart("hall").health()["active_count"] == 0


def test_a_wait_that_fails_tells_how_the_mesh_is(paglets_mesh: LocalMesh) -> None:
    proxy = paglets_mesh.start("hall").create(Counter)
    paglets_mesh.start("roof")
    with pytest.raises(AssertionError, match=f"hall: knows hall, roof; has {proxy.agent_id} active"):
        paglets_mesh.wait_until(lambda: False, within=0.01)


# In an interpreter of its own: this one may still keep a zygote warm, and that one a child ready.
A_TEST_THAT_FAILS = """
import sys
import psutil
from paglets.testing.mesh import LocalMesh
from tests.testing.agents import Counter

def processes():
    return psutil.Process().children(recursive=True)

try:
    with LocalMesh() as mesh:
        root = mesh.root
        mesh.start("hall").create(Counter)
        mesh.start("roof").create(Counter)
        assert mesh.mesh_dir.is_dir()
        assert len(processes()) >= 3, processes()
        raise ZeroDivisionError
except ZeroDivisionError:
    pass
assert not root.exists()
assert not processes(), processes()
"""


def test_nothing_is_left_of_a_mesh_whose_test_fails(tmp_path: Path) -> None:
    environ = {**os.environ, MESH_DIR_VARIABLE: str(tmp_path / "mine")}
    done = subprocess.run(
        [sys.executable, "-c", A_TEST_THAT_FAILS],
        check=False,
        env=environ,
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "mine").exists()


def test_a_mesh_is_used_once() -> None:
    with LocalMesh() as mesh:
        pass
    with pytest.raises(RuntimeError, match="once"):
        mesh.__enter__()


def test_a_start_that_fails_leaves_the_mesh_usable(paglets_mesh: LocalMesh, paglets_points: Points) -> None:
    with pytest.raises(HostError):
        paglets_mesh.start("no name\n", points=paglets_points)
    with pytest.raises(HostError):
        paglets_mesh.start("hall", host="203.0.113.1")
    assert not paglets_mesh.hosts
    assert paglets_mesh.start("hall").health()["name"] == "hall"


def test_without_a_with_statement_there_is_no_mesh() -> None:
    with pytest.raises(RuntimeError, match="with statement"):
        LocalMesh().start("hall")


def test_the_processes_of_all_hosts_have_one_parent(paglets_mesh: LocalMesh) -> None:
    parents: set[int] = set()
    for name in ("hall", "roof"):
        paglets_mesh.start(name).create(Counter)
        for entry in paglets_mesh[name].list_agents():
            pid = paglets_mesh[name].client.get_json(
                f"{paglets_mesh[name].address}/agents/{entry['agent_id']}"
            )["pid"]
            parents.add(psutil.Process(pid).ppid())
    assert len(parents) == 1
    assert parents != {os.getpid()}
