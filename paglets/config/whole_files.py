"""Writes files whole or not at all."""

from __future__ import annotations

import os
import stat
import sys
from typing import TYPE_CHECKING

from paglets.core.errors import HostError

if TYPE_CHECKING:
    from pathlib import Path

_NEW_FILE_MODE = 0o644  # less what the umask takes away


def write_whole(path: Path, data: bytes) -> None:
    """Put ``data`` in the place of ``path``, on the disk when this returns; the mode of a former file stays.

    Directories that are missing are made. ``HostError`` when it cannot be written; then nothing has changed.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.urandom(6).hex()}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _NEW_FILE_MODE)
        try:
            _fill(descriptor, data, path.stat().st_mode if path.exists() else None)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync_directory(path.parent)
    except OSError as error:
        raise HostError(f"{path} cannot be written: {error.strerror or error}") from error


def write_beside(path: Path, data: bytes, ending: str) -> Path:
    """Write ``data`` to a file beside ``path`` that was not there: its name and ``ending``, and a number if need be.

    It gets the mode of ``path``. ``HostError`` when it cannot be written.
    """
    try:
        for number in range(1000):
            backup = path.with_name(f"{path.name}{ending}{f'.{number}' if number else ''}")
            try:
                descriptor = os.open(backup, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            except FileExistsError:
                continue
            try:
                _fill(descriptor, data, path.stat().st_mode)
            except BaseException:
                backup.unlink(missing_ok=True)
                raise
            _sync_directory(path.parent)
            return backup
    except OSError as error:
        raise HostError(f"a copy of {path} cannot be kept beside it: {error.strerror or error}") from error
    raise HostError(f"there are too many copies of {path} beside it; remove those that nobody needs")


def _fill(descriptor: int, data: bytes, mode: int | None) -> None:
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        if sys.platform != "win32" and mode is not None:
            os.fchmod(file.fileno(), stat.S_IMODE(mode))
        os.fsync(file.fileno())


def _sync_directory(path: Path) -> None:
    if sys.platform == "win32":
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
