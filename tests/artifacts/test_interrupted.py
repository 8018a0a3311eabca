"""Transfers that break off: they go on where they were, or leave nothing."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from paglets.core.errors import RemoteHostError
from paglets.remote.client import HostClient
from paglets.remote.wire.addresses import HostAddress
from paglets.runtime.peers import Peers
from tests.artifacts.agents import Courier
from tests.artifacts.cutting import CuttingProxy
from tests.host.support import ask, eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from paglets.runtime.host import Host

SIZE = 3_500_000
CONTENT = random.Random(3).randbytes(SIZE // 2).hex().encode()
MARGIN = 700_000
"""Bytes that are on their way when a connection is cut, and handshakes."""


@pytest.fixture
def client(a: Host) -> Iterator[HostClient]:
    with HostClient(mesh_dir=a.settings.data_dir.parent / "mesh") as made:
        yield made


@pytest.fixture
def source(tmp_path: Path, a: Host) -> Iterator[Path]:
    path = tmp_path / "data"
    path.write_bytes(CONTENT)
    yield path
    for ref in a.artifacts.list():
        a.artifacts.delete(ref.artifact_id)
    a.artifacts.spool.drop_before(float("inf"))


def test_a_push_goes_on_where_it_broke_off(client: HostClient, a: Host, source: Path) -> None:
    with CuttingProxy(a, [2_000_000, 1_200_000]) as proxy:
        ref = client.upload_artifact(proxy.url, source)
    assert len(proxy.carried) == 3
    assert sum(proxy.carried) < SIZE + 3 * MARGIN, "what had come was not sent again"
    with a.artifacts.open_reader(ref.artifact_id) as reader:
        assert reader.read() == CONTENT
    assert len(a.artifacts.list()) == 1


def test_a_pull_goes_on_where_it_broke_off(client: HostClient, a: Host, source: Path) -> None:
    ref = client.upload_artifact(a.address, source)
    target = source.parent / "into" / "copy"
    with CuttingProxy(a, [2_000_000, 1_200_000]) as proxy:
        client.download_artifact(proxy.url, target, ref.artifact_id)
    assert len(proxy.carried) == 3
    assert sum(proxy.carried) < SIZE + 3 * MARGIN
    assert target.read_bytes() == CONTENT
    assert [each.name for each in target.parent.iterdir()] == ["copy"]


def test_a_push_that_is_given_up_can_be_taken_up_later(client: HostClient, a: Host, source: Path) -> None:
    with CuttingProxy(a, [2_000_000, 0, 0, 0, 0]) as proxy, pytest.raises(RemoteHostError):
        client.upload_artifact(proxy.url, source, upload_id="mine")
    assert a.artifacts.list() == []
    with CuttingProxy(a, []) as proxy:
        client.upload_artifact(proxy.url, source, upload_id="mine")
    assert sum(proxy.carried) < SIZE - 1_000_000
    again = client.upload_artifact(a.address, source, upload_id="mine")
    assert a.artifacts.list() == [again], "the same upload is one artifact"


def test_a_push_that_nobody_takes_up_goes(client: HostClient, a: Host, source: Path) -> None:
    with CuttingProxy(a, [2_000_000, 0, 0, 0, 0]) as proxy, pytest.raises(RemoteHostError):
        client.upload_artifact(proxy.url, source)
    eventually(lambda: a.artifacts.spool.drop_before(float("inf")))
    assert a.artifacts.used_bytes == 0
    client.upload_artifact(a.address, source)


def test_a_pull_that_is_given_up_leaves_nothing(client: HostClient, a: Host, source: Path) -> None:
    ref = client.upload_artifact(a.address, source)
    target = source.parent / "into" / "copy"
    with CuttingProxy(a, [2_000_000, 0, 0, 0, 0]) as proxy, pytest.raises(RemoteHostError):
        client.download_artifact(proxy.url, target, ref.artifact_id, move=True)
    assert list(target.parent.iterdir()) == []
    assert len(a.artifacts.list()) == 1


def test_a_file_that_breaks_off_is_sent_on(
    a: Host, b: Host, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = a.create(Courier)
    ask(proxy, "register", path=str(source), name="file")
    genuine = Peers.address
    with CuttingProxy(b, [2_000_000]) as way:

        def around(peers: Peers, host_id: str, url: str) -> HostAddress:
            found = genuine(peers, host_id, url)
            return HostAddress(way.url, found.host_id) if found.host_id == b.host_id else found

        monkeypatch.setattr(Peers, "address", around)
        proxy.dispatch("b")
        monkeypatch.undo()
    assert way.carried[0] >= 2_000_000
    assert sum(way.carried) < SIZE + 4 * MARGIN
    assert Path(ask(proxy, "path", name="file")).read_bytes() == CONTENT
    proxy.dispose()


_MEASURED = """
import sys
from paglets.remote.client import HostClient
url, mesh, source, target = sys.argv[1:]
with HostClient(mesh_dir=mesh) as client:
    ref = client.upload_artifact(url, source)
    client.download_artifact(ref, target)
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_three_hundred_megabytes_through_little_memory(start: Callable[..., Host], tmp_path: Path) -> None:
    host = start("big")
    source = tmp_path / "source"
    block = random.Random(4).randbytes(1_000_000)
    with source.open("wb") as file:
        for number in range(300):
            file.write(number.to_bytes(8, "big") + block)
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            _MEASURED,
            host.address,
            str(tmp_path / "mesh"),
            str(source),
            str(tmp_path / "copy"),
        ],
        check=True,
        capture_output=True,
        text=True,
    )
    assert int(done.stdout) < 100 * 1024, "KiB at most, all of Python and its libraries included"
    subprocess.run(["cmp", str(source), str(tmp_path / "copy")], check=True)
