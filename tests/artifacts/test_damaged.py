"""Artifacts whose bytes have changed, on a disk or on their way: nobody gets them, and their host notices its own."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from paglets.core.errors import HostError, TransferError
from paglets.remote.bulk.ends import FileSink
from paglets.remote.client import HostClient
from tests.artifacts.cutting import CuttingProxy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from paglets.runtime.host import Host

CONTENT = random.Random(8).randbytes(2_500_000)


@pytest.fixture
def host(start: Callable[..., Host]) -> Host:
    return start("host")


@pytest.fixture
def client(host: Host) -> Iterator[HostClient]:
    with HostClient(mesh_dir=host.settings.data_dir.parent / "mesh") as made:
        yield made


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(CONTENT)
    return path


def flip(host: Host, at: int) -> None:
    """One bit of what the host keeps, behind its back."""
    path = host.settings.data_dir / "store" / "store.lmdb"
    with path.open("r+b") as file:
        where = file.read().index(CONTENT[at : at + 64])
        file.seek(where)
        file.write(bytes([CONTENT[at] ^ 1]))


@pytest.mark.parametrize("breaks", [[], [1_000_000]])
def test_a_flipped_bit_is_seen_by_who_fetches_and_noted_by_who_keeps(
    host: Host, client: HostClient, source: Path, breaks: list[int]
) -> None:
    ref = client.upload_artifact(host.address, source)
    flip(host, 1_700_000)
    assert host.health()["store"] == "ok"
    target = source.parent / "into" / "copy"
    with CuttingProxy(host, breaks) as proxy, pytest.raises(HostError, match="is damaged"):
        client.download_artifact(proxy.url, target, ref.artifact_id)
    assert list(target.parent.iterdir()) == []
    assert host.health()["store"] == "damaged"

    with CuttingProxy(host, []) as proxy, pytest.raises(HostError, match="is damaged"):
        client.download_artifact(proxy.url, target, ref.artifact_id)
    assert sum(proxy.carried) < 100_000, "what is known to be damaged is not sent"

    again = client.upload_artifact(host.address, source)
    assert host.health()["store"] == "ok", "sound bytes have taken its place"
    for each in (ref, again):
        client.download_artifact(each, target)
        assert target.read_bytes() == CONTENT


def _garbled(parts: list[bytes]) -> list[bytes]:
    return [bytes([parts[0][0] ^ 1]) + parts[0][1:], *parts[1:]]


class Garbling(FileSink):
    """Takes something else than came."""

    def write(self, parts: list[bytes]) -> None:
        super().write(_garbled(parts))

    def hash(self, parts: list[bytes]) -> None:
        super().hash(_garbled(parts))


def test_what_is_garbled_on_its_way_is_not_taken_and_its_host_keeps_it(
    host: Host, client: HostClient, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = client.upload_artifact(host.address, source)
    target = tmp_path / "into" / "got"
    with monkeypatch.context() as garbled:
        garbled.setattr("paglets.remote.client_artifacts.FileSink", Garbling)
        with pytest.raises(TransferError, match="did not come whole"):
            client.download_artifact(ref, target)
    assert list(target.parent.iterdir()) == []
    assert host.health()["store"] == "ok"
    client.download_artifact(ref, target)
    assert target.read_bytes() == CONTENT
