"""Files that go with their paglet: sent ahead of its envelope, or copied when it stays on its host."""

from __future__ import annotations

import hashlib
import os
import stat
import time
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec.structs import replace

from paglets.artifacts.file_names import safe_target_filename
from paglets.core.errors import PagletError, TransferError
from paglets.persistence.directory_sync import sync_directory
from paglets.remote.bulk.ends import FileSource
from paglets.remote.bulk.frames import FileHeader
from paglets.remote.bulk.pushing import push
from paglets.remote.envelopes.header import FileEntry
from paglets.remote.trust.signers import Signer
from paglets.runtime.files.places import FilePlaces, identity

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from paglets.core.incarnation import TransferId
    from paglets.persistence.records import FileRecord, PagletRecord
    from paglets.remote.trust.keys import HostKey
    from paglets.remote.wire.pool import LinkPool
    from paglets.runtime.artifacts.workers import Workers
    from paglets.runtime.here import Here
    from paglets.runtime.peers import Peers, Target
    from paglets.runtime.work_dirs import WorkDirs

_SLICE = 1024 * 1024


class Shipment(NamedTuple):
    """Files that are at the target, durable, waiting for their paglet."""

    transfer_id: TransferId
    entries: list[FileEntry]
    """For the envelope."""
    files: tuple[FileRecord, ...]
    """As they were read here, for the record."""


class LeavingFiles:
    """Brings the files of paglets to where they go. A failure is a ``TransferError`` that names the file."""

    def __init__(
        self,
        *,
        places: FilePlaces,
        work_dirs: WorkDirs,
        workers: Workers,
        pool: LinkPool,
        peers: Peers,
        here: Here,
        key: HostKey,
        floor: Callable[[str], int],
    ) -> None:
        self._places = places
        self._work_dirs = work_dirs
        self._workers = workers
        self._pool = pool
        self._peers = peers
        self._here = here
        self._signer = Signer(key, here.mesh_id)
        self._floor = floor
        self._under_way: list[dict[str, Any]] = []

    def path(self, record: PagletRecord, file: FileRecord) -> Path:
        """Where a file of that paglet is now."""
        return self._places.path(file, self._work_dirs.path(record.agent_id, record.incarnation))

    async def send(
        self,
        record: PagletRecord,
        transfer_id: TransferId,
        target: Target,
        *,
        agent_id: str,
        copy: bool = False,
    ) -> Shipment:
        """Send all files of a paglet; ``copy``: whatever their modes, as for a clone (``agent_id``)."""
        entries: list[FileEntry] = []
        files: list[FileRecord] = []
        with self._shown(transfer_id, agent_id, target):
            for number, file in enumerate(record.files):
                mode = "copy" if copy else file.mode
                sent = await self._send(record, file, number, mode, transfer_id, target, agent_id)
                files.append(sent)
                entries.append(FileEntry(name=sent.name, digest=sent.digest, size=sent.size))
        return Shipment(transfer_id, entries, tuple(files))

    def under_way(self) -> list[dict[str, Any]]:
        """The transfers whose files are being sent ahead, for people."""
        return list(self._under_way)

    @contextmanager
    def _shown(self, transfer_id: TransferId, agent_id: str, target: Target) -> Generator[None]:
        entry: dict[str, Any] = {
            "transfer_id": str(transfer_id),
            "agent_id": agent_id,
            "peer": target.name or target.host_id,
            "direction": "out",
            "status": "sending-files",
            "reason": "",
            "started_at": time.time(),
        }
        self._under_way.append(entry)
        try:
            yield
        finally:
            self._under_way.remove(entry)

    async def _send(
        self,
        record: PagletRecord,
        file: FileRecord,
        number: int,
        mode: str,
        transfer_id: TransferId,
        target: Target,
        agent_id: str,
    ) -> FileRecord:
        path = self.path(record, file)
        address = self._peers.address(target.host_id, target.url)
        try:
            with _opened(path) as descriptor:
                before = os.fstat(descriptor)
                source = FileSource(descriptor)

                def header_for(destination: str) -> FileHeader:
                    return FileHeader(
                        mesh_id=self._here.mesh_id,
                        source=self._here.host_id,
                        destination=destination,
                        transfer_id=transfer_id,
                        floor=self._floor(target.host_id),
                        agent_id=agent_id,
                        number=number,
                        name=file.name,
                        mode="move" if mode == "move" else "copy",
                        size=source.size,
                        source_host_name=file.source_host_name,
                        source_host_url=file.source_host_url,
                        source_path=file.source_path,
                        source_created_at=file.source_created_at,
                        source_modified_at=file.source_modified_at,
                    )

                await push(self._pool, address, self._signer, header_for, source)
                return _as_read(file, before, os.fstat(descriptor), source.digest.hex())
        except (OSError, PagletError) as error:
            raise _failed(file, path, f"could not be brought to {target}", error) from error

    async def copy_here(
        self, record: PagletRecord, place: str, *, everything: bool = False
    ) -> tuple[FileRecord, ...]:
        """Copy files into a directory of the host, which the caller holds.

        Those that are in one already stay in it, unless ``everything`` is to be copied, as for a clone.
        """
        copied: list[FileRecord] = []
        for number, file in enumerate(record.files):
            if file.place not in {"", "work"} and not everything:
                copied.append(file)
                continue
            path = self.path(record, file)
            try:
                copied.append(await self._workers.undivided(self._copy, file, path, place, number))
            except (OSError, PagletError) as error:
                raise _failed(file, path, "could not be copied", error) from error
        if everything:
            copied = [replace(file, mode="copy") for file in copied]
        return tuple(copied)

    def new_place(self) -> str:
        """A name for a directory for copies."""
        return f"{self._here.host_id}.{uuid.uuid4().hex}"

    def _copy(self, file: FileRecord, path: Path, place: str, number: int) -> FileRecord:
        name = f"{number}/{safe_target_filename(file.source_path or file.path)}"
        target = self._places.root / place / name
        with _opened(path) as descriptor:
            before = os.fstat(descriptor)
            self._places.check_room(before.st_size)
            target.parent.mkdir(parents=True, exist_ok=True)
            digest = hashlib.sha256()
            offset = 0
            with target.open("wb") as copy:
                while data := os.pread(descriptor, _SLICE, offset):
                    offset += len(data)
                    digest.update(data)
                    copy.write(data)
                copy.flush()
                os.fsync(copy.fileno())
            read = _as_read(file, before, os.fstat(descriptor), digest.hexdigest())
        for directory in (target.parent, target.parent.parent, self._places.root):
            sync_directory(directory)
        return replace(read, place=place, path=name)


@contextmanager
def _opened(path: Path) -> Generator[int]:
    # Not blocking: what was a file when it was registered may be a pipe by now.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise TransferError("it is no regular file any more")
        yield descriptor
    finally:
        os.close(descriptor)


def _as_read(file: FileRecord, before: os.stat_result, after: os.stat_result, digest: str) -> FileRecord:
    if identity(before) != identity(after) or before.st_size != after.st_size:
        raise TransferError("it was changed while it was read")
    return replace(file, size=before.st_size, digest=digest, seen=identity(before))


def _failed(file: FileRecord, path: Path, what: str, error: Exception) -> TransferError:
    return TransferError(f"file {file.name!r} ({path}), which travels with the paglet, {what}: {error}")
