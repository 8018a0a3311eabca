"""Files that come ahead of their paglets: staged under the transfer, and the paglet's from its arrival on."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from typing import TYPE_CHECKING

from paglets.artifacts.file_names import check_label, safe_target_filename
from paglets.artifacts.spool import Spool
from paglets.core.errors import ForbiddenError, TransferError
from paglets.persistence.directory_sync import sync_directory
from paglets.persistence.records import FileRecord
from paglets.runtime.artifacts.uploads import Upload, Uploads
from paglets.runtime.files.places import FilePlaces, identity

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from paglets.core.incarnation import TransferId
    from paglets.remote.bulk.frames import BulkTrailer, FileHeader, SignedBulkHeader
    from paglets.remote.envelopes.header import EnvelopeHeader
    from paglets.remote.wire.peer import Peer
    from paglets.remote.wire.stream_server import IncomingStream
    from paglets.runtime.artifacts.workers import Workers

MAX_FILES = 256
"""Files that one paglet may take along."""
_MAX_STAGED = 256
"""Transfers whose files are here and whose envelope is not."""
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


class ArrivingFiles:
    """Takes files of paglets that are on their way here."""

    def __init__(
        self, places: FilePlaces, workers: Workers, *, max_file_bytes: int, max_transfer_bytes: int
    ) -> None:
        self._places = places
        self._max_file_bytes = max_file_bytes
        self._max_transfer_bytes = max_transfer_bytes
        self._spool: Spool[StagedFile] = Spool()
        self._uploads: Uploads[StagedFile] = Uploads(self._spool, workers)
        self._staged: dict[TransferId, dict[str, FileRecord]] = {}
        self._since: dict[TransferId, float] = {}

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
        self._check(header)
        file_name = safe_target_filename(header.source_path)
        path = self._places.root / self._places.place_of(header.transfer_id) / str(header.number) / file_name

        def begin() -> StagedFile:
            self._places.check_room(header.size)
            return StagedFile(path)

        def complete(file: StagedFile, trailer: BulkTrailer) -> bytes:
            digest, seen = file.finish(self._places.root)
            if digest != trailer.digest:
                raise TransferError(f"file {header.name!r} did not come as it was sent")
            self._keep(header, file_name, digest, seen)
            return _VERDICT

        if header.transfer_id not in self._since:
            self._since[header.transfer_id] = time.monotonic()
            self._places.hold(self._places.place_of(header.transfer_id))
        return await self._uploads.take(
            stream,
            Upload(
                peer=peer.host_id,
                upload_id=f"{header.transfer_id.counter}.{header.number}",
                header_digest=signed.digest,
                signer_id=signed.frame.signer_id,
                size=header.size,
                begin=begin,
                complete=complete,
            ),
        )

    def _check(self, header: FileHeader) -> None:
        if header.number >= MAX_FILES:
            raise TransferError(f"a paglet takes at most {MAX_FILES} files along")
        staged = sum(each.size for each in self._staged.get(header.transfer_id, {}).values())
        if header.size > self._max_file_bytes or staged + header.size > self._max_transfer_bytes:
            raise TransferError(
                f"file {header.name!r} of {header.size} bytes is over this host's bounds: {self._max_file_bytes} "
                f"bytes for one, {self._max_transfer_bytes} for all of a paglet"
            )
        if header.transfer_id not in self._since and len(self._since) >= _MAX_STAGED:
            raise TransferError(
                "this host holds as many files of paglets under way as it may; try again later"
            )

    def _keep(self, header: FileHeader, file_name: str, digest: str, seen: tuple[int, int, int]) -> None:
        self._staged.setdefault(header.transfer_id, {})[header.name] = FileRecord(
            name=header.name,
            mode=header.mode,
            place=self._places.place_of(header.transfer_id),
            path=f"{header.number}/{file_name}",
            size=header.size,
            digest=digest,
            source_host_name=header.source_host_name,
            source_host_url=header.source_host_url,
            source_path=header.source_path,
            source_created_at=header.source_created_at,
            source_modified_at=header.source_modified_at,
            seen=seen,
        )

    # --- deciding

    def of(self, header: EnvelopeHeader) -> tuple[FileRecord, ...]:
        """The files that an envelope lists, as they are here; ``TransferError`` when one is not."""
        staged = self._staged.get(header.transfer_id, {})
        for entry in header.files:
            file = staged.get(entry.name)
            if file is None or (file.size, file.digest) != (entry.size, entry.digest):
                raise TransferError(
                    f"file {entry.name!r}, which travels with the paglet, is not here as it should be"
                )
        return tuple(staged[entry.name] for entry in header.files)

    @contextlib.contextmanager
    def keeping(self, header: EnvelopeHeader) -> Generator[None]:
        """Keep the files of an envelope while it is decided, even if another of its kind is decided meanwhile."""
        if not header.files:
            yield
            return
        with self._places.holding(self._places.place_of(header.transfer_id)):
            yield

    def decided(self, transfer_id: TransferId) -> None:
        """The transfer is decided: its files are a paglet's now, or nobody's. More than once is no error."""
        if self._since.pop(transfer_id, None) is not None:
            self._staged.pop(transfer_id, None)
            self._places.let_go(self._places.place_of(transfer_id))
            self._places.tidy()

    def tidy(self) -> None:
        """A paglet has come back, and what it had here before is nobody's."""
        self._places.tidy()

    def forget_before(self, age: float) -> None:
        """Let go of what has waited for its envelope for longer than ``age`` seconds; that finds it gone."""
        oldest = time.monotonic() - age
        self._spool.drop_before(time.time() - age)
        for transfer_id in [each for each, since in self._since.items() if since < oldest]:
            self.decided(transfer_id)
