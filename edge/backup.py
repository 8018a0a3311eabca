"""Backups of hosts: written by whoever holds the store, put back into a data directory of their own."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from edge.version import VERSION
from paglets.core.errors import HostError
from paglets.persistence.backup import (
    KEY_MEMBER,
    BackupError,
    Manifest,
    new_manifest,
    unpack_backup,
    write_backup,
)
from paglets.persistence.directory_sync import sync_directory
from paglets.persistence.restoring import mark_restored
from paglets.persistence.store import Store
from paglets.remote.trust.keys import HostKey

if TYPE_CHECKING:
    from collections.abc import Generator

_STORE = "store"
_STORE_FILE = "store/store.lmdb"


def holds_a_store(data_dir: Path) -> bool:
    """Whether a host has lived in that directory."""
    return (data_dir / _STORE_FILE).exists()


def back_up_stopped(data_dir: Path, target: Path) -> Manifest:
    """Write a backup of a host that does not run; ``StoreInUseError`` when it does after all."""
    key = HostKey.load(data_dir / KEY_MEMBER)
    with (
        Store(data_dir / _STORE, read_only=True) as store,
        tempfile.TemporaryDirectory(
            dir=data_dir if store.failed is None else None, prefix="backup-"
        ) as place,
    ):
        copy = Path(place) / "store.lmdb"
        store.copy_to(copy)
        manifest = new_manifest(
            version=VERSION,
            host_id=key.host_id,
            host_name="",
            store_id=store.store_id,
            commit=store.commit_number,
        )
        with replacing(target) as file:
            return write_backup(file, data_dir, copy, manifest)


def take_away(made: Path, target: Path) -> None:
    """Put a backup that a host has made where its operator wants it."""
    try:
        with made.open("rb") as source, replacing(target) as file:
            shutil.copyfileobj(source, file, 1024 * 1024)
    finally:  # it holds the host's key
        shutil.rmtree(made.parent)


@contextlib.contextmanager
def replacing(target: Path) -> Generator[BinaryIO]:
    """A file that takes the target's place, whole and synced, when the block ends well; readable by its owner only."""
    if target.is_dir():
        raise BackupError(f"{target} is a directory; name the file that is to be written")
    try:
        descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}-")
    except FileNotFoundError:
        raise BackupError(f"there is no directory {target.parent}; make it, or name another one") from None
    partial = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield cast("BinaryIO", file)
            file.flush()
            os.fsync(descriptor)
        partial.replace(target)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    sync_directory(target.parent)


def restore(source: Path, data_dir: Path) -> Manifest:
    """Put a backup into a data directory that is empty or not there yet; all of it, or nothing.

    Its store says from then on that it was restored. ``BackupError`` when it is damaged; ``HostError``
    when the directory holds something.
    """
    if data_dir.exists() and (not data_dir.is_dir() or any(data_dir.iterdir())):
        raise HostError(
            f"{data_dir} is not empty, and a host may run there; restore into a new directory, and remove the old "
            "one when its host has stopped for good"
        )
    data_dir.parent.mkdir(parents=True, exist_ok=True)
    unpacked = Path(tempfile.mkdtemp(dir=data_dir.parent, prefix=f".{data_dir.name}-"))
    try:
        manifest = unpack_backup(source, unpacked)
        _mark(unpacked, manifest, source)
        unpacked.replace(data_dir)
    except OSError as error:
        raise BackupError(f"{source} cannot be restored to {data_dir}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(unpacked, ignore_errors=True)
    sync_directory(data_dir.parent)
    return manifest


def _mark(unpacked: Path, manifest: Manifest, source: Path) -> None:
    key = HostKey.load(unpacked / KEY_MEMBER)
    with Store(unpacked / _STORE) as store:
        if (key.host_id, store.store_id) != (manifest.host_id, manifest.store_id):
            raise BackupError(f"{source} holds the key or the store of another host than its manifest says")
        commit = store.commit_number

        def rule(tx: Any) -> None:
            mark_restored(tx, key.host_id, store.store_id, commit, at=time.time())

        store.commit_sync(rule)
