"""The ends of a transfer on this machine: open files, read, written and hashed off the loop."""

from __future__ import annotations

import asyncio
import hashlib
import os

from paglets.core.errors import TransferError

BLOCK = 1024 * 1024


class FileSource:
    """An open file that is sent from its start to the size it has now; every byte is hashed once, in order.

    The descriptor stays the caller's.
    """

    def __init__(self, descriptor: int) -> None:
        self.size = os.fstat(descriptor).st_size
        self._descriptor = descriptor
        self._hash = hashlib.sha256()
        self._hashed = 0

    async def read(self, offset: int) -> bytes:
        """The next bytes from an offset on; ``TransferError`` when the file has become shorter."""
        return await asyncio.to_thread(self._read, offset)

    async def skip_to(self, offset: int) -> None:
        """The receiver has what comes before: only hash it."""
        while self._hashed < offset:
            await self.read(self._hashed)

    @property
    def digest(self) -> bytes:
        """SHA-256 of what was read."""
        return self._hash.digest()

    def _read(self, offset: int) -> bytes:
        wanted = min(BLOCK, self.size - offset)
        data = os.pread(self._descriptor, wanted, offset)
        if not data and wanted:
            raise TransferError(
                f"the file has become shorter while it was sent: {offset} of {self.size} bytes"
            )
        if offset <= self._hashed < offset + len(data):
            self._hash.update(memoryview(data)[self._hashed - offset :])
            self._hashed = offset + len(data)
        return data


class FileSink:
    """An open file that content is written to from its start. The descriptor stays the caller's."""

    def __init__(self, descriptor: int) -> None:
        self.received = 0
        self._descriptor = descriptor
        self._hash = hashlib.sha256()

    def write(self, parts: list[bytes]) -> None:
        """Append; blocks."""
        data = b"".join(parts)  # a copy costs less than handing the interpreter to and fro for each part
        self._hash.update(data)
        view = memoryview(data)
        while view:
            written = os.pwrite(self._descriptor, view, self.received)
            self.received += written
            view = view[written:]

    def sync(self) -> None:
        """Have what is written so far on the disk; blocks. Done on the way, the last sync has little left to do."""
        os.fdatasync(self._descriptor)

    @property
    def digest(self) -> bytes:
        """SHA-256 of what came."""
        return self._hash.digest()
