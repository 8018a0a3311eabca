"""A move of which the verdict is written and never heard: what restored hosts have to cope with."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from paglets.core.errors import TransferInDoubtError
from paglets.remote import adoption_api, api
from paglets.remote.transfer import TransferTicket
from tests.backup.test_restored_hosts import call, status_of
from tests.drain.drained import Counter

if TYPE_CHECKING:
    from paglets.testing.mesh import LocalMesh
    from paglets.testing.points import Points


def arrive_unheard(mesh: LocalMesh, agent_id: str, points: Points) -> None:
    """Move it from a to b, whose store has those points: it is active there, and a, cut off, waits for the verdict."""
    points.arm("after:verdict:arrived")
    with ThreadPoolExecutor(1) as pool:
        leaving = pool.submit(mesh["a"].dispatch, agent_id, TransferTicket("b", timeout=2.0))
        points.wait_reached("after:verdict:arrived")
        mesh.cut("a", "b")
        points.release("after:verdict:arrived")
        with pytest.raises(TransferInDoubtError):
            leaving.result(20.0)
    mesh.wait_until(lambda: status_of(mesh["b"], agent_id) == "active")


def adopted(mesh: LocalMesh, points: Points) -> str:
    """The paglet's id: it has arrived at b, its source a heard no verdict and has adopted it; the two do not meet."""
    a, _ = mesh.start("a"), mesh.start("b", points=points)
    agent_id = a.create(Counter).agent_id
    arrive_unheard(mesh, agent_id, points)
    [transfer] = call(a, api.TRANSFERS_LIST)["transfers"]
    call(
        a,
        adoption_api.TRANSFERS_ADOPT,
        adoption_api.AdoptTransferParams(transfer=transfer["transfer_id"], fence=True),
    )
    mesh.wait_until(lambda: status_of(a, agent_id) == "active")
    return agent_id
