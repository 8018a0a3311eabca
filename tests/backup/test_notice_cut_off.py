"""A host hangs up while its notice of an adoption is being written down: the copy there gives way all the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paglets.remote import adoption_api, api
from paglets.testing.points import Points
from tests.backup.test_restored_hosts import call
from tests.backup.unheard import arrive_unheard
from tests.drain.drained import Counter
from tests.host.support import exists

if TYPE_CHECKING:
    from pathlib import Path

    from paglets.testing.mesh import LocalMesh


def test_its_process_is_ended(paglets_mesh: LocalMesh, tmp_path: Path) -> None:
    points = Points(tmp_path / "points")
    a, b = paglets_mesh.start("a"), paglets_mesh.start("b", points=points)
    agent_id = a.create(Counter).agent_id
    arrive_unheard(paglets_mesh, agent_id, points)
    [transfer] = call(a, api.TRANSFERS_LIST)["transfers"]
    params = adoption_api.AdoptTransferParams(transfer=transfer["transfer_id"], fence=True)
    call(a, adoption_api.TRANSFERS_ADOPT, params)
    pid = b.proxy_for(b.address, agent_id).info()["pid"]
    points.arm("after:departed")
    paglets_mesh.heal("a", "b")
    points.wait_reached("after:departed")
    paglets_mesh.stop("a")
    points.release("after:departed")
    paglets_mesh.wait_until(lambda: not exists(pid))
