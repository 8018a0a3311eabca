"""The ends of a transfer on this machine: open files, read, written and hashed off the loop."""

from __future__ import annotations

import asyncio
import hashlib
import os

from paglets.core.errors import TransferError

BLOCK = 1024 * 1024
MOST_PARTS = 256
"""Of a block, which the system writes in one step; usually there are four, or eight."""


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
    """An open file that content is written to from its start. The descriptor stays the caller's.

    Writing and hashing take about as long as each other, so they are two steps that may run beside each other. Every
    byte is hashed once, in order, and written once: what was hashed and could not be written ends the transfer.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._hash = hashlib.sha256()
        self._hashed = 0
        self._written = 0
        self._failure: OSError | None = None

    @property
    def received(self) -> int:
        """Bytes from the start that are written and hashed."""
        return min(self._written, self._hashed)

    def require_sound(self) -> None:
        """``OSError`` when something could not be written or synced: nothing goes on then, whatever else went wrong.

        ``TransferError`` when not all of what was hashed is written, for whatever reason.
        """
        if self._failure is not None:
            raise self._failure
        if self._written != self._hashed:
            raise TransferError(f"{self._hashed} bytes came, and {self._written} are written; fetch it again")

    def write(self, parts: list[bytes]) -> None:
        """Append to the file; blocks."""
        views = [memoryview(part) for part in parts]
        try:
            while views:
                written = os.pwritev(self._descriptor, views[:MOST_PARTS], self._written)
                self._written += written
                while views and written >= len(views[0]):
                    written -= len(views.pop(0))
                if views:
                    views[0] = views[0][written:]
        except OSError as error:
            self._failure = error
            raise

    def hash(self, parts: list[bytes]) -> None:
        """Hash what comes next; takes a while."""
        for part in parts:
            self._hash.update(part)
            self._hashed += len(part)

    def sync(self) -> None:
        """Have what is written so far on the disk; blocks. Done on the way, the last sync has little left to do."""
        try:
            os.fdatasync(self._descriptor)
        except OSError as error:  # which the system tells once
            self._failure = error
            raise

    @property
    def digest(self) -> bytes:
        """SHA-256 of what came."""
        return self._hash.digest()
