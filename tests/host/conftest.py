from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from paglets.runtime.launchers.zygote_launcher import shared_keeper
from tests.host.support import Pair, start_host

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from paglets.runtime.host import Host
    from paglets.testing.mesh import LocalMesh


@pytest.fixture(scope="module", autouse=True)
def warm_zygote() -> Iterator[None]:
    """One zygote for all hosts of a module, as in a program that always has a host."""
    keeper = shared_keeper()
    keeper.acquire()
    yield
    keeper.release()


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Two durable hosts of one mesh, which know each other; shared by the tests of a module."""
    root = tmp_path_factory.mktemp("pair")
    a = start_host("a", root)
    b = start_host("b", root, peers=[a.address])
    a.mesh.wait_for_host("b", timeout=10.0)
    b.mesh.wait_for_host("a", timeout=10.0)
    yield Pair(a, b)
    b.stop()
    a.stop()


@pytest.fixture(scope="module")
def a(pair: Pair) -> Host:
    """The first host of the pair."""
    return pair.a


@pytest.fixture(scope="module")
def b(pair: Pair) -> Host:
    """The second."""
    return pair.b


@pytest.fixture
def start(paglets_mesh: LocalMesh) -> Callable[..., Host]:
    """Starts hosts of a test's own, in one mesh: ``start(name, **options)``; they are stopped at the end.

    They know each other when they are told to.
    """

    def begin(name: str, **options: Any) -> Host:
        alone: dict[str, Any] = {"peers": (), **options}
        return paglets_mesh.start(name, meet=False, **alone)

    return begin
