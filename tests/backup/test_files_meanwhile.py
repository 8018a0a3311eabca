"""A backup of a running host holds the files that its store names, whatever comes and goes meanwhile."""

from __future__ import annotations

import asyncio
import tarfile
from typing import TYPE_CHECKING

from msgspec.structs import replace

from paglets.persistence.records import FileRecord, PagletRecord
from paglets.persistence.store import Store
from paglets.remote.trust.keys import HostKey
from paglets.runtime.artifacts.workers import Workers
from paglets.runtime.backups import Backups
from paglets.runtime.files.places import FilePlaces
from paglets.runtime.here import Here
from paglets.testing.waiting import wait_until
from tests.persistence.builders import record

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PLACE = "other.1"


class BusyStore(Store):
    """Something happens right before it is copied, and right after."""

    def __init__(self, directory: Path, before: Callable[[], None], after: Callable[[], None]) -> None:
        super().__init__(directory)
        self._before, self._after = before, after

    def copy_to(self, path: Path) -> None:
        self._before()
        super().copy_to(path)
        self._after()


def visitor() -> PagletRecord:
    """A paglet that has brought a file."""
    file = FileRecord(name="photo", mode="copy", place=PLACE, path="0/photo", size=5, digest="")
    return replace(record("visitor"), files=(file,))


async def test_of_a_paglet_that_comes_and_goes_while_the_store_is_copied(tmp_path: Path) -> None:
    HostKey.load_or_create(tmp_path / "host.key")
    (tmp_path / "files").mkdir()
    photo = tmp_path / "files" / PLACE / "0" / "photo"
    loop = asyncio.get_running_loop()

    def arrive() -> None:
        photo.parent.mkdir(parents=True)
        photo.write_bytes(b"smile")
        store.commit_sync(lambda tx: tx.put_paglet(visitor()))

    def leave() -> None:
        store.commit_sync(lambda tx: tx.delete_paglet("visitor"))
        asyncio.run_coroutine_threadsafe(places.tidy_now(), loop).result(20.0)

    workers = Workers("test")
    with BusyStore(tmp_path / "store", arrive, leave) as store:
        places = FilePlaces(tmp_path / "files", store, workers)
        here = Here(name="h", host_id="h", mesh_id="m", code_version="1")
        backups = Backups(data_dir=tmp_path, store=store, files=places, here=here, version="1")
        made = await backups.make()
        with tarfile.open(made["path"]) as archive:
            assert f"files/{PLACE}/0/photo" in archive.getnames()
        await asyncio.to_thread(wait_until, lambda: not photo.exists())  # it is nobody's any more
        await places.aclose()
    await workers.aclose()
