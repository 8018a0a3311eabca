"""Backups that a running host makes of itself."""

from __future__ import annotations

import asyncio
import secrets
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from paglets.persistence.backup import Manifest
    from paglets.persistence.store import Store
    from paglets.runtime.files.places import FilePlaces
    from paglets.runtime.here import Here

_DIRECTORY = "backups"


class Backups:
    """Writes one at a time into the data directory; whoever asked for it takes it away.

    The store in it is that of one moment. The files that belong to its paglets are kept meanwhile; what classes
    keep in their storage is as it is found, each file whole.
    """

    def __init__(self, *, data_dir: Path, store: Store, files: FilePlaces, here: Here, version: str) -> None:
        self._data_dir = data_dir
        self._store = store
        self._files = files
        self._here = here
        self._version = version
        self._one = asyncio.Lock()
        self._tasks: set[asyncio.Task[Any]] = set()

    def clear(self) -> None:
        """Remove what nobody took away, before the host starts. Blocks."""
        shutil.rmtree(self._data_dir / _DIRECTORY, ignore_errors=True)

    async def make(self) -> dict[str, Any]:
        """Make one: ``path``, and what its manifest says. ``StoreError``, ``OSError``."""
        task = asyncio.create_task(self._make(), name="backup")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)  # its thread cannot be stopped, so it ends in its own time

    async def _make(self) -> dict[str, Any]:
        async with self._one:
            directory = self._place()
            try:
                with self._files.keeping_all():
                    await asyncio.to_thread(self._copy_store, directory)
                    manifest = await asyncio.to_thread(self._write, directory)
            except BaseException:
                await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)
                raise
        shown = msgspec.to_builtins(manifest)
        return {**shown, "files": len(manifest.files), "path": str(directory / "backup.tar")}

    def _place(self) -> Path:
        """In the data directory, or, when its disk cannot be written, elsewhere: just then a backup is wanted."""
        name = secrets.token_hex(8)
        if self._store.failed is None:
            return self._data_dir / _DIRECTORY / name
        return Path(tempfile.gettempdir()) / f"paglets-backup-{name}"

    def _copy_store(self, directory: Path) -> None:
        directory.mkdir(mode=0o700, parents=True)
        self._store.copy_to(directory / "store.lmdb")

    def _write(self, directory: Path) -> Manifest:
        # Most hosts never do it, and would carry what writes archives along.
        from paglets.persistence.backup import new_manifest, write_backup  # noqa: PLC0415

        copy = directory / "store.lmdb"
        manifest = new_manifest(
            version=self._version,
            host_id=self._here.host_id,
            host_name=self._here.name,
            store_id=self._store.store_id,
            commit=self._store.commit_number,
        )
        with (directory / "backup.tar").open("xb") as target:
            (directory / "backup.tar").chmod(0o600)
            manifest = write_backup(target, self._data_dir, copy, manifest)
        copy.unlink()
        return manifest

    async def aclose(self) -> None:
        """Wait for what is being written."""
        await asyncio.gather(*self._tasks, return_exceptions=True)
