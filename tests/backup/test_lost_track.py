"""A paglet is adopted whose target has sent it on, and knows nothing of that any more: the copies meet all the same."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from paglets.persistence.journal import forgetting
from paglets.persistence.store import Store
from paglets.remote import adoption_api, api
from paglets.testing.points import Points
from tests.backup.test_adopted_meanwhile import quarantined
from tests.backup.test_restored_hosts import accept, back_up, call, put_back, status_of
from tests.backup.unheard import arrive_unheard
from tests.drain.drained import Counter

if TYPE_CHECKING:
    from pathlib import Path

    from paglets.testing.mesh import LocalMesh


def sent_on_and_adopted(mesh: LocalMesh, tmp_path: Path, *, back_up_to: Path | None = None) -> str:
    """The paglet's id: a, cut off from b, has adopted it; b, backed up before it came there, has sent it on to c."""
    points = Points(tmp_path / "points")
    a, b, _ = mesh.start("a"), mesh.start("b", points=points), mesh.start("c")
    agent_id = a.create(Counter).agent_id
    if back_up_to is not None:
        back_up(b, back_up_to)
    arrive_unheard(mesh, agent_id, points)
    [transfer] = call(a, api.TRANSFERS_LIST)["transfers"]
    params = adoption_api.AdoptTransferParams(transfer=transfer["transfer_id"], fence=True)
    call(a, adoption_api.TRANSFERS_ADOPT, params)
    b.dispatch(agent_id, "c")
    assert set(mesh.places(agent_id)) == {"a", "c"}
    return agent_id


def forget(mesh: LocalMesh, name: str, agent_id: str) -> None:
    """A month passes at a host that does not run."""
    with Store(mesh.directory(name) / "store") as store:
        record = store.read_sync(lambda tx: tx.paglet(agent_id))
        assert record is not None
        life, later = record.incarnation, time.time() + 2 * forgetting.RECORD_LIFETIME
        store.commit_sync(lambda tx: forgetting.forget(tx, agent_id, life, now=later))


def owed(mesh: LocalMesh, name: str) -> set[str]:
    params = adoption_api.CopiesListParams()
    return {each["peer"] for each in call(mesh[name], adoption_api.COPIES_LIST, params)["notices"]}


def met(mesh: LocalMesh, agent_id: str) -> None:
    """Wait until the copy at c is in quarantine, and nobody is still to be told."""
    mesh.wait_until(lambda: [each["agent_id"] for each in quarantined(mesh["c"])] == [agent_id])
    mesh.wait_until(lambda: mesh.places(agent_id) == ["a"])
    mesh.wait_until(lambda: not any(owed(mesh, name) for name in mesh.hosts))
    assert status_of(mesh["a"], agent_id) == "active"


@pytest.mark.parametrize("away", [False, True])
def test_a_way_onward_that_was_forgotten(paglets_mesh: LocalMesh, tmp_path: Path, away: bool) -> None:
    """When the third host is away, too, and the adopting one was restarted, the mesh does not know of it for long."""
    agent_id = sent_on_and_adopted(paglets_mesh, tmp_path)
    paglets_mesh.stop("b")
    forget(paglets_mesh, "b", agent_id)
    c_id = paglets_mesh["c"].host_id
    if away:
        paglets_mesh.stop("c")
        paglets_mesh.restart("a")
    paglets_mesh.heal("a", "b")
    paglets_mesh.start("b")
    if away:
        paglets_mesh.wait_until(lambda: owed(paglets_mesh, "a") & {"c", c_id})
        paglets_mesh.restart("a")  # what is owed outlives that
        paglets_mesh.start("c")
    met(paglets_mesh, agent_id)


def test_a_host_that_was_restored_tells_whom_its_lost_life_was_to_tell(
    paglets_mesh: LocalMesh, tmp_path: Path
) -> None:
    archive = tmp_path / "b.backup"
    agent_id = sent_on_and_adopted(paglets_mesh, tmp_path, back_up_to=archive)
    paglets_mesh.cut("b", "c")
    paglets_mesh.heal("a", "b")
    paglets_mesh.wait_until(lambda: owed(paglets_mesh, "b") == {"c"} and not owed(paglets_mesh, "a"))
    paglets_mesh.stop("b")
    paglets_mesh.heal("b", "c")
    assert accept(put_back(paglets_mesh, "b", archive))["silent"] == []
    met(paglets_mesh, agent_id)
