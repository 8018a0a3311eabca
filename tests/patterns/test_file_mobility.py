"""One file from host to host: copied, moved, refused - and never lost."""

from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING, Any

import pytest

from paglets.core.errors import HostError
from paglets.patterns.file_mobility import (
    FileTransferMode,
    FileTransferRequest,
    FileTransferResult,
    FileTransferState,
    SingleFileTransferPaglet,
)
from paglets.patterns.tasks import TaskClient, TaskSnapshot, TaskStatus
from tests.host.support import eventually
from tests.patterns.agents_with_a_file import Gullible, Shouting

if TYPE_CHECKING:
    from pathlib import Path

    from paglets.remote.proxy import PagletProxy
    from paglets.runtime.host import Host

MODES = pytest.mark.parametrize("mode", list(FileTransferMode), ids=lambda mode: mode.value)
Snapshot = TaskSnapshot[FileTransferResult]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "there" / "report.txt"
    path.parent.mkdir()
    path.write_text("the content")
    path.chmod(0o640)
    os.utime(path, (1e9, 1e9))
    return path


@pytest.fixture
def target(tmp_path: Path) -> Path:
    path = tmp_path / "here"
    path.mkdir()
    return path


def transfer(
    host: Host, source: Path, destination: Path | str, **options: Any
) -> tuple[PagletProxy, Snapshot]:
    proxy = host.create(SingleFileTransferPaglet, FileTransferState())
    client = TaskClient.for_paglet(proxy, SingleFileTransferPaglet)
    options = {"target_host": "b", **options}
    request = FileTransferRequest(str(source), str(destination), **options)
    return proxy, client.start_and_wait(request, timeout=30.0)


def keepers(host: Host) -> list[str]:
    every = host.list_agents(active=True, inactive=True)
    return [each["agent_id"] for each in every if each["class_name"].endswith(":SourceKeeper")]


@MODES
def test_a_file_reaches_its_destination(
    a: Host, b: Host, source: Path, target: Path, mode: FileTransferMode
) -> None:
    there = target / "new" / "copy.txt"
    proxy, snapshot = transfer(a, source, there, mode=mode, transfer_id="t1")
    assert (snapshot.status, snapshot.error) == (TaskStatus.COMPLETED, "")
    assert (there.read_text(), there.stat().st_mode & 0o777) == ("the content", 0o640)
    assert source.exists() is (mode is FileTransferMode.COPY)
    result = snapshot.result
    assert result is not None
    assert (result.transfer_id, result.mode, result.dry_run) == ("t1", mode, False)
    assert (result.file_name, result.size_bytes, result.size) == ("copy.txt", 11, "11 B")
    assert (result.source.host_name, result.source.path, result.source.modified_at) == ("a", str(source), 1e9)
    assert (result.destination.host_name, result.destination.path) == ("b", str(there))
    assert result.destination.host_url == b.address
    assert (snapshot.host_name, proxy.host_url) == ("b", b.address)
    eventually(lambda: not keepers(a))


@pytest.mark.parametrize("ending", ["", "/", "/sub/"])
def test_a_directory_takes_the_sources_name(a: Host, source: Path, target: Path, ending: str) -> None:
    _, snapshot = transfer(a, source, f"{target}{ending}")
    assert snapshot.status is TaskStatus.COMPLETED, snapshot.error
    (found,) = target.rglob("report.txt")
    assert found.read_text() == "the content"
    assert snapshot.result is not None
    assert snapshot.result.destination.path == str(found)


@MODES
def test_what_is_there_stays_and_so_does_the_source(
    a: Host, source: Path, target: Path, mode: FileTransferMode
) -> None:
    (target / "report.txt").write_text("older")
    _, snapshot = transfer(a, source, target, mode=mode)
    assert (snapshot.status, snapshot.done, snapshot.result) == (TaskStatus.FAILED, True, None)
    assert "destination already exists" in snapshot.error
    assert (target / "report.txt").read_text() == "older"
    assert source.read_text() == "the content"
    eventually(lambda: not keepers(a))


@MODES
def test_unless_it_may_be_replaced(a: Host, source: Path, target: Path, mode: FileTransferMode) -> None:
    (target / "report.txt").write_text("older")
    _, snapshot = transfer(a, source, target, mode=mode, overwrite=True)
    assert snapshot.status is TaskStatus.COMPLETED, snapshot.error
    assert (target / "report.txt").read_text() == "the content"
    assert [each.name for each in target.iterdir()] == ["report.txt"]
    assert source.exists() is (mode is FileTransferMode.COPY)


@MODES
def test_a_dry_run_only_looks(a: Host, source: Path, target: Path, mode: FileTransferMode) -> None:
    proxy, snapshot = transfer(a, source, target, mode=mode, dry_run=True)
    result = snapshot.result
    assert result is not None
    assert (result.dry_run, result.file_name, result.size_bytes) == (True, "report.txt", 11)
    assert (result.destination.host_name, result.destination.path) == ("b", str(target))
    assert result.transfer_id
    assert proxy.host_url == a.address
    assert source.exists()
    assert list(target.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"target_host": ""}, "needs a target host"),
        ({"target_host": "nowhere"}, "nowhere is unknown here"),
        ({"source_path": "/no/such/file"}, "/no/such/file"),
        ({"source_path": "/tmp"}, "no regular file"),
        ({"source_path": ""}, "path of its source"),
    ],
    ids=["no-target", "unknown-target", "no-file", "a-directory", "no-path"],
)
@pytest.mark.parametrize("dry_run", [True, False])
def test_what_cannot_be_begun_fails_at_once(
    a: Host, source: Path, target: Path, options: dict[str, Any], said: str, dry_run: bool
) -> None:
    proxy = a.create(SingleFileTransferPaglet, FileTransferState())
    values: dict[str, Any] = {"source_path": str(source), "target_host": "b", **options}
    request = FileTransferRequest(destination_path=str(target), dry_run=dry_run, **values)
    snapshot = TaskClient.for_paglet(proxy, SingleFileTransferPaglet).start_and_wait(request, timeout=30.0)
    assert snapshot.status is TaskStatus.FAILED
    assert said in snapshot.error
    assert proxy.host_url == a.address


@MODES
def test_a_destination_that_cannot_be_written(
    a: Host, source: Path, target: Path, mode: FileTransferMode
) -> None:
    (target / "file").write_text("x")
    _, snapshot = transfer(a, source, target / "file" / "below", mode=mode)
    assert snapshot.status is TaskStatus.FAILED
    assert source.exists()
    eventually(lambda: not keepers(a))


@MODES
def test_to_another_place_on_the_same_host(
    a: Host, source: Path, target: Path, mode: FileTransferMode
) -> None:
    _, snapshot = transfer(a, source, target, mode=mode, target_host="a")
    assert snapshot.status is TaskStatus.COMPLETED, snapshot.error
    assert (target / "report.txt").read_text() == "the content"
    assert source.exists() is (mode is FileTransferMode.COPY)
    _, snapshot = transfer(a, target / "report.txt", target, mode=mode, target_host="a", overwrite=True)
    assert "same file" in snapshot.error
    assert (target / "report.txt").exists()


def test_one_paglet_can_bring_several_files_one_after_the_other(a: Host, source: Path, target: Path) -> None:
    proxy, first = transfer(a, source, target)
    assert first.status is TaskStatus.COMPLETED
    client = TaskClient.for_paglet(proxy, SingleFileTransferPaglet)
    back = FileTransferRequest(str(target / "report.txt"), str(source.parent / "back.txt"), target_host="a")
    assert client.start_and_wait(back, timeout=30.0).host_name == "a"
    assert (source.parent / "back.txt").read_text() == "the content"


def test_a_larger_file(a: Host, source: Path, target: Path) -> None:
    content = os.urandom(8 * 1024 * 1024)
    source.write_bytes(content)
    _, snapshot = transfer(a, source, target, mode=FileTransferMode.MOVE)
    assert snapshot.result is not None, snapshot.error
    assert snapshot.result.size == "8.0 MiB"
    assert (target / "report.txt").read_bytes() == content


def test_the_steps_can_be_used_by_others(a: Host, source: Path, target: Path) -> None:
    proxy = a.create(Shouting, FileTransferState())
    client = TaskClient.for_paglet(proxy, Shouting)
    snapshot = client.start_and_wait(FileTransferRequest(str(source), str(target), "b"), timeout=30.0)
    assert snapshot.status is TaskStatus.COMPLETED, snapshot.error
    assert (target / "report.txt").read_text() == "THE CONTENT"
    assert source.read_text() == "the content"


def test_without_a_host_there_is_no_transfer() -> None:
    with pytest.raises(HostError, match="on no host"):
        SingleFileTransferPaglet().prepare_file_transfer(FileTransferRequest("/etc/hosts", target_host="b"))


@MODES
def test_a_move_that_fails_leaves_everything_as_it_was(
    a: Host, source: Path, target: Path, mode: FileTransferMode
) -> None:
    proxy = a.create(Gullible, FileTransferState())
    client = TaskClient.for_paglet(proxy, Gullible)
    request = FileTransferRequest(str(source), str(target), "gone", mode=mode)
    snapshot = client.start_and_wait(request, timeout=30.0)
    assert snapshot.status is TaskStatus.FAILED
    assert "TransferError" in snapshot.error
    assert source.read_text() == "the content"
    assert list(target.iterdir()) == []
    eventually(lambda: not keepers(a))
    again = client.start_and_wait(dataclasses.replace(request, target_host="a"), timeout=30.0)
    assert again.status is TaskStatus.COMPLETED, again.error
