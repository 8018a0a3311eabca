"""The messages of FUSE that a small file system needs (linux/fuse.h, protocol 7.31), packed and unpacked."""

from __future__ import annotations

import ctypes
import os
import struct
from enum import IntEnum
from typing import NamedTuple

HEADER = struct.Struct("=IIQQIIIHH")
_REPLY = struct.Struct("=IiQ")
_ATTR = struct.Struct("=6Q10I")
_ENTRY = struct.Struct("=4Q2I")
_ATTR_OUT = struct.Struct("=QII")
_OPENED = struct.Struct("=QII")
_INIT = struct.Struct("=4I2H2I2H8I")
_STATFS = struct.Struct("=5Q4I6I")
_ENTRY_IN_DIRECTORY = struct.Struct("=2Q2I")
SETATTR = struct.Struct("=IIQQQQQQ3I5I")
TRANSFER = struct.Struct("=QQIIQII")
"""The beginning of READ, READDIR and WRITE: file, offset, size, flags, owner, flags."""

MAX_WRITE = 1024 * 1024
BUFFER = MAX_WRITE + 4096
ROOT = 1
_FOREVER = 86400
_KEEP_CACHE = 2
_BIG_WRITES, _MAX_PAGES = 1 << 5, 1 << 22
MODE, SIZE = 1, 8
"""Bits of SETATTR: what is set."""


class Op(IntEnum):
    """What the kernel asks for."""

    LOOKUP = 1
    FORGET = 2
    GETATTR = 3
    SETATTR = 4
    MKDIR = 9
    UNLINK = 10
    RMDIR = 11
    RENAME = 12
    LINK = 13
    OPEN = 14
    READ = 15
    WRITE = 16
    STATFS = 17
    RELEASE = 18
    FSYNC = 20
    INIT = 26
    OPENDIR = 27
    READDIR = 28
    RELEASEDIR = 29
    FSYNCDIR = 30
    CREATE = 35
    INTERRUPT = 36
    BATCH_FORGET = 42
    RENAME2 = 45


SILENT = {Op.FORGET, Op.BATCH_FORGET, Op.INTERRUPT}


class Attributes(NamedTuple):
    """What the kernel is told of a file or directory."""

    node: int
    size: int
    mode: int
    links: int

    def pack(self) -> bytes:
        """As ``fuse_attr``."""
        blocks = (self.size + 511) // 512
        return _ATTR.pack(
            self.node, self.size, blocks, 0, 0, 0, 0, 0, 0, self.mode, self.links,
            os.getuid(), os.getgid(), 0, 4096, 0,
        )  # fmt: skip


def mount(place: str) -> int:
    """Mount at a directory; the descriptor that requests come from. ``OSError`` when that may not be."""
    descriptor = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    options = (
        f"fd={descriptor},rootmode=40000,user_id={os.getuid()},group_id={os.getgid()},max_read={MAX_WRITE}"
    )
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"paglets-test", place.encode(), b"fuse", 6, options.encode()) != 0:  # nosuid, nodev
        os.close(descriptor)
        raise OSError(ctypes.get_errno(), f"mount: {os.strerror(ctypes.get_errno())}", place)
    return descriptor


def unmount(place: str) -> None:
    """Take it away, whoever uses it."""
    ctypes.CDLL(None).umount2(place.encode(), 2)  # MNT_DETACH


def reply(unique: int, body: bytes = b"", error: int = 0) -> bytes:
    """An answer, or an error."""
    return _REPLY.pack(_REPLY.size + len(body), -error, unique) + body


def init() -> bytes:
    """What this file system can do."""
    return _INIT.pack(
        7, 31, MAX_WRITE, _BIG_WRITES | _MAX_PAGES, 16, 12, MAX_WRITE, 1, MAX_WRITE // 4096, *([0] * 9)
    )


def entry(attributes: Attributes) -> bytes:
    """A name that was found or made."""
    return _ENTRY.pack(attributes.node, 0, _FOREVER, _FOREVER, 0, 0) + attributes.pack()


def attributes_out(attributes: Attributes) -> bytes:
    """The attributes of a node."""
    return _ATTR_OUT.pack(_FOREVER, 0, 0) + attributes.pack()


def opened(node: int) -> bytes:
    """A file that was opened; what the kernel has of it stays true."""
    return _OPENED.pack(node, _KEEP_CACHE, 0)


def statfs(blocks: int, free: int) -> bytes:
    """Room, in pages."""
    return _STATFS.pack(blocks, free, free, 1 << 20, 1 << 20, 4096, 255, 4096, 0, *([0] * 6))


def directory_entry(node: int, place: int, name: str, *, is_directory: bool) -> bytes:
    """One name of a directory."""
    text = name.encode()
    packed = _ENTRY_IN_DIRECTORY.pack(node, place, len(text), 4 if is_directory else 8) + text
    return packed + bytes(-len(packed) % 8)
