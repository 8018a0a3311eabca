"""Files within one directory, within a quota, each written whole."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest

from paglets.core import errors
from paglets.persistence.storage import (
    DEFAULT_PERSISTENT_STORAGE_QUOTA_BYTES,
    ManagedStorage,
    StorageQuotaError,
    StorageStatus,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def uses(storage: ManagedStorage) -> list[Callable[[str], object]]:
    """Everything that takes a path."""

    def write(path: str) -> None:
        storage.write_bytes(path, b"x")

    return [storage.read_bytes, storage.read_text, storage.delete, write]


@pytest.fixture
def storage(tmp_path: Path) -> ManagedStorage:
    return ManagedStorage(tmp_path / "files", quota_bytes=100)


def test_what_was_written_is_read(storage: ManagedStorage) -> None:
    assert storage.write_bytes("one.bin", b"\0\1") == 2
    assert storage.write_text("deep/er/two.txt", "zwölf") == 6
    assert storage.read_bytes("one.bin") == b"\0\1"
    assert storage.read_text("deep/er/two.txt") == "zwölf"
    storage.write_bytes("one.bin", b"other")
    assert storage.read_bytes("one.bin") == b"other"
    with pytest.raises(FileNotFoundError):
        storage.read_bytes("unknown")


def test_the_status_says_how_full_it_is(storage: ManagedStorage) -> None:
    storage.write_bytes("a", bytes(30))
    storage.write_bytes("d/b", bytes(20))
    assert storage.status() == StorageStatus(storage.root, 50, 100, 50)
    assert ManagedStorage(storage.root, quota_bytes=10).status().available_bytes == 0
    assert (
        ManagedStorage(storage.root).quota_bytes == DEFAULT_PERSISTENT_STORAGE_QUOTA_BYTES == 10 * 1024 * 1024
    )


def test_a_write_over_the_quota_changes_nothing(storage: ManagedStorage) -> None:
    storage.write_bytes("a", bytes(60))
    with pytest.raises(StorageQuotaError, match=r"bring .* to 101 bytes, and its quota is 100"):
        storage.write_bytes("new/b", bytes(41))
    assert sorted(path.name for path in storage.root.iterdir()) == ["a"]
    storage.write_bytes("a", bytes(100))
    with pytest.raises(StorageQuotaError):
        storage.write_bytes("a", bytes(101))
    assert len(storage.read_bytes("a")) == 100
    assert StorageQuotaError is errors.StorageQuotaError


def test_files_and_directories_are_deleted_and_make_room(storage: ManagedStorage) -> None:
    storage.write_bytes("d/a", bytes(50))
    storage.write_bytes("d/b", bytes(50))
    assert storage.delete("d/a")
    assert not storage.delete("d/a")
    assert storage.delete("d")
    storage.write_bytes("c", bytes(100))
    storage.clear()
    assert storage.root.is_dir()
    assert storage.status().used_bytes == 0


@pytest.mark.parametrize("path", ["", ".", "..", "/etc/passwd", "../a", "a/../../b", "a/..", "C:\\x", "a\0b"])
def test_a_path_that_escapes_is_refused_by_everything(storage: ManagedStorage, path: str) -> None:
    for use in uses(storage):
        with pytest.raises(ValueError, match="no path inside a storage"):
            use(path)


def test_symbolic_links_lead_nowhere_else(storage: ManagedStorage, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("keep")
    (storage.root / "directory").symlink_to(outside)
    (storage.root / "file").symlink_to(outside / "secret")
    (storage.root / "new").symlink_to(outside / "new")
    for path in ("directory/secret", "directory/new", "file", "new"):
        for use in uses(storage):
            with pytest.raises(ValueError, match="symbolic link"):
                use(path)
    assert [path.name for path in outside.iterdir()] == ["secret"]
    storage.clear()
    assert (outside / "secret").read_text() == "keep"


def test_a_link_that_stays_inside_is_followed(storage: ManagedStorage) -> None:
    storage.write_text("real/a", "one")
    (storage.root / "link").symlink_to(storage.root / "real")
    assert storage.read_text("link/a") == "one"


def test_what_an_interrupted_write_left_does_not_count_and_goes(storage: ManagedStorage) -> None:
    left = storage.root / ".paglets-writing-abc"
    left.write_bytes(bytes(90))
    storage.write_bytes("a", bytes(100))
    assert not left.exists()
    with pytest.raises(ValueError, match="no path inside"):
        storage.write_bytes(".paglets-writing-x", b"")


def test_a_failed_write_leaves_the_old_content(
    storage: ManagedStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage.write_bytes("a", b"old")

    def fail(_: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="Input/output"):
        storage.write_bytes("a", b"new")
    assert storage.read_bytes("a") == b"old"
    assert len(list(storage.root.iterdir())) == 1


def test_the_quota_holds_with_many_writers_of_many_handles(storage: ManagedStorage) -> None:
    refused: list[StorageQuotaError] = []

    def write(number: int) -> None:
        try:
            ManagedStorage(storage.root, quota_bytes=100).write_bytes(f"f{number}", bytes(30))
        except StorageQuotaError as error:
            refused.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 5
    assert storage.status().used_bytes == 90
