from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from paglets.runtime.launchers.zygote_launcher import shared_keeper
from tests.host.support import Pair, start_host

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from paglets.runtime.host import Host


@pytest.fixture(scope="module", autouse=True)
def warm_zygote() -> Iterator[None]:
    """One zygote for all hosts of a module, as in a program that always has a host."""
    keeper = shared_keeper()
    keeper.acquire()
    yield
    keeper.release()


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Two hosts of one mesh, which know each other; shared by the tests of a module."""
    root = tmp_path_factory.mktemp("pair")
    a = start_host("a", root, tags=["camera"], properties={"room": 3})
    b = start_host("b", root, peers=[a.address])
    a.mesh.wait_for_host("b", timeout=10.0)
    b.mesh.wait_for_host("a", timeout=10.0)
    yield Pair(a, b)
    b.stop()
    a.stop()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Host]]:
    """Starts hosts of a test's own, in one mesh: ``start(name, **options)``; they are stopped at the end."""
    hosts: list[Host] = []

    def begin(name: str, **options: object) -> Host:
        host = start_host(name, tmp_path, **options)
        hosts.append(host)
        return host

    yield begin
    for host in reversed(hosts):
        host.stop()
