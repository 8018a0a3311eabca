"""Opening the one LMDB environment of a host."""

from __future__ import annotations

import errno
import logging
import os
import secrets
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

import lmdb

from paglets.persistence.agenda import Agenda
from paglets.persistence.damage import DamageLog
from paglets.persistence.directory_lock import DirectoryLock
from paglets.persistence.directory_sync import sync_directory
from paglets.persistence.errors import StoreError, StoreSchemaError
from paglets.persistence.lmdb_errors import damaged, error_code, translate
from paglets.persistence.message_queue import MessageQueue
from paglets.persistence.phase_counts import repair_counts
from paglets.persistence.settings import MAP_SIZE_MINIMUM, StoreSettings, default_map_size
from paglets.persistence.tables import MAX_TABLES, SCHEMA_VERSION, Tables
from paglets.persistence.verification import compare_heads, is_quick, is_too_short, verify

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger(__name__)

DATA_FILE = "store.lmdb"
LOCK_FILE = "store.lock"

SCHEMA_KEY = b"schema"
COMMIT_KEY = b"commit"
TRANSACTION_KEY = b"transaction"
"""LMDB's own number of the last commit. When the file's head has another one, it leads somewhere else."""
_WITHOUT_AGENDA = 1
"""The schema before the agenda, which is made from the records when it is not there."""
STORE_ID_KEY = b"store-id"


@dataclass(frozen=True, slots=True)
class OpenedStore:
    """An open environment and all that belongs to it."""

    directory: Path
    settings: StoreSettings
    environment: lmdb.Environment
    tables: Tables
    damage: DamageLog
    store_id: str
    commit_number: int
    """At opening."""
    lock: DirectoryLock
    unwritable: StoreError | None = None
    """Why it was opened to be read only, if it was."""

    def require_space(self, size: int) -> None:
        """``StoreFullError`` when so many bytes more do not fit into the map or onto the disk."""
        with self.environment.begin() as txn:
            used = self.tables.used_bytes(txn)
        if used + size > self.environment.info()["map_size"]:
            raise translate(lmdb.MapFullError("no room"), self.directory)
        if shutil.disk_usage(self.directory).free < size:
            raise translate(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), self.directory)

    def close(self) -> None:
        """Close the environment and free its directory. No transaction may be open."""
        self.environment.close()
        self.lock.release(clean=True)


def open_store(directory: Path, settings: StoreSettings, *, read_only: bool = False) -> OpenedStore:
    """Open or create the store in a directory, locked against others; errors are ``StoreError``.

    ``read_only``: one on a disk that cannot be written is opened all the same.
    """
    try:
        # The names of what is created here are synced too, or a power cut could take the whole store.
        unsynced = [place.parent for place in (directory, *directory.parents) if not place.exists()]
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = DirectoryLock(directory / LOCK_FILE)
    except OSError as error:
        raise translate(error, directory) from error
    environment = None
    try:
        path = directory / DATA_FILE
        if not path.exists():
            _create(directory, settings, lock)
        else:
            compare_heads(path)
            if lock.left_behind:
                verify(path)
        unwritable = _why_unwritable(path) if path.exists() else None
        if unwritable is not None and not read_only:
            raise unwritable
        environment = _open_environment(path, settings, read_only=unwritable is not None)
        if is_too_short(environment, path):
            verify(path)  # before anything is read from pages that may not be there
        if quick := is_quick(environment):
            verify(path)
        opened = _open_tables(environment, directory, settings, lock, unwritable)
        if quick:
            with environment.begin() as txn:
                opened.tables.look_at_all(txn)
        for place in unsynced:
            sync_directory(place)
    except BaseException as error:
        if environment is not None:
            environment.close()
        lock.release()
        if isinstance(error, lmdb.Error | OSError):
            raise translate(error, directory) from error
        raise
    return opened


def _create(directory: Path, settings: StoreSettings, lock: DirectoryLock) -> None:
    """Make a new store under another name: a power cut meanwhile leaves none, rather than one that is damaged."""
    unfinished = directory / f"{DATA_FILE}.new"
    left = [unfinished, directory / f"{unfinished.name}-lock"]
    for path in left:
        path.unlink(missing_ok=True)
    environment = _open_environment(unfinished, settings, read_only=False)
    try:
        _open_tables(environment, directory, settings, lock, None)
    finally:
        environment.close()
    left[1].unlink(missing_ok=True)
    unfinished.replace(directory / DATA_FILE)
    sync_directory(directory)


def _why_unwritable(path: Path) -> StoreError | None:
    """Asks the system, since a file may be opened for reading on any disk."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        if error.errno not in {errno.EROFS, errno.EACCES, errno.EPERM}:
            raise
        return translate(error, path.parent)
    return None


def _open_environment(path: Path, settings: StoreSettings, *, read_only: bool) -> lmdb.Environment:
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
                readonly=read_only,
                lock=not read_only,  # nobody writes, and LMDB's own lock file cannot be
            )
        except lmdb.Error as error:
            # The address space may be short for reasons that no limit tells.
            if error_code(error) != errno.ENOMEM or settings.map_size is not None or size <= MAP_SIZE_MINIMUM:
                raise
            size //= 2


def _open_tables(
    environment: lmdb.Environment,
    directory: Path,
    settings: StoreSettings,
    lock: DirectoryLock,
    unwritable: StoreError | None,
) -> OpenedStore:
    """Check the schema, or write it into a new environment: whole, or not at all."""
    found = environment.dbs()
    if found and not {b"numbers", b"meta"} <= set(found):
        raise StoreSchemaError(
            f"{directory / DATA_FILE} was not written by paglets; give the host a directory of its own"
        )
    damage = DamageLog()
    last = environment.info()["last_txnid"]
    with environment.begin(write=unwritable is None) as txn:
        tables = _tables(environment, damage, txn, directory)
        schema = tables.numbers.get(txn, SCHEMA_KEY)
        if schema not in {None, _WITHOUT_AGENDA, SCHEMA_VERSION}:
            raise StoreSchemaError(_other_schema(directory, schema))
        noted = tables.numbers.get(txn, TRANSACTION_KEY)
        # A compact copy counts from 1 again.
        if noted not in {None, last} and last != 1:
            raise damaged(directory, f"its head is of commit {last} and leads to commit {noted}")
        if unwritable is None:
            changed = noted != last or len(environment.dbs(txn)) != len(found)
            if _bring_up_to_date(txn, tables, damage, schema) or changed:
                tables.numbers.put(txn, TRANSACTION_KEY, txn.id())
        elif schema != SCHEMA_VERSION:
            raise unwritable
        commit = tables.numbers.get(txn, COMMIT_KEY)
        store_id = tables.meta.get(txn, STORE_ID_KEY)
        if commit is None or store_id is None:
            raise damaged(directory, "its number or its id is gone")
        if unwritable is not None:
            tables.remember_quarantined(txn, damage)
    return OpenedStore(
        directory, settings, environment, tables, damage, store_id.decode("ascii"), commit, lock, unwritable
    )


def _tables(
    environment: lmdb.Environment, damage: DamageLog, txn: lmdb.Transaction[bytes], directory: Path
) -> Tables:
    try:
        return Tables(environment, damage, txn)
    except (lmdb.NotFoundError, lmdb.ReadonlyError) as error:
        raise translate(
            OSError(errno.EROFS, f"and it lacks a table of this release: {error}"), directory
        ) from error


def _bring_up_to_date(
    txn: lmdb.Transaction[bytes], tables: Tables, damage: DamageLog, schema: int | None
) -> bool:
    """Write what is new, of an earlier schema, or can be made anew from the rest; whether anything was."""
    if schema != SCHEMA_VERSION:
        tables.numbers.put(txn, SCHEMA_KEY, SCHEMA_VERSION)
    if schema is None:
        tables.numbers.put(txn, COMMIT_KEY, 1)
        tables.meta.put(txn, STORE_ID_KEY, secrets.token_hex(16).encode("ascii"))
    tables.remember_quarantined(txn, damage)
    written = repair_counts(txn, tables, damage)
    if Agenda(txn, tables).repair(damage, MessageQueue(txn, tables).has_messages):
        written = True
        if schema is not None:
            log.warning("the store's agenda was made anew from its records")
    return written or schema != SCHEMA_VERSION


def _other_schema(directory: Path, schema: int | None) -> str:
    known = f"the store in {directory} has schema {schema}, and this release knows {SCHEMA_VERSION}"
    if schema is not None and schema > SCHEMA_VERSION:
        return f"{known}; it was left alone. Start the newer release that wrote it"
    return f"{known}; it was left alone. Start the release that wrote it, and back the host up there"
