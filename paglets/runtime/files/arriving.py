"""Files that come ahead of their paglets: staged under the transfer, and the paglet's from its arrival on."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from paglets.artifacts.file_names import check_label, safe_target_filename
from paglets.artifacts.spool import Spool
from paglets.core.errors import ForbiddenError, TransferError
from paglets.persistence.directory_sync import sync_directory
from paglets.persistence.records import FileRecord
from paglets.remote.trust.errors import PayloadMismatchError
from paglets.runtime.artifacts.uploads import Upload, Uploads
from paglets.runtime.files.places import FilePlaces, identity

if TYPE_CHECKING:
    from collections.abc import Generator

    from paglets.core.incarnation import TransferId
    from paglets.persistence.read_transaction import ReadTransaction
    from paglets.persistence.store import Store
    from paglets.remote.bulk.frames import BulkTrailer, FileHeader, SignedBulkHeader
    from paglets.remote.envelopes.header import EnvelopeHeader
    from paglets.remote.wire.peer import Peer
    from paglets.remote.wire.stream_server import IncomingStream
    from paglets.runtime.artifacts.workers import Workers

MAX_FILES = 256
"""Files that one paglet may take along."""
_MAX_STAGED = 256
"""Transfers whose files are here and whose envelope is not."""
_MAX_STAGED_PER_PEER = 64
_VERDICT = b'{"staged":true}'


class StagedFile:
    """One file as it comes in."""

    def __init__(self, path: Path) -> None:
        self.received = 0
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        self._hash = hashlib.sha256()
        self._open = True

    def write(self, data: bytes) -> None:
        """Append."""
        if not self._open:
            raise TransferError(f"the file {self.path.name} is complete, or was given up")
        self._hash.update(data)
        view = memoryview(data)
        while view:
            written = os.write(self._descriptor, view)
            self.received += written
            view = view[written:]

    def finish(self, root: Path) -> tuple[str, tuple[int, int, int]]:
        """Make it durable, with the names of the directories below ``root``: digest, and what it is known by."""
        os.fsync(self._descriptor)
        seen = identity(os.fstat(self._descriptor))
        self._close()
        for directory in (self.path.parent, self.path.parent.parent, root):
            sync_directory(directory)
        return self._hash.hexdigest(), seen

    def discard(self) -> None:
        """Keep nothing of it."""
        self._close()
        with contextlib.suppress(OSError):
            self.path.unlink()

    def _close(self) -> None:
        if self._open:
            self._open = False
            os.close(self._descriptor)


@dataclass(slots=True)
class _Luggage:
    """What has come, or is announced, of the files of one transfer. Looked at on the loop only."""

    place: str
    peer: str
    headers: dict[int, str] = field(default_factory=dict[int, str])
    """Digest of the header of each file, by number: one file has one header."""
    sizes: dict[int, int] = field(default_factory=dict[int, int])
    here: dict[int, FileRecord] = field(default_factory=dict[int, FileRecord])
    """Those that are complete and durable."""
    users: int = 0
    """Who is at work on it: files that come in, the envelope. It stays as long as there are any."""
    touched: float = 0.0
    decided: bool = False

    def named(self, name: str) -> FileRecord | None:
        return next((file for file in self.here.values() if file.name == name), None)


class ArrivingFiles:
    """Takes files of paglets that are on their way here."""

    def __init__(
        self,
        places: FilePlaces,
        store: Store,
        workers: Workers,
        *,
        max_file_bytes: int,
        max_transfer_bytes: int,
    ) -> None:
        self._places = places
        self._store = store
        self._workers = workers
        self._max_file_bytes = max_file_bytes
        self._max_transfer_bytes = max_transfer_bytes
        self._spool: Spool[StagedFile] = Spool()
        self._uploads: Uploads[StagedFile] = Uploads(self._spool, workers)
        self._luggage: dict[TransferId, _Luggage] = {}

    # --- staging

    async def receive(
        self, peer: Peer, stream: IncomingStream, signed: SignedBulkHeader[FileHeader]
    ) -> bytes:
        """One file; ``TransferError`` when it may not, or cannot, be taken."""
        header = signed.header
        if header.transfer_id.source != peer.host_id:
            raise ForbiddenError("a host sends files for its own transfers only")
        try:
            check_label(header.name)
        except ValueError as error:
            raise TransferError(str(error)) from None
        self.settled_below(peer.host_id, header.floor)
        with self._at_work(self._announced(peer, signed)) as luggage:
            # Announced first: what is decided from now on is seen below, and what was before stands in the store.
            if await self._store.read(lambda tx: _is_settled(tx, header.transfer_id)):
                self.decided(header.transfer_id)
                raise _settled(header.name)
            verdict = await self._take(stream, signed, luggage)
            if luggage.decided:
                raise _settled(header.name)
            return verdict

    def _announced(self, peer: Peer, signed: SignedBulkHeader[FileHeader]) -> _Luggage:
        """Where a file belongs, if there is room for it."""
        header = signed.header
        luggage = self._luggage.get(header.transfer_id)
        announced = luggage or _Luggage(self._places.place_of(header.transfer_id), peer.host_id)
        self._check(header, signed.digest, announced)
        if luggage is None:
            self._luggage[header.transfer_id] = announced
            self._places.hold(announced.place)
        announced.headers[header.number] = signed.digest
        announced.sizes[header.number] = header.size
        return announced

    def _check(self, header: FileHeader, digest: str, luggage: _Luggage) -> None:
        if header.number >= MAX_FILES:
            raise TransferError(f"a paglet takes at most {MAX_FILES} files along")
        if luggage.headers.get(header.number, digest) != digest:
            raise TransferError(f"file {header.number} of transfer {header.transfer_id} is another one")
        if header.number in luggage.headers:
            return
        own = sum(luggage.sizes.values())
        if header.size > self._max_file_bytes or own + header.size > self._max_transfer_bytes:
            raise TransferError(
                f"file {header.name!r} of {header.size} bytes is over this host's bounds: {self._max_file_bytes} "
                f"bytes for one, {self._max_transfer_bytes} for all of a paglet"
            )
        waiting = sum(sum(each.sizes.values()) for each in self._luggage.values())
        crowd = sum(each.peer == luggage.peer for each in self._luggage.values())
        if waiting + header.size > self._max_transfer_bytes or (
            header.transfer_id not in self._luggage
            and (crowd >= _MAX_STAGED_PER_PEER or len(self._luggage) >= _MAX_STAGED)
        ):
            raise TransferError(
                "this host holds as many files of paglets under way as it may; try again later"
            )

    async def _take(
        self, stream: IncomingStream, signed: SignedBulkHeader[FileHeader], luggage: _Luggage
    ) -> bytes:
        header = signed.header
        file_name = safe_target_filename(header.source_path)
        path = self._places.root / luggage.place / str(header.number) / file_name
        complete_as: list[FileRecord] = []
        pending = sum(luggage.sizes.values()) - sum(each.size for each in luggage.here.values())

        def begin() -> StagedFile:
            self._places.check_room(pending)
            return StagedFile(path)

        def complete(file: StagedFile, trailer: BulkTrailer) -> bytes:
            digest, seen = file.finish(self._places.root)
            if digest != trailer.digest:
                raise PayloadMismatchError(f"file {header.name!r} did not come as it was sent")
            complete_as.append(_record(header, luggage.place, f"{header.number}/{file_name}", digest, seen))
            return _VERDICT

        verdict = await self._uploads.take(
            stream,
            Upload(
                peer=luggage.peer,
                upload_id=signed.digest,
                header_digest=signed.digest,
                signer_id=signed.frame.signer_id,
                size=header.size,
                begin=begin,
                complete=complete,
            ),
        )
        for record in complete_as:  # none when the verdict was only said again
            luggage.here[header.number] = record
        return verdict

    # --- deciding

    async def of(self, header: EnvelopeHeader) -> tuple[FileRecord, ...]:
        """The files that an envelope lists, as they are here; ``TransferError`` when one is not."""
        luggage = self._luggage.get(header.transfer_id)
        found: list[FileRecord] = []
        for entry in header.files:
            file = luggage.named(entry.name) if luggage is not None else None
            if file is None or (file.size, file.digest) != (entry.size, entry.digest) or file in found:
                raise _missing(entry.name)
            found.append(file)
        if found:
            await self._workers.run(self._check_disk, found)
        return tuple(found)

    def _check_disk(self, files: list[FileRecord]) -> None:
        """They are as they were synced: nobody has removed, replaced or changed one since."""
        for file in files:
            try:
                info = self._places.path(file, Path()).lstat()
            except OSError:
                raise _missing(file.name) from None
            if not stat.S_ISREG(info.st_mode) or identity(info) != file.seen or info.st_size != file.size:
                raise _missing(file.name)

    @contextlib.contextmanager
    def keeping(self, header: EnvelopeHeader) -> Generator[None]:
        """Keep the files of an envelope while it comes in and is decided, whoever else decides it meanwhile."""
        luggage = self._luggage.get(header.transfer_id)
        if luggage is None:
            yield
            return
        with self._at_work(luggage):
            yield

    def decided(self, transfer_id: TransferId) -> None:
        """The transfer is decided: its files are a paglet's now, or nobody's. More than once is no error."""
        luggage = self._luggage.pop(transfer_id, None)
        if luggage is not None:
            luggage.decided = True
            self._let_go(luggage)

    def tidy(self) -> None:
        """A paglet has come back, and what it had here before is nobody's."""
        self._places.tidy()

    def forget_before(self, age: float) -> None:
        """Let go of what has waited for its envelope for longer than ``age`` seconds; that finds it gone."""
        oldest = time.monotonic() - age
        self._spool.drop_before(time.time() - age)
        for transfer_id, luggage in list(self._luggage.items()):
            if not luggage.users and luggage.touched < oldest:
                self.decided(transfer_id)

    def settled_below(self, source: str, floor: int) -> None:
        """A host says that it sends no envelope of its transfers below that counter any more."""
        for transfer_id in list(self._luggage):
            if transfer_id.source == source and transfer_id.counter < floor:
                self.decided(transfer_id)

    @contextlib.contextmanager
    def _at_work(self, luggage: _Luggage) -> Generator[_Luggage]:
        luggage.users += 1
        try:
            yield luggage
        finally:
            luggage.users -= 1
            luggage.touched = time.monotonic()
            if luggage.decided:
                self._let_go(luggage)

    def _let_go(self, luggage: _Luggage) -> None:
        """Once it is decided and nobody is at work on it: what no record names goes."""
        if luggage.users:
            return
        for upload_id in luggage.headers.values():
            self._spool.abandon(luggage.peer, upload_id)
        self._places.let_go(luggage.place)
        self._places.tidy()


def _is_settled(tx: ReadTransaction, transfer_id: TransferId) -> bool:
    """Whether no envelope of that transfer will be taken in: its source has said so, or there is a verdict on it."""
    return transfer_id.counter < tx.floor(transfer_id.source) or tx.verdict(transfer_id) is not None


def _settled(name: str) -> TransferError:
    return TransferError(f"the move that file {name!r} belongs to is settled already")


def _missing(name: str) -> TransferError:
    return TransferError(f"file {name!r}, which travels with the paglet, is not here as it should be")


def _record(header: FileHeader, place: str, path: str, digest: str, seen: tuple[int, int, int]) -> FileRecord:
    return FileRecord(
        name=header.name,
        mode=header.mode,
        place=place,
        path=path,
        size=header.size,
        digest=digest,
        source_host_name=header.source_host_name,
        source_host_url=header.source_host_url,
        source_path=header.source_path,
        source_created_at=header.source_created_at,
        source_modified_at=header.source_modified_at,
        seen=seen,
    )
