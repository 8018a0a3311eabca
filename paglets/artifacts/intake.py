"""One artifact on its way into the store: counted, checked and kept, in one pass and bounded memory."""

from __future__ import annotations

import hashlib
import math
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from paglets.artifacts.compression import check_compression, packer
from paglets.artifacts.errors import ChecksumError
from paglets.core.errors import StorageQuotaError, TransferError
from paglets.persistence.artifact_records import ArtifactRecord
from paglets.persistence.errors import StoreFullError

if TYPE_CHECKING:
    from paglets.artifacts.quota import Quota
    from paglets.persistence.store import Store

_STEP = 8 * 1024 * 1024
"""Bytes that are promised at a time to an artifact of unknown size."""
MAX_TEXT = 512
MAX_OWNER_BYTES = 400
"""Of an owner's name, as UTF-8: artifacts are found by it, and the store's keys are short."""


def is_owner(text: str) -> bool:
    """Whether artifacts can have an owner of that name; empty: nobody in particular."""
    return len(text.encode("utf-8", "replace")) <= MAX_OWNER_BYTES and "\0" not in text


@dataclass(frozen=True, slots=True)
class ArtifactTerms:
    """What an artifact is to be called, whose it is, how it is kept, and until when."""

    name: str = ""
    owner_agent_id: str = ""
    compression: str = ""
    expires_at: float = 0.0

    def __post_init__(self) -> None:
        check_compression(self.compression)
        if len(self.name) > MAX_TEXT:
            raise ValueError(f"the name of an artifact has at most {MAX_TEXT} characters")
        if not is_owner(self.owner_agent_id):
            raise ValueError(
                f"the owner of an artifact is a text of at most {MAX_OWNER_BYTES} bytes, without NUL"
            )
        if not 0 <= self.expires_at < math.inf:
            raise ValueError(
                f"an artifact expires at a time in seconds, 0 for never, and not at {self.expires_at}"
            )


class Intake:
    """Takes the content of one artifact, in order, from one thread at a time; ends with ``finish`` or ``discard``.

    ``size``: of the content, or -1 when nobody knows. Nothing is written that the quota has no room for.
    """

    def __init__(self, store: Store, quota: Quota, terms: ArtifactTerms, size: int = -1) -> None:
        self.received = 0
        """Bytes of content so far."""
        self.terms = terms
        self.size = size
        self._store = store
        self._quota = quota
        self._promised = 0
        self._packer = packer(terms.compression)
        self._hash = hashlib.sha256() if terms.compression else None
        quota.check_size(size)
        self._promise(max(0, size))
        try:
            self._blob = store.stage_sync(max(0, size))
        except BaseException:
            self._give_back()
            raise

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Add content; waits when the disk is slower. What it raises leaves the intake to be discarded."""
        after = self.received + len(data)
        if 0 <= self.size < after:
            raise TransferError(f"more came than the {self.size} bytes that were announced")
        if self.size < 0:
            self._quota.check_size(after)
            if after > self._promised:
                self._promise_more(after - self._promised)
        self.received = after
        if self._hash is None:
            self._blob.write(data)
        else:
            self._hash.update(data)
            self._blob.write(self._packer.compress(data))

    def finish(self, *, expected_sha256: str | None = None) -> ArtifactRecord:
        """All of it is in: keep it, durably. ``TransferError``, and nothing is left, unless it is what was meant."""
        try:
            if self.received != max(self.size, self.received):
                raise TransferError(
                    f"the content ended after {self.received} bytes of the {self.size} that were announced"
                )
            if rest := self._packer.flush():
                self._blob.write(rest)
            staged = self._blob.finish()
            digest = self._hash.digest() if self._hash is not None else staged.ref.digest
            if expected_sha256 and digest.hex() != expected_sha256.lower():
                staged.spend()
                staged.sweep()
                raise ChecksumError(
                    f"the content has the checksum {digest.hex()}, not {expected_sha256}; nothing was kept"
                )
            record = ArtifactRecord(
                artifact_id=uuid.uuid4().hex,
                blob=staged.ref,
                size=self.received,
                digest=digest,
                name=self.terms.name,
                compression=self.terms.compression,
                owner=self.terms.owner_agent_id,
                created_at=time.time(),
                expires_at=self.terms.expires_at,
            )
            self._store.commit_sync(lambda tx: tx.artifacts.put(record), blobs=[staged])
        finally:
            self.discard()
        return record

    def discard(self) -> None:
        """Keep nothing; again, or after ``finish``, is no error."""
        self._blob.discard()
        self._give_back()

    def _promise_more(self, needed: int) -> None:
        """Set aside a step more, or what is needed when the quota has no room for a step."""
        step = max(needed, min(_STEP, self._quota.max_artifact_bytes - self._promised))
        try:
            self._promise(step)
        except (StorageQuotaError, StoreFullError):
            self._promise(needed)

    def _promise(self, size: int) -> None:
        self._quota.promise(size)
        self._promised += size

    def _give_back(self) -> None:
        promised, self._promised = self._promised, 0
        if promised:
            self._quota.give_back(promised)
