"""Files on one host: whole or not there, and what people read of their size."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paglets.artifacts.checksums import file_sha256
from paglets.patterns.file_copying import copy_file, destination_of, stat_source
from paglets.patterns.file_transfers import (
    FileTransferMode,
    FileTransferPlan,
    FileTransferRequest,
    FileTransferResult,
    FileTransferState,
    format_bytes,
)
from paglets.patterns.operations import OperationClient
from paglets.patterns.source_keeper import (
    RELEASE_SOURCE,
    ReleaseReply,
    ReleaseRequest,
    SourceKeeper,
    SourceKeeperState,
    delete_source,
)
from paglets.serialization.codec import dataclass_from_wire, dataclass_to_wire
from tests.host.support import eventually

if TYPE_CHECKING:
    from paglets.runtime.host import Host


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source.txt"
    path.write_text("content")
    path.chmod(0o640)
    os.utime(path, (1e9, 1e9))
    return path


def nothing_else_in(folder: Path, *names: str) -> None:
    assert sorted(each.name for each in folder.iterdir()) == sorted(names)


def test_a_copy_has_content_times_and_permissions(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "new" / "folder" / "copy.txt"
    copy_file(source, target, overwrite=False)
    info = target.stat()
    assert (target.read_text(), info.st_mtime, info.st_mode & 0o777) == ("content", 1e9, 0o640)
    nothing_else_in(target.parent, "copy.txt")
    copy_file(source, target, overwrite=True, permissions=0o600)
    assert target.stat().st_mode & 0o777 == 0o600


def test_what_is_there_stays(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "there"
    target.write_text("old")
    with pytest.raises(FileExistsError, match=r"destination already exists: .*there"):
        copy_file(source, target, overwrite=False)
    assert target.read_text() == "old"
    copy_file(source, target, overwrite=True)
    assert target.read_text() == "content"
    nothing_else_in(tmp_path, "source.txt", "there")


def test_a_link_that_leads_nowhere_is_there_too(source: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(FileExistsError):
        copy_file(source, tmp_path / "link", overwrite=False)


def test_what_comes_between_stays(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "there"
    real = os.fsync

    def slow(descriptor: int) -> None:
        target.write_text("of another")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", slow)
    with pytest.raises(FileExistsError, match="destination already exists"):
        copy_file(source, target, overwrite=False)
    assert target.read_text() == "of another"
    nothing_else_in(tmp_path, "source.txt", "there")


def test_a_file_system_without_links(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(self: Path, target: Any) -> None:
        raise PermissionError("no links here")

    monkeypatch.setattr(Path, "hardlink_to", refused)
    target = tmp_path / "copy"
    copy_file(source, target, overwrite=False)
    assert target.read_text() == "content"
    with pytest.raises(FileExistsError):
        copy_file(source, target, overwrite=False)


def test_a_file_is_not_copied_onto_itself(source: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(source)
    for target in (source, tmp_path / "link"):
        with pytest.raises(ValueError, match="the same file"):
            copy_file(source, target, overwrite=True)
    assert source.read_text() == "content"


def test_a_copy_that_fails_leaves_nothing(source: Path, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(OSError, match="folder"):
        copy_file(source, folder, overwrite=True)
    with pytest.raises(FileNotFoundError):
        copy_file(tmp_path / "missing", tmp_path / "copy", overwrite=False)
    nothing_else_in(tmp_path, "source.txt", "folder")


def test_a_directory_takes_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert destination_of(str(tmp_path), "f") == tmp_path / "f"
    assert destination_of(f"{tmp_path}/new/", "f") == tmp_path / "new" / "f"
    assert destination_of(f"{tmp_path}/new", "f") == tmp_path / "new"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert destination_of("~/x", "f") == tmp_path / "x"
    monkeypatch.chdir(tmp_path)
    assert destination_of("x", "f") == tmp_path / "x"


def test_only_regular_files_are_sources(source: Path, tmp_path: Path) -> None:
    found = stat_source(str(source), host_name="h", host_url="u")
    assert (found.file_name, found.size_bytes, found.permissions) == ("source.txt", 7, 0o640)
    assert (found.endpoint.path, found.endpoint.modified_at, found.endpoint.host_name) == (
        str(source),
        1e9,
        "h",
    )
    for path, error in ((tmp_path, ValueError), (tmp_path / "missing", FileNotFoundError), ("", ValueError)):
        with pytest.raises(error):
            stat_source(str(path), host_name="h", host_url="u")


def test_a_source_goes_only_while_it_is_the_same(source: Path) -> None:
    planned = stat_source(str(source), host_name="h", host_url="u")
    assert "another content" in delete_source(planned, "0" * 64)
    source.write_text("changed")
    assert "changed meanwhile" in delete_source(planned, "")
    assert source.exists()
    planned = stat_source(str(source), host_name="h", host_url="u")
    assert delete_source(planned, file_sha256(source)) == ""
    assert not source.exists()
    assert "source.txt" in delete_source(planned, "")


@pytest.mark.parametrize("delete", [True, False])
def test_a_keeper_settles_its_source_and_goes(a: Host, source: Path, delete: bool) -> None:
    planned = stat_source(str(source), host_name="a", host_url=a.address)
    proxy = a.create(SourceKeeper, SourceKeeperState(planned, keep_until=time.time() + 60.0))
    reply = OperationClient(proxy).call(RELEASE_SOURCE, ReleaseRequest(delete=delete))
    assert reply == ReleaseReply(deleted=delete)
    assert source.exists() is not delete
    eventually(lambda: not proxy.is_valid())


def test_a_keeper_that_has_settled_goes_at_its_next_start(a: Host, source: Path) -> None:
    planned = stat_source(str(source), host_name="a", host_url=a.address)
    proxy = a.create(SourceKeeper, SourceKeeperState(planned, settled=True))
    eventually(lambda: not proxy.is_valid())
    assert source.exists()


def test_sizes_for_people() -> None:
    sizes = {
        0: "0 B",
        1023: "1023 B",
        1024: "1.0 KiB",
        1536: "1.5 KiB",
        1024**2 - 1: "1.0 MiB",
        5 * 1024**3: "5.0 GiB",
    }
    assert {size: format_bytes(size) for size in sizes} == sizes
    assert format_bytes(3 * 1024**5) == "3.0 PiB"


@given(st.integers(0, 2**62))
def test_a_size_is_always_short(size: int) -> None:
    number, unit = format_bytes(size).split()
    assert unit in {"B", "KiB", "MiB", "GiB", "TiB", "PiB"}
    assert float(number) < 1024 or unit == "PiB"


def test_the_values_travel(source: Path) -> None:
    request = FileTransferRequest(str(source), "/there/", target_host="b", mode=FileTransferMode.MOVE)
    planned = stat_source(str(source), host_name="h", host_url="u")
    state = FileTransferState(plan=FileTransferPlan(request, planned, planned.endpoint), source_keeper="id")
    wire = dataclass_to_wire(state)
    assert wire["plan"]["request"]["mode"] == "move"
    assert dataclass_from_wire(FileTransferState, wire) == state
    result = FileTransferResult(mode=FileTransferMode.MOVE, source=planned.endpoint)
    assert dataclass_from_wire(FileTransferResult, dataclass_to_wire(result)) == result
    assert [each.value for each in FileTransferMode] == ["copy", "move"]
