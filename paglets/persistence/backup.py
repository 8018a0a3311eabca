"""The backup of a host as one file: a tar of its store, its key and its files, with a manifest of digests at the end.

::

    store/store.lmdb      a compact copy of one moment
    host.key              the identity that others know the host by
    launch.toml           when there is one
    storage/...           what paglet classes keep on the host
    files/...             what has travelled with paglets
    manifest.json         who and when, and size and SHA-256 of every other member

The manifest comes last, so what was cut off has none. Digests tell damage, not forgery: whoever can write the
file can write the manifest.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import tarfile
import time
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any, BinaryIO, cast

import msgspec

from paglets.persistence.directory_sync import sync_directory
from paglets.persistence.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator

FORMAT = 1
MANIFEST = "manifest.json"
STORE_MEMBER = "store/store.lmdb"
KEY_MEMBER = "host.key"
_SINGLE = (KEY_MEMBER, "launch.toml")
_TREES = ("storage", "files")
_MAX_MANIFEST = 256 * 1024 * 1024
_CHUNK = 1024 * 1024


class BackupError(StoreError):
    """A backup cannot be written, or is not what was written."""


class BackedUpFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One member of a backup."""

    path: str
    size: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a backup says of itself."""

    format: int = FORMAT
    version: str
    """Release of the program that wrote it."""
    host_id: str
    host_name: str = ""
    store_id: str
    commit: int
    """The store was at least as far."""
    made_at: float
    """Wall clock, for people."""
    files: list[BackedUpFile] = []


def write_backup(target: BinaryIO, data_dir: Path, store_copy: Path, manifest: Manifest) -> Manifest:
    """Write a backup of the files of a data directory and of a copy of its store; the manifest as written. Blocks.

    Files that go meanwhile are left out. ``BackupError`` when the key is not there; ``OSError``.
    """
    files: list[BackedUpFile] = []
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, path in ((STORE_MEMBER, store_copy), *_members(data_dir)):
            added = _add(archive, name, path)
            if added is not None:
                files.append(added)
        if not {STORE_MEMBER, KEY_MEMBER} <= {each.path for each in files}:
            raise BackupError(f"there is no key of a host in {data_dir}; a backup without it is of no use")
        manifest = msgspec.structs.replace(manifest, files=files)
        # Names of files may be no Unicode; json writes such ones, msgspec does not.
        text = json.dumps(msgspec.to_builtins(manifest)).encode("ascii")
        archive.addfile(_entry(MANIFEST, len(text)), _Reader(text))
    target.flush()
    os.fsync(target.fileno())
    return manifest


def unpack_backup(source: Path, directory: Path) -> Manifest:
    """Unpack a backup into an empty directory, synced, every member checked against the manifest.

    ``BackupError`` when it is none, or damaged; what is in the directory is of no use then.
    """
    size = source.stat().st_size
    if shutil.disk_usage(directory).free < size:
        raise BackupError(f"{directory} has no room for a backup of {size} bytes")
    found: dict[str, BackedUpFile] = {}
    manifest: Manifest | None = None
    try:
        with tarfile.open(source, mode="r:") as archive:
            for member in archive:
                if manifest is not None:
                    raise _damaged(source, "there is something behind its manifest")
                content = archive.extractfile(member) if member.isreg() else None
                if content is None:
                    raise _damaged(source, f"{member.name!r} is no file")
                if member.name == MANIFEST:
                    manifest = _read_manifest(source, member, content)
                else:
                    found[member.name] = _extract(source, member, content, directory)
    except (tarfile.TarError, EOFError) as error:
        raise _damaged(source, str(error)) from None
    if manifest is None:
        raise _damaged(source, "it has no manifest, so its end is missing")
    if found != {each.path: each for each in manifest.files}:
        raise _damaged(source, "its content does not have the digests of its manifest")
    if not {STORE_MEMBER, KEY_MEMBER} <= found.keys():
        raise _damaged(source, "store or key is missing")
    for place, _, _ in os.walk(directory):
        sync_directory(Path(place))
    return manifest


def new_manifest(*, version: str, host_id: str, host_name: str, store_id: str, commit: int) -> Manifest:
    """A manifest of now, without files."""
    return Manifest(
        version=version,
        host_id=host_id,
        host_name=host_name,
        store_id=store_id,
        commit=commit,
        made_at=time.time(),
    )


# --- writing ---------------------------------------------------------------------------------------------


class _Reader(IO[bytes]):
    """Bytes, or the bytes of a file, counted and digested while they are read."""

    def __init__(self, source: bytes | BinaryIO) -> None:
        self._source = source
        self._place = 0
        self._digest = hashlib.sha256()

    def read(self, n: int = -1, /) -> bytes:
        """As a file's."""
        if isinstance(self._source, bytes):
            part = self._source[self._place :] if n < 0 else self._source[self._place : self._place + n]
            self._place += len(part)
        else:
            part = self._source.read(n)
        self._digest.update(part)
        return part

    @property
    def sha256(self) -> str:
        """Of what was read."""
        return self._digest.hexdigest()


def _members(data_dir: Path) -> Iterator[tuple[str, Path]]:
    for name in _SINGLE:
        yield name, data_dir / name
    for tree in _TREES:
        for place, directories, names in os.walk(data_dir / tree):
            directories.sort()
            for name in sorted(names):
                path = Path(place) / name
                yield path.relative_to(data_dir).as_posix(), path


def _add(archive: tarfile.TarFile, name: str, path: Path) -> BackedUpFile | None:
    """Add a regular file; None when there is none by now."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0) | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError:
        if path.is_symlink():
            return None  # leads to what is not the host's
        raise
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return None
        reader = _Reader(cast("BinaryIO", file))
        archive.addfile(_entry(name, status.st_size, status.st_mtime), reader)
        return BackedUpFile(name, status.st_size, reader.sha256)


def _entry(name: str, size: int, mtime: float = 0.0) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mtime, entry.mode = size, int(mtime), 0o600
    return entry


# --- reading ---------------------------------------------------------------------------------------------


def _extract(source: Path, member: tarfile.TarInfo, content: IO[bytes], directory: Path) -> BackedUpFile:
    parts = PurePosixPath(member.name).parts
    allowed = member.name in {STORE_MEMBER, *_SINGLE} or (len(parts) > 1 and parts[0] in _TREES)
    if not allowed or ".." in parts or "\0" in member.name:
        raise _damaged(source, f"{member.name!r} is nothing that belongs into one")
    path = directory.joinpath(*parts)
    for place in reversed([path.parent, *path.parent.parents]):
        if place.is_relative_to(directory):
            place.mkdir(mode=0o700, exist_ok=True)
    digest, size = hashlib.sha256(), 0
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise _damaged(source, f"{member.name!r} is in it twice") from None
    with os.fdopen(descriptor, "wb") as file:
        while chunk := content.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
            file.write(chunk)
        file.flush()
        os.fsync(descriptor)
    return BackedUpFile(member.name, size, digest.hexdigest())


def _read_manifest(source: Path, member: tarfile.TarInfo, content: IO[bytes]) -> Manifest:
    if member.size > _MAX_MANIFEST:
        raise _damaged(source, "its manifest is too large")
    try:
        plain: Any = json.loads(content.read())
        if isinstance(plain, dict) and cast("dict[str, Any]", plain).get("format") != FORMAT:
            raise BackupError(f"{source} was written by a newer release; restore it with that one")
        return msgspec.convert(plain, Manifest)
    except (ValueError, msgspec.ValidationError) as error:
        raise _damaged(source, f"its manifest cannot be read: {error}") from None


def _damaged(source: Path, why: str) -> BackupError:
    return BackupError(f"{source} is no backup, or is damaged: {why}; use another one")
