"""A payload as it arrives: written towards the store, which hashes it, and at hand for the child, in one pass."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

from paglets.core.errors import HostError
from paglets.runtime.memory_files import INLINE_LIMIT, PayloadWriter

if TYPE_CHECKING:
    from paglets.persistence.blobs import BlobWriter, StagedBlob
    from paglets.persistence.store import Store
    from paglets.runtime.memory_files import Payload


_AT_ONCE = 4
"""Chunks that are written to the file together: each time costs a visit to another thread."""


class IncomingPayload:
    """Collects one payload; what did not go into a commit when the context ends is dropped.

    Small ones are kept in memory, large ones in a memory file; nothing is durable before the commit that
    adopts ``staged()``.
    """

    def __init__(self, store: Store, expected: int) -> None:
        self.size = 0
        self._store = store
        self._large = expected > INLINE_LIMIT
        self._file = PayloadWriter()
        self._waiting: list[bytes] = []
        """What is still to be written to the file."""
        self._writer: BlobWriter | None = None
        self._staged: StagedBlob | None = None
        self._payload: Payload | None = None

    async def __aenter__(self) -> Self:
        self._writer = await self._store.stage()
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._file.close()
        if self._payload is not None:
            self._payload.close()
        if self._staged is not None:
            await self._staged.discard()  # nothing, once it went into a commit
        elif self._writer is not None:
            await self._writer.discard()

    async def write(self, chunk: bytes) -> None:
        """Take the next bytes."""
        if self._writer is None:
            raise HostError("the payload was not opened")
        self.size += len(chunk)
        self._waiting.append(chunk)
        if not self._large or len(self._waiting) >= _AT_ONCE:
            await self._absorb()
        await self._writer.write(chunk)

    async def _absorb(self) -> None:
        parts, self._waiting = self._waiting, []
        if self._large:
            await asyncio.to_thread(self._file.writelines, parts)
        else:
            self._file.writelines(parts)

    async def digest(self) -> bytes:
        """SHA-256 of it; nothing more may come."""
        if self._writer is None:
            raise HostError("the payload was not opened")
        await self._absorb()
        return (await self._writer.seal()).digest

    async def payload(self) -> Payload:
        """All of it, for the child; stays this object's to close."""
        if self._payload is None:
            await self._absorb()
            self._payload = self._file.finish()
        return self._payload

    async def staged(self) -> StagedBlob:
        """All of it, for the store; the caller commits or discards it."""
        if self._writer is None:
            raise HostError("the payload was not opened")
        if self._staged is None:
            self._staged = await self._writer.finish()
        return self._staged
