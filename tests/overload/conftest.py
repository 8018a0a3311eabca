"""One host that is flooded, one beside it, and a bystander who has to be served all the time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from paglets.testing.mesh import LocalMesh

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def mesh() -> Iterator[LocalMesh]:
    """The mesh of a module, with the heartbeats of a real one."""
    with LocalMesh(mesh_gossip_interval=1.0, mesh_offline_after=10.0) as mesh:
        yield mesh
