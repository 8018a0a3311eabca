"""Opening the one LMDB environment of a host, and LMDB's errors as the store's."""

from __future__ import annotations

import errno
import os
import secrets
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
from paglets.persistence.settings import MAP_SIZE_MINIMUM, StoreSettings, default_map_size
from paglets.persistence.tables import MAX_TABLES, SCHEMA_VERSION, Tables

if TYPE_CHECKING:
    from pathlib import Path

    from paglets.persistence.damage import DamageLog

DATA_FILE = "store.lmdb"

SCHEMA_KEY = b"schema"
COMMIT_KEY = b"commit"
STORE_ID_KEY = b"store-id"

_FULL = {errno.ENOSPC, errno.EDQUOT}
_READ_ONLY = {errno.EACCES, errno.EPERM, errno.EROFS}


def translate(error: Exception, path: object) -> StoreError:
    """The store's error for one of LMDB or of the system."""
    if isinstance(error, StoreError):
        return error
    code = _code(error)
    if isinstance(error, lmdb.MapFullError):
        return StoreMapFullError(
            f"the store in {path} has reached its map size; nothing of the failed write remains. "
            "Dispose of paglets or artifacts, or raise the map size in the settings and start again"
        )
    if code in _FULL:
        return StoreFullError(
            f"the file system of {path} is full; nothing of the failed write remains. Free some space and try again"
        )
    if code in _READ_ONLY or isinstance(error, lmdb.ReadonlyError):
        return StoreReadOnlyError(
            f"the store in {path} cannot be written ({error}); check the owner and mode of its files, "
            "and that the file system is mounted for writing"
        )
    if isinstance(error, lmdb.CorruptedError | lmdb.PageNotFoundError | lmdb.InvalidError):
        return damaged(path, str(error))
    if isinstance(error, lmdb.VersionMismatchError):
        return StoreSchemaError(
            f"the store in {path} was written in another file format ({error}); use the release that wrote it"
        )
    if isinstance(error, lmdb.PanicError):
        return StoreFailedError(
            f"a write to the store in {path} failed half-way ({error}); start the host again, and check the disk"
        )
    return StoreError(f"the store in {path} failed: {error}; check the disk and the system's log")


def damaged(path: object, reason: str) -> StoreDamagedError:
    """The error for a file whose structure is broken."""
    return StoreDamagedError(
        f"the store in {path} is damaged ({reason}); move it aside, and restore a backup or start with an empty one"
    )


def open_environment(directory: Path, settings: StoreSettings) -> lmdb.Environment:
    """Open or create the environment in a directory that is locked; errors are ``StoreError``."""
    path = directory / DATA_FILE
    size = settings.map_size or default_map_size(path.stat().st_size if path.exists() else 0)
    while True:
        try:
            return lmdb.open(
                os.fspath(path),
                map_size=size,
                subdir=False,
                mode=0o600,
                max_dbs=MAX_TABLES,
                max_spare_txns=settings.reader_threads + 1,
            )
        except (lmdb.Error, OSError) as error:
            # The address space may be short for reasons that no limit tells.
            if _code(error) == errno.ENOMEM and settings.map_size is None and size > MAP_SIZE_MINIMUM:
                size //= 2
                continue
            raise translate(error, directory) from error


def prepare(environment: lmdb.Environment, directory: Path, damage: DamageLog) -> tuple[Tables, str, int]:
    """Check the schema, or write it into a new environment: the tables, store id and commit number."""
    known = {b"numbers", b"meta"}
    found = set(environment.dbs())
    if found and not known <= found:
        raise StoreSchemaError(
            f"{directory / DATA_FILE} was not written by paglets; give the host another directory"
        )
    tables = Tables(environment, damage)
    with environment.begin(write=True) as txn:
        schema = tables.numbers.get(txn, SCHEMA_KEY)
        if schema is None:
            tables.numbers.put(txn, SCHEMA_KEY, SCHEMA_VERSION)
            tables.numbers.put(txn, COMMIT_KEY, 1)
            tables.meta.put(txn, STORE_ID_KEY, secrets.token_hex(16).encode("ascii"))
        elif schema != SCHEMA_VERSION:
            raise StoreSchemaError(
                f"the store in {directory} has schema {schema}, and this release knows {SCHEMA_VERSION}; "
                "use the release that wrote it, or a newer one"
            )
        commit = tables.numbers.get(txn, COMMIT_KEY) or 0
        store_id = (tables.meta.get(txn, STORE_ID_KEY) or b"").decode("ascii")
    return tables, store_id, commit


def _code(error: Exception) -> int:
    if isinstance(error, lmdb.Error):
        return error.code
    return error.errno or 0 if isinstance(error, OSError) else 0
