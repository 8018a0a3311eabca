"""Files that a paglet class keeps on a host: in one directory, within a quota, each written whole."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePath, PureWindowsPath
from typing import TYPE_CHECKING

from paglets.core.errors import StorageQuotaError
from paglets.persistence.directory_lock import wait_for_directory
from paglets.persistence.directory_sync import sync_directory

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = [
    "DEFAULT_PERSISTENT_STORAGE_QUOTA_BYTES",
    "ManagedStorage",
    "StorageQuotaError",
    "StorageStatus",
]

DEFAULT_PERSISTENT_STORAGE_QUOTA_BYTES = 10 * 1024 * 1024

_TEMPORARY = ".paglets-writing-"


@dataclass(frozen=True, slots=True)
class StorageStatus:
    """How full a storage is. Sizes are bytes of file content."""

    root: Path
    used_bytes: int
    quota_bytes: int
    available_bytes: int


class ManagedStorage:
    """Reads and writes files by their path relative to ``root``, which is created if need be.

    A path that is empty, absolute, has ``..`` in it, or leads out of the root over a symbolic link is a
    ``ValueError``. May be used from any thread, and by several processes at the same time.
    """

    def __init__(
        self, root: str | os.PathLike[str], *, quota_bytes: int = DEFAULT_PERSISTENT_STORAGE_QUOTA_BYTES
    ) -> None:
        if quota_bytes < 0:
            raise ValueError(f"a quota is 0 or more bytes, not {quota_bytes}")
        directory = Path(root)
        directory.mkdir(parents=True, exist_ok=True)
        self.root = directory.resolve()
        self.quota_bytes = quota_bytes
        self._lock = threading.Lock()

    def read_bytes(self, path: str | os.PathLike[str]) -> bytes:
        """The content of a file; ``FileNotFoundError`` when there is none."""
        return self._inside(path).read_bytes()

    def read_text(self, path: str | os.PathLike[str]) -> str:
        """The content of a file as UTF-8 text."""
        return self.read_bytes(path).decode("utf-8")

    def write_bytes(self, path: str | os.PathLike[str], data: bytes | bytearray | memoryview) -> int:
        """Replace or create a file, durably and all at once; the number of bytes in it.

        ``StorageQuotaError``, and nothing changed, when the quota would be exceeded.
        """
        size = memoryview(data).nbytes
        with self._exclusive():
            target = self._inside(path)
            used = self._used()
            wanted = used - _size(target) + size
            if wanted > self.quota_bytes:
                raise StorageQuotaError(
                    f"{target.relative_to(self.root)} with {size} bytes would bring {self.root} to {wanted} "
                    f"bytes, and its quota is {self.quota_bytes}; delete something, or ask for more"
                )
            self._replace(target, data)
        return size

    def write_text(self, path: str | os.PathLike[str], text: str) -> int:
        """``write_bytes`` of the text as UTF-8; the number of bytes in it."""
        return self.write_bytes(path, text.encode("utf-8"))

    def delete(self, path: str | os.PathLike[str]) -> bool:
        """Delete a file, or a directory with all that is in it; whether there was one."""
        with self._exclusive():
            return _remove(self._inside(path))

    def clear(self) -> None:
        """Delete everything; the root stays."""
        with self._exclusive():
            for entry in self.root.iterdir():
                _remove(entry)

    def status(self) -> StorageStatus:
        """How full it is now."""
        with self._exclusive():
            used = self._used()
        return StorageStatus(self.root, used, self.quota_bytes, max(0, self.quota_bytes - used))

    @contextmanager
    def _exclusive(self) -> Generator[None]:
        """Keep other threads and processes from changing what the quota is counted from."""
        with self._lock, wait_for_directory(self.root):
            yield

    def _inside(self, path: str | os.PathLike[str]) -> Path:
        """The place of a path below the root, its parents resolved; ``ValueError`` if it is elsewhere."""
        text = os.fspath(path)
        parts = PurePath(text).parts
        escapes = PurePath(text).is_absolute() or PureWindowsPath(text).drive or ".." in parts
        if not parts or escapes or "\0" in text or any(part.startswith(_TEMPORARY) for part in parts):
            raise ValueError(f"{text!r} is no path inside a storage; give one relative to its root")
        place = (self.root / text).parent.resolve() / parts[-1]
        # The last part may be a link too, which a read would follow.
        if not (place.is_relative_to(self.root) and place.resolve().is_relative_to(self.root)):
            raise ValueError(f"{text!r} leads out of the storage over a symbolic link")
        return place

    def _used(self) -> int:
        """Bytes in all files; what an interrupted write left is deleted. Only under the lock."""
        total = 0
        for parent, _, names in os.walk(self.root):
            for name in names:
                file = Path(parent, name)
                if name.startswith(_TEMPORARY):
                    file.unlink(missing_ok=True)
                else:
                    total += _size(file)
        return total

    def _replace(self, target: Path, data: bytes | bytearray | memoryview) -> None:
        import tempfile  # noqa: PLC0415 - it loads random numbers, whose generator each child would have to seed

        created = [parent for parent in target.parents if not parent.exists()]
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=_TEMPORARY, dir=target.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(target)
        except BaseException:
            with suppress(FileNotFoundError):
                Path(name).unlink()
            raise
        for directory in {target.parent, *(parent.parent for parent in created)}:
            sync_directory(directory)


def _size(file: Path) -> int:
    try:
        return file.lstat().st_size
    except FileNotFoundError:
        return 0


def _remove(place: Path) -> bool:
    if place.is_dir() and not place.is_symlink():
        import shutil  # noqa: PLC0415 - few children store anything, and all load this module

        shutil.rmtree(place)
        return True
    try:
        place.unlink()
    except FileNotFoundError:
        return False
    return True
