"""Artifacts between hosts, programs and paglets."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING

import pytest

from paglets.artifacts import ArtifactRef, file_sha256
from paglets.core.errors import (
    HostError,
    InvalidAgentError,
    RemoteHostError,
    StorageQuotaError,
)
from paglets.core.messages import Message
from paglets.remote.client import HostClient
from tests.artifacts.agents import Courier
from tests.host.support import ask

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from paglets.runtime.host import Host

BIG = random.Random(2).randbytes(3_000_000)


@pytest.fixture
def client(a: Host) -> Iterator[HostClient]:
    """A program of its own, with an admin's certificate."""
    with HostClient(mesh_dir=a.settings.data_dir.parent / "mesh") as made:
        yield made


@pytest.fixture
def big(tmp_path: Path) -> Path:
    path = tmp_path / "big.bin"
    path.write_bytes(BIG)
    return path


@pytest.fixture(autouse=True)
def clean(a: Host, b: Host) -> Iterator[None]:
    yield
    for host in (a, b):
        for ref in host.artifacts.list():
            host.artifacts.delete(ref.artifact_id)


def leftovers(directory: Path) -> list[str]:
    return sorted(each.name for each in directory.iterdir())


@pytest.mark.parametrize("compression", ["", "zlib"])
def test_there_and_back(client: HostClient, a: Host, big: Path, compression: str) -> None:
    told: list[tuple[int, int]] = []
    ref = client.upload_artifact(
        a.address,
        big,
        owner_agent_id="me",
        compression=compression,
        progress=lambda done, total: told.append((done, total)),
    )
    assert (ref.host_url, ref.name, ref.size_bytes) == (a.address, "big.bin", len(BIG))
    assert ref.sha256 == file_sha256(big)
    assert told[-1] == (len(BIG), len(BIG))
    assert told == sorted(told)
    assert client.artifact_metadata(ref) == client.artifact_metadata(a.address, ref.artifact_id) == ref
    assert client.list_artifacts(a.address, owner_agent_id="me") == [ref] == a.artifacts.list()
    assert client.list_artifacts(a.address, owner_agent_id="you") == []
    told.clear()
    target = big.parent / "back" / "copy"
    client.download_artifact(ref, target, progress=lambda done, total: told.append((done, total)))
    assert target.read_bytes() == BIG
    assert leftovers(target.parent) == ["copy"]
    assert told[-1] == (len(BIG), len(BIG))
    client.download_artifact(a.address, target.parent / "again", ref.artifact_id, move=True)
    assert a.artifacts.list() == []
    assert leftovers(target.parent) == ["again", "copy"]


def test_an_empty_one(client: HostClient, a: Host, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    ref = client.upload_artifact(a.address, tmp_path / "empty")
    assert client.download_artifact(ref.to_wire(), tmp_path / "copy").size_bytes == 0
    assert (tmp_path / "copy").read_bytes() == b""


def test_reads(client: HostClient, a: Host, big: Path) -> None:
    ref = client.upload_artifact(a.address, big, owner_agent_id="me")
    assert client.get_json(f"{a.address}/artifacts?owner_agent_id=me")["artifacts"] == [ref.to_wire()]
    assert client.get_json(f"{a.address}/artifacts?owner_agent_id=x")["artifacts"] == []
    assert client.get_json(f"{a.address}/artifacts/{ref.artifact_id}") == ref.to_wire()
    with pytest.raises(InvalidAgentError):
        client.get_json(f"{a.address}/artifacts/unknown")


def test_what_is_refused_leaves_nothing(client: HostClient, a: Host, big: Path) -> None:
    with pytest.raises(ValueError, match="artifact_id"):
        client.download_artifact(a.address, big.parent / "x")
    with pytest.raises(HostError, match="no artifact"):
        client.download_artifact(a.address, big.parent / "x", "unknown")
    with pytest.raises(HostError, match="no artifact"):
        client.artifact_metadata(a.address, "unknown")
    assert not client.delete_artifact(a.address, "unknown")
    with pytest.raises(FileNotFoundError):
        client.upload_artifact(a.address, big.parent / "none")
    with pytest.raises(ValueError, match="compression"):
        client.upload_artifact(a.address, big, compression="rar")
    with pytest.raises(RemoteHostError, match=r"127\.0\.0\.1:9"):
        client.upload_artifact("https://127.0.0.1:9", big)
    os.truncate(big, 4_000_001)
    with pytest.raises(StorageQuotaError, match="bound of 4000000"):
        client.upload_artifact(a.address, big)
    os.truncate(big, 3_000_000)
    for _ in range(2):
        client.upload_artifact(a.address, big)
    with pytest.raises(StorageQuotaError, match="quota"):
        client.upload_artifact(a.address, big)
    assert leftovers(big.parent) == ["big.bin"]
    assert len(a.artifacts.list()) == 2


def test_an_embedded_program_needs_no_wire(a: Host, b: Host, big: Path) -> None:
    here = a.client.upload_artifact(a.address, big)
    there = a.client.upload_artifact(b.address, big)
    assert [each.artifact_id for each in b.artifacts.list()] == [there.artifact_id]
    for ref in (here, there):
        a.client.download_artifact(ref, big.parent / "copy")
        assert (big.parent / "copy").read_bytes() == BIG
        assert a.client.delete_artifact(ref)


def test_a_paglet_keeps_and_fetches(a: Host, b: Host, big: Path) -> None:
    proxy = a.create(Courier)
    here = ArtifactRef.from_wire(ask(proxy, "upload", path=str(big)))
    there = ArtifactRef.from_wire(ask(proxy, "upload", path=str(big), to="b"))
    assert (here.host_url, there.host_url) == (a.address, b.address)
    assert here.owner_agent_id == there.owner_agent_id == proxy.agent_id
    for ref in (here, there):
        target = big.parent / f"copy-{ref.artifact_id}"
        assert ask(proxy, "download", artifact=ref.to_wire(), target=str(target))["sha256"] == ref.sha256
        assert target.read_bytes() == BIG
    assert ask(proxy, "delete", artifact=here.to_wire()) is True
    assert ask(proxy, "delete", artifact=here.to_wire()) is False
    ask(proxy, "download", artifact=there.to_wire(), target=str(big.parent / "moved"), move=True)
    assert b.artifacts.list() == []
    with pytest.raises(HostError, match="no artifact"):
        ask(proxy, "download", artifact=there.to_wire(), target=str(big.parent / "never"))
    assert not (big.parent / "never").exists()
    assert not [name for name in leftovers(big.parent) if name.startswith(".")]
    os.truncate(big, 4_000_001)
    with pytest.raises(StorageQuotaError):
        ask(proxy, "upload", path=str(big), to="b")
    kinds = [event.kind for event in a.list_events(limit=1000) if event.agent_id == proxy.agent_id]
    assert {"artifact-stored", "artifact-transfer", "artifact-deleted"} <= set(kinds)


@pytest.mark.parametrize("move", [False, True])
def test_send_artifact(a: Host, b: Host, big: Path, move: bool) -> None:
    receiver = b.create(Courier)
    target = big.parent / "received"
    proxy = a.proxy_for(b.address, receiver.agent_id)
    reply = proxy.send_artifact(Message("download", {"target": str(target)}), big, move=move, name="n")
    assert reply["name"] == "n"
    assert target.read_bytes() == BIG
    assert big.exists() is not move
    assert [ref.owner_agent_id for ref in b.artifacts.list()] == [receiver.agent_id]


def test_a_failed_delivery_leaves_no_artifact(a: Host, b: Host, big: Path) -> None:
    receiver = b.create(Courier)
    with pytest.raises(HostError, match="no, thanks"):
        a.proxy_for(b.address, receiver.agent_id).send_artifact(Message("fail"), big, move=True)
    with pytest.raises(InvalidAgentError):
        a.proxy_for(b.address, "nobody").send_artifact(Message("fail"), big)
    assert b.artifacts.list() == []
    assert big.exists()
