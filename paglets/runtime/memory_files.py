"""Bytes that a host and its child hand each other: inline when small, else in a sealed memory file."""

from __future__ import annotations

INLINE_LIMIT = 256 * 1024
"""Payloads of at most this many bytes travel inside a frame."""


class Payload:
    """Opaque bytes of known size, held inline or in a memory file that nobody can change any more.

    Owns its descriptor: close it, or use it as a context manager. Reading copies nothing for inline bytes.
    """

    def __init__(self, data: bytes | None, descriptor: int | None, size: int) -> None: ...

    @classmethod
    def of(cls, data: bytes) -> Payload:
        """A payload of these bytes; in a memory file when they are many."""
        ...

    @property
    def size(self) -> int: ...

    @property
    def data(self) -> bytes | None:
        """The bytes when they are held inline, else None."""
        ...

    def fileno(self) -> int:
        """The memory file's descriptor; ``ValueError`` for inline bytes. Read it with ``os.pread``."""
        ...

    def pread(self, size: int, offset: int) -> bytes:
        """Up to ``size`` bytes from ``offset``, wherever they are held. Does not move anything."""
        ...

    def read(self) -> bytes:
        """All of the bytes."""
        ...

    def duplicate(self) -> Payload:
        """A second handle on the same bytes, to be closed on its own."""
        ...

    def close(self) -> None: ...

    def __enter__(self) -> Payload: ...

    def __exit__(self, *exc: object) -> None: ...
