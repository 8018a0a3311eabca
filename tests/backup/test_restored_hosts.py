"""Hosts that are restored: they come back parked, are known for what they are, and go on when they are told to."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from edge.backup import restore, take_away
from paglets.core.errors import HostError, LifecycleError, PagletError, TransferError
from paglets.core.messages import Message
from paglets.remote import api
from paglets.remote.transfer import TransferTicket
from tests.drain.drained import Counter

if TYPE_CHECKING:
    from paglets.runtime.host import Host
    from paglets.testing.mesh import LocalMesh


def call(host: Host, method: str, params: Any = None) -> Any:
    return json.loads(host.client.call(host.address, method, params or api.NoParams(), timeout=30.0))


def back_up(host: Host, target: Path) -> Path:
    take_away(Path(call(host, api.HOST_BACKUP)["path"]), target)
    return target


def put_back(mesh: LocalMesh, name: str, archive: Path) -> Host:
    """The host's disk is lost; another one with what the backup holds takes its place."""
    if name in mesh.hosts:
        mesh.stop(name)
    mesh.directory(name).rename(mesh.root / f"lost-{len(list(mesh.root.iterdir()))}")
    restore(archive, mesh.directory(name))
    return mesh.start(name)


def accept(host: Host, *, force: bool = False) -> dict[str, Any]:
    return call(host, api.HOST_ACCEPT_RESTORED, api.AcceptRestoredParams(force=force))


def status_of(host: Host, agent_id: str) -> str | None:
    return {each["agent_id"]: each["status"] for each in host.list_agents(inactive=True)}.get(agent_id)


def test_what_ran_is_parked_and_stays_so_until_the_copy_is_accepted(
    paglets_mesh: LocalMesh, tmp_path: Path
) -> None:
    a, b = paglets_mesh.start("a"), paglets_mesh.start("b")
    proxy, visitor = a.create(Counter), b.create(Counter)
    assert proxy.send(Message("count")) == 1
    a.checkpoint(proxy.agent_id)
    archive = back_up(a, tmp_path / "a.backup")

    a = put_back(paglets_mesh, "a", archive)
    assert "restore --accept" in a.status()["restored"]
    assert status_of(a, proxy.agent_id) == "inactive"
    for attempt in (
        lambda: a.activate(proxy.agent_id),
        lambda: a.proxy_for(a.address, proxy.agent_id).send(Message("count"), timeout=5.0),
        lambda: a.dispatch(proxy.agent_id, "b"),
        lambda: call(
            a, api.HOST_DRAIN, api.DrainParams(api.DrainAction.BEGIN)
        ),  # it would say that all have left
    ):
        with pytest.raises(LifecycleError, match="stay parked"):
            attempt()
    with pytest.raises(HostError, match="restored copy"):
        a.create(Counter)
    with pytest.raises(TransferError, match="restored"):
        b.dispatch(visitor.agent_id, TransferTicket("a", timeout=1.0))
    a = paglets_mesh.restart("a")
    assert status_of(a, proxy.agent_id) == "inactive"

    assert accept(a)["given_up"] == []
    assert a.status()["restored"] == ""
    paglets_mesh.wait_until(lambda: status_of(a, proxy.agent_id) == "active")
    assert a.proxy_for(a.address, proxy.agent_id).send(Message("count")) == 2
    paglets_mesh.wait_until(lambda: status_of(b, visitor.agent_id) == "active")
    b.dispatch(visitor.agent_id, "a")


def test_one_that_went_elsewhere_since_the_backup_is_not_doubled(
    paglets_mesh: LocalMesh, tmp_path: Path
) -> None:
    a, b = paglets_mesh.start("a"), paglets_mesh.start("b")
    gone, stays = a.create(Counter), a.create(Counter)
    archive = back_up(a, tmp_path / "a.backup")
    a.dispatch(gone.agent_id, "b")
    a = put_back(paglets_mesh, "a", archive)
    assert accept(a)["given_up"] == [gone.agent_id]
    paglets_mesh.wait_until(lambda: status_of(a, stays.agent_id) == "active")
    assert paglets_mesh.places(gone.agent_id) == ["b"]
    assert a.proxy_for(a.address, gone.agent_id).send(Message("count")) == 1
    assert status_of(b, gone.agent_id) == "active"


def test_it_is_not_accepted_while_a_host_cannot_be_asked(paglets_mesh: LocalMesh, tmp_path: Path) -> None:
    a, _ = paglets_mesh.start("a"), paglets_mesh.start("b")
    proxy = a.create(Counter)
    a = put_back(paglets_mesh, "a", back_up(a, tmp_path / "a.backup"))
    paglets_mesh.cut("a", "b")
    paglets_mesh.wait_until(lambda: not a.mesh.is_online("b"))
    with pytest.raises(HostError, match="b cannot be asked"):
        accept(a)
    assert status_of(a, proxy.agent_id) == "inactive"
    assert accept(a, force=True)["silent"] == ["b"]
    paglets_mesh.wait_until(lambda: status_of(a, proxy.agent_id) == "active")


def test_it_is_not_accepted_while_a_host_is_off_that_it_has_not_met_since_it_is_back(
    paglets_mesh: LocalMesh, tmp_path: Path
) -> None:
    a, _ = paglets_mesh.start("a"), paglets_mesh.start("b")
    gone = a.create(Counter)
    archive = back_up(a, tmp_path / "a.backup")
    a.dispatch(gone.agent_id, "b")
    paglets_mesh.stop("b")
    a = put_back(paglets_mesh, "a", archive)
    with pytest.raises(HostError, match="cannot be asked"):
        accept(a)
    assert status_of(a, gone.agent_id) == "inactive"
    paglets_mesh.start("b")
    assert accept(a)["given_up"] == [gone.agent_id]
    assert paglets_mesh.places(gone.agent_id) == ["b"]


def test_peers_know_a_copy_whoever_put_it_there_until_it_is_accepted(
    paglets_mesh: LocalMesh, tmp_path: Path
) -> None:
    a, b = paglets_mesh.start("a"), paglets_mesh.start("b")
    archive = back_up(a, tmp_path / "a.backup")
    for _ in range(20):
        a.dispose(a.create(Counter).agent_id)
    paglets_mesh.stop("a")  # it says goodbye, and b has seen it further than the backup
    paglets_mesh.wait_until(lambda: not b.mesh.is_online("a"))
    a = put_back(paglets_mesh, "a", archive)
    accept(a)
    a = paglets_mesh.restart("a")
    assert a.status()["restored"] == ""
    b.dispatch(b.create(Counter).agent_id, "a")


def test_a_copy_of_the_files_is_known_by_its_peers_and_parks_what_runs(paglets_mesh: LocalMesh) -> None:
    a, b = paglets_mesh.start("a"), paglets_mesh.start("b")
    proxy = a.create(Counter)
    paglets_mesh.stop("a")
    directory = paglets_mesh.directory("a")
    shutil.copytree(directory, paglets_mesh.root / "copy")
    a = paglets_mesh.start("a")
    for _ in range(20):
        a.dispose(a.create(Counter).agent_id)
    b = paglets_mesh.restart("b")  # so that they greet each other anew, and b hears how far a is
    paglets_mesh.stop("a")
    shutil.rmtree(directory)
    shutil.copytree(paglets_mesh.root / "copy", directory)
    a = paglets_mesh.start("a")
    paglets_mesh.wait_until(lambda: "host b has seen it further" in a.status()["restored"])
    paglets_mesh.wait_until(lambda: status_of(a, proxy.agent_id) == "inactive")
    accept(a)
    paglets_mesh.wait_until(lambda: status_of(a, proxy.agent_id) == "active")
    b.dispatch(b.create(Counter).agent_id, "a")


def test_accepting_what_is_no_copy_is_refused(paglets_mesh: LocalMesh) -> None:
    with pytest.raises(PagletError, match="no restored copy"):
        accept(paglets_mesh.start("a"))


def test_a_backup_that_nobody_took_away_goes_at_the_next_start(paglets_mesh: LocalMesh) -> None:
    a = paglets_mesh.start("a")
    left = Path(call(a, api.HOST_BACKUP)["path"])
    assert left.stat().st_mode & 0o777 == 0o600
    paglets_mesh.restart("a")
    assert not left.exists()


def test_hosts_tell_also_what_has_moved_on_from_them(paglets_mesh: LocalMesh, tmp_path: Path) -> None:
    """A paglet that moves while the hosts are asked may be at none of them when it is asked about."""
    a, b, c = (paglets_mesh.start(name) for name in "abc")
    proxy = a.create(Counter)
    archive = back_up(a, tmp_path / "a.backup")
    a.dispatch(proxy.agent_id, "b")
    b.dispatch(proxy.agent_id, "c")
    paglets_mesh.stop("c")  # so that only b can tell
    a = put_back(paglets_mesh, "a", archive)
    paglets_mesh.wait_until(lambda: a.mesh.is_online("b"))
    assert accept(a, force=True)["given_up"] == [proxy.agent_id]
    paglets_mesh.start("c")
    paglets_mesh.wait_until(lambda: paglets_mesh.places(proxy.agent_id) == ["c"])
    paglets_mesh.wait_until(lambda: a.mesh.is_online("c"))
    assert a.proxy_for(a.address, proxy.agent_id).send(Message("count")) == 1
    assert c.host_id == paglets_mesh["c"].host_id


def test_what_others_have_disposed_of_is_not_brought_back(paglets_mesh: LocalMesh, tmp_path: Path) -> None:
    a, b = paglets_mesh.start("a"), paglets_mesh.start("b")
    agent_id = a.create(Counter).agent_id
    archive = back_up(a, tmp_path / "a.backup")
    a.dispatch(agent_id, "b")
    b.dispose(agent_id)
    assert accept(put_back(paglets_mesh, "a", archive))["given_up"] == [agent_id]
    assert paglets_mesh.places(agent_id) == []


def test_what_goes_on_may_go_where_a_later_life_of_it_is_known(
    paglets_mesh: LocalMesh, tmp_path: Path
) -> None:
    a, b = paglets_mesh.start("a"), paglets_mesh.start("b")
    agent_id = a.create(Counter).agent_id
    a.dispatch(agent_id, "b")
    archive = back_up(b, tmp_path / "b.backup")
    for _ in range(2):
        b.dispatch(agent_id, "a")
        a.dispatch(agent_id, "b")
    b = put_back(paglets_mesh, "b", archive)
    assert accept(b) == {"host": "b", "given_up": [], "doubled": [], "silent": []}
    paglets_mesh.wait_until(lambda: status_of(b, agent_id) == "active")
    b.dispatch(agent_id, "a")  # it was refused as no newer than the life in which a had sent it to b
    assert paglets_mesh.places(agent_id) == ["a"]


def test_the_same_backup_can_be_put_back_twice(paglets_mesh: LocalMesh, tmp_path: Path) -> None:
    """Its second life numbered its moves as the first one had, and others did not take those."""
    a, _ = paglets_mesh.start("a"), paglets_mesh.start("b")
    agent_id = a.create(Counter).agent_id
    archive = back_up(a, tmp_path / "a.backup")
    for _ in range(2):
        a = put_back(paglets_mesh, "a", archive)
        accept(a)
        for _ in range(3):
            a.dispatch(a.create(Counter).agent_id, "b")
        paglets_mesh.wait_until(lambda host=a: status_of(host, agent_id) == "active")
        assert a.status()["restored"] == ""
    paglets_mesh.restart("b")
    a = paglets_mesh.restart("a")
    assert a.status()["restored"] == ""
    a.dispatch(agent_id, "b")
    assert paglets_mesh.places(agent_id) == ["b"]
