"""Bytes that a host and its child hand each other: inline when small, else in a sealed memory file."""

from __future__ import annotations

import fcntl
import os
import stat
import sys
from io import BytesIO
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import BinaryIO

INLINE_LIMIT = 256 * 1024
"""Payloads of at most this many bytes travel inside a frame."""

_SLICE = 1024 * 1024


class Payload:
    """Opaque bytes of known size, held inline or in a memory file that nobody can change any more.

    Owns its descriptor: close it, or use it as a context manager. Reading does not move anything, so that
    several may read at once.
    """

    __slots__ = ("_data", "_descriptor", "_size")

    def __init__(self, data: bytes | None, descriptor: int | None = None, size: int = 0) -> None:
        self._data = data
        self._descriptor = descriptor
        self._size = size if data is None else len(data)

    @classmethod
    def of(cls, data: bytes) -> Payload:
        """A payload of these bytes; in a memory file when they are many."""
        with PayloadWriter() as writer:
            writer.write(data)
            return writer.finish()

    @classmethod
    def received(cls, descriptor: int, size: int) -> Payload:
        """A payload from a descriptor that somebody sent, who is not trusted; the descriptor is its own then.

        ``ValueError`` for what is no memory file, can still be changed, or has another size: reading it could
        block, or give other bytes each time. The descriptor is closed then.
        """
        info = os.fstat(descriptor)
        wrong = ""
        if not stat.S_ISREG(info.st_mode) or not _is_sealed(descriptor):
            wrong = "a payload that is no sealed memory file"
        elif info.st_size != size:
            wrong = f"a payload of {info.st_size} bytes that was announced with {size}"
        if wrong:
            os.close(descriptor)
            raise ValueError(wrong)
        return cls(None, descriptor, size)

    @property
    def size(self) -> int:
        """In bytes."""
        return self._size

    @property
    def data(self) -> bytes | None:
        """The bytes when they are held inline, else None."""
        return self._data

    def fileno(self) -> int:
        """The memory file's descriptor; ``ValueError`` for inline bytes and when closed."""
        if self._descriptor is None:
            raise ValueError("this payload has no descriptor")
        return self._descriptor

    def pread(self, size: int, offset: int) -> bytes:
        """Up to ``size`` bytes from ``offset``, wherever they are held."""
        if self._data is not None:
            return self._data[offset : offset + size]
        return os.pread(self.fileno(), size, offset)

    def read(self) -> bytes:
        """All of the bytes."""
        if self._data is not None:
            return self._data
        return b"".join(iter(_Slices(self)))

    def open(self) -> BinaryIO:
        """A file to read the bytes from, from the start, with a position of its own where the system can."""
        if self._data is not None:
            return BytesIO(self._data)
        if sys.platform == "linux":  # a descriptor that was handed on shares its position with the other end
            return open(f"/proc/self/fd/{self.fileno()}", "rb")  # noqa: PTH123 - no path of anybody's
        file = os.fdopen(os.dup(self.fileno()), "rb")
        file.seek(0)
        return file

    def duplicate(self) -> Payload:
        """A second handle on the same bytes, to be closed on its own."""
        if self._data is not None:
            return Payload(self._data)
        return Payload(None, os.dup(self.fileno()), self._size)

    def close(self) -> None:
        """Let go of the descriptor; harmless when repeated."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return (
            f"<Payload of {self._size} bytes, {'inline' if self._data is not None else 'in a memory file'}>"
        )


class PayloadWriter:
    """A file to write a payload to, in order: in memory while it is small, in a memory file from then on."""

    def __init__(self) -> None:
        self._small: BytesIO | None = BytesIO()
        self._large: BinaryIO | None = None

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """Append; the number of bytes written, which is all of them."""
        if self._small is not None:
            if self._small.tell() + len(data) <= INLINE_LIMIT:
                return self._small.write(data)
            self._large = os.fdopen(_new_memory_file(), "wb")
            self._large.write(self._small.getbuffer())
            self._small = None
        if self._large is None:
            raise ValueError("this payload is finished")
        return self._large.write(data)

    def writelines(self, parts: Iterable[bytes]) -> None:
        """Append one after the other."""
        for part in parts:
            self.write(part)

    def finish(self) -> Payload:
        """What was written, as a payload; nothing can be written any more."""
        if self._small is not None:
            data, self._small = self._small.getvalue(), None
            return Payload(data)
        if self._large is None:
            raise ValueError("this payload is finished")
        self._large.flush()
        descriptor = os.dup(self._large.fileno())
        self.close()
        try:
            _seal(descriptor)
            return Payload(None, descriptor, os.fstat(descriptor).st_size)
        except BaseException:
            os.close(descriptor)
            raise

    def close(self) -> None:
        """Drop what was written and not finished; harmless when repeated."""
        self._small = None
        if self._large is not None:
            self._large.close()
            self._large = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class _Slices:
    def __init__(self, payload: Payload) -> None:
        self._payload = payload
        self._offset = 0

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        data = self._payload.pread(_SLICE, self._offset)
        if not data:
            raise StopIteration
        self._offset += len(data)
        return data


def _new_memory_file() -> int:
    if sys.platform == "linux":
        return os.memfd_create("paglets", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    import tempfile  # noqa: PLC0415 - with random numbers, whose generator each child would seed

    with tempfile.TemporaryFile() as file:  # unlinked already: as private, if not as unchangeable
        return os.dup(file.fileno())


def _seal(descriptor: int) -> None:
    if sys.platform == "linux":
        seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)


def _is_sealed(descriptor: int) -> bool:
    if sys.platform != "linux":
        return True
    wanted = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
    try:
        return fcntl.fcntl(descriptor, fcntl.F_GET_SEALS) & wanted == wanted
    except OSError:  # EINVAL: a file of another kind has no seals
        return False
