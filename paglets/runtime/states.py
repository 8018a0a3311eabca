"""Brings states from children into the store and back; the host never opens them."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO, cast

from paglets.core.errors import HostError
from paglets.runtime.memory_files import INLINE_LIMIT, Payload, PayloadWriter

if TYPE_CHECKING:
    from paglets.persistence.blobs import StagedBlob
    from paglets.persistence.records import BlobRef
    from paglets.persistence.store import Store


class States:
    """States as payloads (for children) and as blobs (for the store)."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def stage(self, payload: Payload) -> StagedBlob:
        """Write a payload towards the store; it becomes durable with the commit that names it."""
        if payload.data is not None:
            return await self._store.stage_bytes(payload.data)
        return await self._store.stage_file(payload.fileno(), payload.size)

    async def load(self, ref: BlobRef) -> Payload:
        """A stored state as a payload, its digest checked. The caller closes it.

        ``HostError`` when it cannot be read, or the system has no memory or descriptors for it.
        """
        try:
            return await self._load(ref)
        except OSError as error:
            raise HostError(f"a stored state of {ref.size} bytes could not be loaded: {error}") from error

    async def _load(self, ref: BlobRef) -> Payload:
        if ref.size <= INLINE_LIMIT:
            return Payload.of(await self._store.read_small(ref))
        with PayloadWriter() as writer:
            await self._store.read_blob_into(ref, cast("BinaryIO", writer))  # which does nothing but write
            return writer.finish()
