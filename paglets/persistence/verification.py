"""Looks at a data file's structure without LMDB, before LMDB is made to trust it.

LMDB follows page numbers wherever they point, and has no checksums: a broken or truncated file can end the whole
process, or show what was true some commits ago. So the two pages that say where everything is are compared at every
start, and the structure is read in Python first: after a stop that was not clean, when the file is too short, and
whenever that is quick.
"""

from __future__ import annotations

import logging
import os
import struct
import sys
from typing import TYPE_CHECKING, NamedTuple

import lmdb
import lmdb.verify

from paglets.persistence.lmdb_errors import damaged

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

log = logging.getLogger(__name__)

QUICK_PAGES = 2048
"""Pages of structure that are looked at, and their records, whenever a store is opened: about 0.1 s."""

_LEAK = "-- a leak"
_CAN_READ = sys.maxsize > 2**32
"""What LMDB writes on 32 bits has another layout, which nothing here reads."""
_PAGE_HEADER = 16
_META = struct.Struct("=IIQQ48s48sQQ")
"""``MDB_meta`` of LMDB 0.9 (mdb.c): magic, version, address, map size, two ``MDB_db``, last page, transaction."""
_HEAD_BYTES = _PAGE_HEADER + _META.size
_TREE = struct.Struct("=IH")
"""The beginning of ``MDB_db``: in the first, the page size; flags."""
_MAGIC = 0xBEEFC0DE
_TREE_FLAGS = 0xFF
"""Above them are those of the environment that made the file."""
_KINDS = (8, 0)
"""Free pages have integer keys; table names are plain."""


def verify(path: Path) -> None:
    """Raise ``StoreDamagedError`` if a data file's structure is broken.

    Takes about a second for 500 000 records; blobs cost next to nothing, their bytes have digests.
    """
    if not _CAN_READ:
        return
    # The module has no types of its own.
    find_problems: Callable[[str, bool], list[str]] = vars(lmdb.verify)["verify"]
    cannot_verify: type[Exception] = vars(lmdb.verify)["VerifyError"]
    try:
        problems = find_problems(os.fspath(path), False)  # noqa: FBT003 - not a directory
    except cannot_verify as error:
        raise damaged(path.parent, str(error)) from error
    # Pages that nothing uses are lost space, not lost data.
    serious = [problem for problem in problems if _LEAK not in problem]
    if problems:
        log.warning("the store's file has structural problems", extra={"problems": problems[:20]})
    if serious:
        raise damaged(path.parent, serious[0])


def compare_heads(path: Path) -> None:
    """Raise ``StoreDamagedError`` unless the file's two heads are of one kind and of commits that follow one another.

    LMDB writes them in turn and takes the one with the higher number. One flipped bit in a number, and it takes
    the other: the last commit would be gone without a word. Of a file of no length it makes a new store; stores get
    their name when they are whole, so such a file has lost what was in it.
    """
    if path.stat().st_size == 0:
        raise damaged(path.parent, "its file is empty")
    if not _CAN_READ:
        return
    with path.open("rb") as file:
        first = _read_head(file.read(_HEAD_BYTES))
        if first is None:
            return  # no head at all: LMDB says so itself
        file.seek(first.page_size)
        second = _read_head(file.read(_HEAD_BYTES))
    if second is None or second.kind != first.kind or first.kind[1:] != _KINDS:
        raise damaged(path.parent, "its two heads are not of one kind")
    fresh = first.number == second.number == 0
    if not fresh and abs(first.number - second.number) != 1:
        raise damaged(path.parent, "its two heads do not follow one another")


def is_too_short(environment: lmdb.Environment, path: Path) -> bool:
    """Whether pages that were in use once are missing at the file's end."""
    pages = environment.info()["last_pgno"] + 1
    return path.stat().st_size < pages * environment.stat()["psize"]


def is_quick(environment: lmdb.Environment) -> bool:
    """Whether so little structure is there that looking at all of it costs a start nothing that is felt."""
    pages = 0
    tables = [environment.open_db(name, create=False) for name in environment.dbs()]
    with environment.begin() as txn:
        for table in tables:
            stat = txn.stat(table)
            pages += stat["branch_pages"] + stat["leaf_pages"]
    return pages <= QUICK_PAGES


class _Head(NamedTuple):
    """What one of the two pages says that tell where everything is."""

    kind: tuple[int, int, int]
    """Page size, flags of the tree of free pages, flags of the tree of tables."""
    number: int
    """Of the commit."""

    @property
    def page_size(self) -> int:
        """In bytes."""
        return self.kind[0]


def _read_head(page: bytes) -> _Head | None:
    if len(page) < _HEAD_BYTES:
        return None
    magic, _version, _address, _map, free, main, _last, number = _META.unpack_from(page, _PAGE_HEADER)
    page_size, free_flags = _TREE.unpack_from(free)
    _, main_flags = _TREE.unpack_from(main)
    if magic != _MAGIC or not 256 <= page_size <= 65536:
        return None
    return _Head((page_size, free_flags & _TREE_FLAGS, main_flags & _TREE_FLAGS), number)
