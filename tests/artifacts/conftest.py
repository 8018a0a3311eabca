from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from paglets.artifacts import ArtifactStore
from paglets.runtime.launchers.zygote_launcher import shared_keeper
from tests.host.support import Pair, start_host

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from paglets.runtime.host import Host


@pytest.fixture
def artifacts(tmp_path: Path) -> Iterator[ArtifactStore]:
    """A store of artifacts in a directory of its own."""
    with ArtifactStore(
        tmp_path / "artifacts", host_url="https://h:1", max_artifact_bytes=3_000_000, quota_bytes=5_000_000
    ) as store:
        yield store


@pytest.fixture(scope="session")
def zygote() -> Iterator[None]:
    """One zygote for all hosts of these tests."""
    keeper = shared_keeper()
    keeper.acquire()
    yield
    keeper.release()


@pytest.fixture(scope="module")
def pair(zygote: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Two durable hosts that know each other; 8 MB for artifacts, 4 MB for one."""
    root = tmp_path_factory.mktemp("pair")
    bounds = {"artifact_max_bytes": 4_000_000, "artifact_storage_quota_bytes": 8_000_000}
    a = start_host("a", root, **bounds)
    b = start_host("b", root, peers=[a.address], **bounds)
    a.mesh.wait_for_host("b", timeout=10.0)
    b.mesh.wait_for_host("a", timeout=10.0)
    yield Pair(a, b)
    b.stop()
    a.stop()


@pytest.fixture
def a(pair: Pair) -> Host:
    return pair.a


@pytest.fixture
def b(pair: Pair) -> Host:
    return pair.b


@pytest.fixture
def start(zygote: None, tmp_path: Path) -> Iterator[Callable[..., Host]]:
    """Starts hosts of a test's own, in one mesh; they are stopped at the end."""
    hosts: list[Host] = []

    def begin(name: str, **options: object) -> Host:
        host = start_host(name, tmp_path, **options)
        hosts.append(host)
        return host

    yield begin
    for host in reversed(hosts):
        host.stop()
