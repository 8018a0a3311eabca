"""A file that comes into being whole, or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Self

from paglets.artifacts.file_names import safe_target_filename
from paglets.persistence.directory_sync import sync_directory

if TYPE_CHECKING:
    from types import TracebackType

_PREFIX = ".paglets-"
_SUFFIX = ".part"


def target_path(target: str | os.PathLike[str], name: str) -> Path:
    """Where something of that name goes: ``target`` itself, or into it when it is a directory."""
    place = Path(target)
    return place / safe_target_filename(name) if place.is_dir() else place


class TargetFile:
    """A temporary file beside the target, which takes its place with ``complete``; else it goes when this ends.

    Raises what creating a file raises. Directories on the way are made. Blocks, so not for a loop.
    """

    def __init__(self, target: Path) -> None:
        self.target = target
        target.parent.mkdir(parents=True, exist_ok=True)
        # Short and of our own making: the target's name may be as long as names can be.
        self._path = target.parent / f"{_PREFIX}{secrets.token_hex(8)}{_SUFFIX}"
        self.descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        self._complete = False

    def write(self, data: bytes | memoryview) -> None:
        """Append."""
        view = memoryview(data)
        while view:
            view = view[os.write(self.descriptor, view) :]

    def complete(self) -> None:
        """Make the content durable, and the file the target, replacing one that is there."""
        os.fsync(self.descriptor)
        self._path.replace(self.target)
        self._complete = True
        sync_directory(self.target.parent)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self.descriptor)
        if not self._complete:
            with contextlib.suppress(FileNotFoundError):
                self._path.unlink()
