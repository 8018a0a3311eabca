"""Files on one host: looking at them, and copies that are whole or not there at all."""

from __future__ import annotations

import os
import secrets
import shutil
import stat
from pathlib import Path

from paglets.patterns.file_transfers import FileTransferEndpoint, FileTransferSource


def stat_source(path: str, *, host_name: str, host_url: str) -> FileTransferSource:
    """A file as it is now.

    ``FileNotFoundError`` when it is not there, ``ValueError`` for what is no regular file, else ``OSError``.
    """
    if not path:
        raise ValueError("a file transfer needs the path of its source")
    place = Path(path).expanduser().absolute()
    info = place.stat()
    if not stat.S_ISREG(info.st_mode):
        raise ValueError(f"{place} is no regular file; only those can be transferred")
    return FileTransferSource(
        endpoint=FileTransferEndpoint(host_name, host_url, str(place), info.st_ctime, info.st_mtime),
        file_name=place.name,
        size_bytes=info.st_size,
        permissions=stat.S_IMODE(info.st_mode),
        device=info.st_dev,
        inode=info.st_ino,
        modified_ns=info.st_mtime_ns,
    )


def destination_of(path: str, file_name: str) -> Path:
    """The file that a destination means: a directory takes the file's name. Relative to the working directory."""
    place = Path(path).expanduser().absolute()
    return place / file_name if path.endswith("/") or place.is_dir() else place


def copy_file(source: Path, destination: Path, *, overwrite: bool, permissions: int | None = None) -> None:
    """Copy a file's content and times; durable when this returns, and until then nothing is at ``destination``.

    Directories on the way are made. ``FileExistsError`` when something is there and may not be replaced, also
    when it came between; ``ValueError`` for a file onto itself; else ``OSError``.
    """
    _check_free(source, destination, overwrite=overwrite)
    destination.parent.mkdir(parents=True, exist_ok=True)
    # Short and of our own making: the destination's name may be as long as names can be.
    part = destination.parent / f".paglets-{secrets.token_hex(8)}.part"
    try:
        with source.open("rb") as origin, part.open("xb") as copy:
            shutil.copyfileobj(origin, copy, 1024 * 1024)
            copy.flush()
            info = os.fstat(origin.fileno())
            os.fchmod(copy.fileno(), stat.S_IMODE(info.st_mode) if permissions is None else permissions)
            os.utime(copy.fileno(), ns=(info.st_atime_ns, info.st_mtime_ns))
            os.fsync(copy.fileno())
        _put(part, destination, overwrite=overwrite)
    finally:
        part.unlink(missing_ok=True)
    directory = os.open(destination.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _check_free(source: Path, destination: Path, *, overwrite: bool) -> None:
    if not os.path.lexists(destination):
        return
    if destination.exists() and destination.samefile(source):
        raise ValueError(f"source and destination are the same file: {destination}")
    if not overwrite:
        raise _exists(destination)


def _put(part: Path, destination: Path, *, overwrite: bool) -> None:
    if overwrite:
        part.replace(destination)
        return
    try:
        # Unlike a rename, a link never replaces what somebody has put there meanwhile.
        destination.hardlink_to(part)
    except FileExistsError:
        raise _exists(destination) from None
    except OSError:
        # A file system without links: take the name first, which fails the same way, then replace what is ours.
        try:
            destination.touch(exist_ok=False)
        except FileExistsError:
            raise _exists(destination) from None
        part.replace(destination)


def _exists(destination: Path) -> FileExistsError:
    return FileExistsError(f"destination already exists: {destination}")
