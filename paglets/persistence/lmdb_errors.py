"""LMDB's and the system's errors as the store's, each with what to do."""

from __future__ import annotations

import errno
import shutil
from typing import TYPE_CHECKING

import lmdb

from paglets.persistence.errors import (
    StoreDamagedError,
    StoreError,
    StoreFailedError,
    StoreFullError,
    StoreMapFullError,
    StoreReadOnlyError,
    StoreSchemaError,
)

if TYPE_CHECKING:
    from pathlib import Path

_FULL = {errno.ENOSPC, errno.EDQUOT}
_READ_ONLY = {errno.EACCES, errno.EPERM, errno.EROFS}
_FULL_BELOW = 1024 * 1024
_DAMAGED = (lmdb.CorruptedError, lmdb.PageNotFoundError, lmdb.InvalidError)
_REPLACE = "move it aside, and restore a backup or start with an empty one"


def translate(error: Exception, path: Path) -> StoreError:
    """The store's error for one of LMDB or of the system; a new one each time, so that traces stay apart."""
    if isinstance(error, StoreError):
        return type(error)(*error.args)
    kind, sentence = _explain(error, path)
    return kind(f"the store in {path} {sentence}")


def error_code(error: Exception) -> int:
    """The ``errno`` in an error, or LMDB's own code."""
    if isinstance(error, lmdb.Error):
        return error.code
    return error.errno or 0 if isinstance(error, OSError) else 0


def damaged(path: Path, reason: str) -> StoreDamagedError:
    """The error for a file whose structure is broken."""
    return StoreDamagedError(f"the store in {path} is damaged ({reason}); {_REPLACE}")


_FULL_SENTENCE = (
    "found its file system full; nothing of the failed write remains. Free some space and try again"
)
_SENTENCES: list[tuple[type[lmdb.Error], type[StoreError], str]] = [
    (
        lmdb.MapFullError,
        StoreMapFullError,
        (
            "has reached its map size, and nothing of the failed write remains; "
            "dispose of paglets or artifacts, or raise the map size in the settings and start again"
        ),
    ),
    (
        lmdb.VersionMismatchError,
        StoreSchemaError,
        "was written in another file format ({}); start the release that wrote it",
    ),
    (
        lmdb.PanicError,
        StoreFailedError,
        "failed half-way in a write ({}); check the disk, and start the host again",
    ),
]


def _explain(error: Exception, path: Path) -> tuple[type[StoreError], str]:
    for kind, translated, sentence in _SENTENCES:
        if isinstance(error, kind):
            return translated, sentence.format(error)
    code = error_code(error)
    if code in _FULL or (code == errno.EIO and _is_full(path)):
        return StoreFullError, _FULL_SENTENCE
    if code in _READ_ONLY or isinstance(error, lmdb.ReadonlyError):
        return StoreReadOnlyError, (
            f"cannot be written ({_reason(error)}); check the owner and mode of its files, and that the file "
            "system is mounted for writing, and start the host again"
        )
    if isinstance(error, _DAMAGED):
        return StoreDamagedError, f"is damaged ({error}); {_REPLACE}"
    return StoreError, f"failed: {_reason(error)}; check the disk and the system's log"


def _reason(error: Exception) -> str:
    """What the system says, without the number and the name of the file."""
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)


def _is_full(path: Path) -> bool:
    """LMDB calls a write that ended half-way, because the disk was full then, an input/output error."""
    try:
        return shutil.disk_usage(path).free < _FULL_BELOW
    except OSError:
        return False
