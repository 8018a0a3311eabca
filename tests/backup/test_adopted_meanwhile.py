"""A host is restored whose backup knows a paglet that was adopted: the copies still meet, and none is dropped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from paglets.persistence.restoring import SKIPPED
from paglets.persistence.store import Store
from paglets.remote import adoption_api, api
from paglets.testing.points import Points
from tests.backup.test_restored_hosts import accept, back_up, call, put_back, status_of
from tests.backup.unheard import adopted

if TYPE_CHECKING:
    from pathlib import Path

    from paglets.runtime.host import Host
    from paglets.testing.mesh import LocalMesh


def quarantined(host: Host) -> list[dict[str, Any]]:
    return call(host, adoption_api.COPIES_LIST, adoption_api.CopiesListParams())["copies"]


def test_the_target_of_an_abandoned_transfer_is_told_of_the_adoption_after_its_source_was_restored(
    paglets_mesh: LocalMesh, tmp_path: Path
) -> None:
    agent_id = adopted(paglets_mesh, Points(tmp_path / "points"))
    archive = back_up(paglets_mesh["a"], tmp_path / "a.backup")
    paglets_mesh.stop("a")
    paglets_mesh.heal("a", "b")
    a, b = put_back(paglets_mesh, "a", archive), paglets_mesh["b"]
    assert accept(a)["silent"] == []
    paglets_mesh.wait_until(lambda: [each["agent_id"] for each in quarantined(b)] == [agent_id])
    paglets_mesh.wait_until(lambda: status_of(a, agent_id) == "active")
    paglets_mesh.wait_until(lambda: call(a, api.TRANSFERS_LIST)["transfers"] == [])
    assert paglets_mesh.places(agent_id) == ["a"]
    source = a.host_id
    paglets_mesh.stop("b")
    with Store(paglets_mesh.directory("b") / "store") as store:
        floor = store.read_sync(lambda tx: tx.floor(source))
    assert floor > SKIPPED, "what the lost life sent does not arrive any more"


def test_a_restored_copy_that_was_adopted_elsewhere_goes_into_quarantine(
    paglets_mesh: LocalMesh, tmp_path: Path
) -> None:
    agent_id = adopted(paglets_mesh, Points(tmp_path / "points"))
    archive = back_up(paglets_mesh["b"], tmp_path / "b.backup")
    paglets_mesh.stop("b")
    paglets_mesh.heal("a", "b")
    b = put_back(paglets_mesh, "b", archive)
    assert accept(b)["given_up"] == [agent_id]
    assert [(each["agent_id"], each["lineage"]) for each in quarantined(b)] == [(agent_id, 0)]
    told = call(b, api.EVENTS_LIST, api.EventsListParams(since=0, limit=1000))["events"]
    [event] = [each for each in told if each["kind"] == "quarantined"]
    assert (event["agent_id"], event["data"]["at"]) == (agent_id, "a")
    paglets_mesh.wait_until(lambda: call(paglets_mesh["a"], api.TRANSFERS_LIST)["transfers"] == [])
    assert paglets_mesh.places(agent_id) == ["a"]
