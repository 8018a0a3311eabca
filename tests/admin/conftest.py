from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from paglets.remote.admin import PagletsAdminClient, ServerRef
from paglets.remote.client import HostClient
from paglets.runtime.launchers.zygote_launcher import shared_keeper
from tests.host.support import Pair, start_host

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DOWN = "https://127.0.0.1:1"
"""Nobody listens there."""


@pytest.fixture(scope="package")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the hosts of these tests live; their mesh directory is ``mesh`` in it."""
    return tmp_path_factory.mktemp("admin")


@pytest.fixture(scope="package")
def pair(root: Path) -> Iterator[Pair]:
    """Two durable hosts of one mesh, which know each other."""
    keeper = shared_keeper()
    keeper.acquire()
    a = start_host("a", root)
    b = start_host("b", root, peers=[a.address])
    a.mesh.wait_for_host("b", timeout=10.0)
    b.mesh.wait_for_host("a", timeout=10.0)
    yield Pair(a, b)
    b.stop()
    a.stop()
    keeper.release()


@pytest.fixture(scope="package")
def client(pair: Pair, root: Path) -> Iterator[HostClient]:
    """What an operator's program has: the user's own certificate of that mesh."""
    with HostClient(mesh_dir=root / "mesh") as client:
        yield client


@pytest.fixture
def admin(pair: Pair, client: HostClient) -> PagletsAdminClient:
    """Both hosts, one that is down, and one that is not to be asked."""
    servers = [
        ServerRef("first", pair.a.address),
        ServerRef("second", pair.b.address + "/"),
        ServerRef("down", DOWN),
        ServerRef("asleep", DOWN, enabled=False, local_start=True),
    ]
    return PagletsAdminClient(servers, client=client)
