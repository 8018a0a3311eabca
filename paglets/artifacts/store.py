"""Binary artifacts that a host owns: kept in its store, as blobs with a name, an owner and a time."""

from __future__ import annotations

import time
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from paglets.artifacts.errors import ArtifactNotFoundError
from paglets.artifacts.intake import ArtifactTerms, Intake, is_owner
from paglets.artifacts.quota import Quota
from paglets.artifacts.reading import check, content, content_to_check, open_content
from paglets.artifacts.refs import ArtifactRef
from paglets.artifacts.shared_stores import open_shared
from paglets.artifacts.spool import Spool
from paglets.artifacts.target_files import TargetFile, target_path
from paglets.core.errors import HostError, TransferError
from paglets.persistence.store import Store

if TYPE_CHECKING:
    import builtins
    import os
    from collections.abc import Callable, Iterator
    from types import TracebackType
    from typing import BinaryIO, Self

    from paglets.persistence.artifact_records import ArtifactRecord
    from paglets.persistence.read_transaction import ReadTransaction

GIB = 1024**3
DEFAULT_MAX_ARTIFACT_BYTES = GIB
DEFAULT_ARTIFACT_QUOTA_BYTES = 10 * GIB
DEFAULT_SPOOL_TTL_SECONDS = 24 * 3600.0
_READ = 1024 * 1024
_PAGE = 1000
_MAX_ID = 64


class Source(Protocol):
    """What content is read from: a file opened for reading bytes, for example."""

    def read(self, size: int, /) -> bytes:
        """Up to so many bytes; empty at the end."""
        ...


@dataclass(frozen=True, slots=True)
class ArtifactWriteResult:
    """What came of storing an artifact."""

    ref: ArtifactRef
    stored_bytes: int
    """What it takes in the store, which compression may make less than its size."""


class ArtifactStore:
    """The artifacts of one host. Synchronous, for any thread that is not a loop's.

    ``root``: a directory, for a store of its own, which ``close`` closes, and which others in this program that
    were given the same directory share; or the host's store. ``host_url`` is what the references name.
    Whatever is refused or interrupted leaves nothing behind.
    """

    def __init__(
        self,
        root: str | os.PathLike[str] | Store,
        *,
        host_url: str | Callable[[], str],
        max_artifact_bytes: int = DEFAULT_MAX_ARTIFACT_BYTES,
        quota_bytes: int = DEFAULT_ARTIFACT_QUOTA_BYTES,
        spool_ttl_seconds: float = DEFAULT_SPOOL_TTL_SECONDS,
    ) -> None:
        self._store, release = (root, None) if isinstance(root, Store) else open_shared(Path(root))
        self._close = None if release is None else weakref.finalize(self, release)
        self._host_url = host_url
        self._quota = Quota(self._store, max_artifact_bytes=max_artifact_bytes, quota_bytes=quota_bytes)
        self.spool_ttl_seconds = spool_ttl_seconds
        """How long an interrupted upload is kept, to be gone on with."""
        self.spool: Spool[Intake] = Spool()
        """Uploads that come in over the wire."""
        self._quota.make_room = self.spool.drop_oldest

    @property
    def host_url(self) -> str:
        """The URL that references name."""
        return self._host_url if isinstance(self._host_url, str) else self._host_url()

    @property
    def max_artifact_bytes(self) -> int:
        """The most that one artifact may have."""
        return self._quota.max_artifact_bytes

    @property
    def quota_bytes(self) -> int:
        """The most that all of them may take."""
        return self._quota.quota_bytes

    @property
    def used_bytes(self) -> int:
        """What all of them take."""
        return self._store.read_sync(lambda tx: tx.artifacts.used_bytes())

    # --- writing -----------------------------------------------------------------------------------------

    def create_from_path(
        self,
        path: str | os.PathLike[str],
        *,
        owner_agent_id: str = "",
        name: str | None = None,
        compression: str = "",
        expires_at: float = 0.0,
        expected_sha256: str | None = None,
    ) -> ArtifactWriteResult:
        """Store a copy of a file, by default under the file's own name; raises as ``create_from_stream``."""
        place = Path(path)
        with place.open("rb") as file:
            return self.create_from_stream(
                file,
                size_bytes=place.stat().st_size,
                owner_agent_id=owner_agent_id,
                name=place.name if name is None else name,
                compression=compression,
                expires_at=expires_at,
                expected_sha256=expected_sha256,
            )

    def create_from_stream(
        self,
        source: Source,
        *,
        size_bytes: int = -1,
        owner_agent_id: str = "",
        name: str = "",
        compression: str = "",
        expires_at: float = 0.0,
        expected_sha256: str | None = None,
    ) -> ArtifactWriteResult:
        """Store what a stream gives; ``size_bytes`` -1 when nobody knows how much that is.

        ``StorageQuotaError`` before the bytes are written that are too many; ``TransferError`` when checksum or
        size are not those announced; what the stream raises passes through.
        """
        terms = ArtifactTerms(name, owner_agent_id, compression, expires_at)
        intake = self.intake(terms, size_bytes)
        try:
            while data := source.read(_READ):
                intake.write(data)
            record = intake.finish(expected_sha256=expected_sha256)
        except BaseException:
            intake.discard()
            raise
        return ArtifactWriteResult(self.ref_of(record), record.blob.size)

    def intake(self, terms: ArtifactTerms, size: int = -1) -> Intake:
        """Begin an artifact whose content comes piece by piece. ``StorageQuotaError``, ``StoreFullError``."""
        return Intake(self._store, self._quota, terms, size)

    # --- reading -----------------------------------------------------------------------------------------

    def ref(self, artifact_id: str) -> ArtifactRef:
        """The reference to an artifact; ``ArtifactNotFoundError`` when there is none, or it has expired."""
        return self.ref_of(self.record(artifact_id))

    def list(self, *, owner_agent_id: str | None = None) -> builtins.list[ArtifactRef]:
        """All artifacts, or those of one owner, in the order of their ids."""
        found: builtins.list[ArtifactRef] = []
        after = ""
        while after is not None:
            page, after = self.page(owner_agent_id=owner_agent_id, after=after)
            found += page
        return found

    def page(
        self, *, owner_agent_id: str | None = None, after: str = "", limit: int = _PAGE
    ) -> tuple[builtins.list[ArtifactRef], str | None]:
        """Some of the list, from the one after ``after``; and where the next page begins, None at the end.

        ``HostError`` for an ``after`` that no page has given.
        """
        if owner_agent_id is not None and not is_owner(owner_agent_id):
            return [], None
        if after and not _is_id(after):
            raise HostError(f"{after[:80]!r} is not where a page of artifacts begins")

        def read(tx: ReadTransaction) -> builtins.list[ArtifactRecord]:
            return tx.artifacts.page(owner=owner_agent_id, after=after, limit=limit)

        records, now = self._store.read_sync(read), time.time()
        refs = [self.ref_of(record) for record in records if not record.expired(now)]
        return refs, records[-1].artifact_id if len(records) == limit else None

    def open_reader(self, artifact_id: str) -> BinaryIO:
        """The content, as a file to read in order. Damaged bytes end in ``BlobDamagedError``."""
        return open_content(content(self._store, self.record(artifact_id)))

    def export_to_path(
        self,
        id: str,  # noqa: A002 - the name that the API page gives it
        target: str | os.PathLike[str],
        *,
        expected_sha256: str | None = None,
    ) -> ArtifactRef:
        """Write the content to a file, whole and durably or not at all; into a directory under its own name.

        ``TransferError`` when it has another checksum than expected.
        """
        record = self.record(id)
        if expected_sha256 and record.digest.hex() != expected_sha256.lower():
            raise TransferError(
                f"artifact {id} has the checksum {record.digest.hex()}, not {expected_sha256}; nothing was written"
            )
        with TargetFile(target_path(target, record.name)) as file:
            for part in content(self._store, record):
                file.write(part)
            file.complete()
        return self.ref_of(record)

    def content(self, record: ArtifactRecord) -> Iterator[bytes]:
        """The content, piece by piece; see ``reading.content``."""
        return content(self._store, record)

    def content_to_check(self, record: ArtifactRecord, offset: int) -> Iterator[bytes]:
        """The content from an offset on, for somebody who checks the whole; see ``reading.content_to_check``."""
        return content_to_check(self._store, record, offset)

    def check(self, record: ArtifactRecord) -> None:
        """Read all that is kept of it; ``BlobDamagedError`` when that is not what was stored."""
        check(self._store, record)

    def record(self, artifact_id: str) -> ArtifactRecord:
        """What the store holds of an artifact; ``ArtifactNotFoundError``."""
        found = None
        if _is_id(artifact_id):
            found = self._store.read_sync(lambda tx: tx.artifacts.get(artifact_id))
        if found is None or found.expired(time.time()):
            raise ArtifactNotFoundError(artifact_id, self.host_url)
        return found

    def ref_of(self, record: ArtifactRecord) -> ArtifactRef:
        """The reference to what the store holds."""
        return ArtifactRef(
            host_url=self.host_url,
            artifact_id=record.artifact_id,
            name=record.name,
            size_bytes=record.size,
            sha256=record.digest.hex(),
            compression=record.compression,
            created_at=record.created_at,
            expires_at=record.expires_at,
            owner_agent_id=record.owner,
        )

    # --- letting go --------------------------------------------------------------------------------------

    def delete(self, artifact_id: str) -> bool:
        """Delete an artifact; whether it was there."""
        if not _is_id(artifact_id):
            return False
        if self._store.read_sync(lambda tx: tx.artifacts.get(artifact_id)) is None:
            return False
        return self._store.commit_sync(lambda tx: tx.artifacts.delete(artifact_id))

    def delete_owner(self, agent_id: str) -> int:
        """Delete all artifacts of one owner; how many."""
        if not is_owner(agent_id):
            return 0
        return self._delete_all(lambda tx: tx.artifacts.page(owner=agent_id, limit=_PAGE))

    def cleanup_temporary(self, *, now: float | None = None) -> int:
        """Drop what has expired, and uploads that nobody has gone on with; how many. ``now``: wall clock."""
        moment = time.time() if now is None else now
        dropped = self.spool.drop_before(moment - self.spool_ttl_seconds)
        return dropped + self._delete_all(lambda tx: tx.artifacts.expired(moment, _PAGE))

    def _delete_all(self, find: Callable[[ReadTransaction], builtins.list[ArtifactRecord]]) -> int:
        """Delete what a read finds, a page in each commit; nothing is written when it finds nothing."""
        deleted = 0
        while doomed := self._store.read_sync(find):
            for record in doomed:
                deleted += self._store.commit_sync(
                    lambda tx, artifact_id=record.artifact_id: tx.artifacts.delete(artifact_id)
                )
        return deleted

    def close(self) -> None:
        """Close a store of its own; the host's is the host's to close."""
        if self._close is not None:
            self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _is_id(text: str) -> bool:
    """Whether it can be an artifact's id; they are made here."""
    return 0 < len(text) <= _MAX_ID and text.isascii() and text.isalnum()
