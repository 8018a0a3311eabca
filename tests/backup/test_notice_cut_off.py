"""A host hangs up while its notice of an adoption is being written down: the copy there gives way all the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paglets.testing.points import Points
from tests.backup.unheard import adopted
from tests.host.support import exists

if TYPE_CHECKING:
    from pathlib import Path

    from paglets.testing.mesh import LocalMesh


def test_its_process_is_ended(paglets_mesh: LocalMesh, tmp_path: Path) -> None:
    points = Points(tmp_path / "points")
    agent_id = adopted(paglets_mesh, points)
    b = paglets_mesh["b"]
    pid = b.proxy_for(b.address, agent_id).info()["pid"]
    points.arm("after:departed")
    paglets_mesh.heal("a", "b")
    points.wait_reached("after:departed")
    paglets_mesh.stop("a")
    points.release("after:departed")
    paglets_mesh.wait_until(lambda: not exists(pid))
