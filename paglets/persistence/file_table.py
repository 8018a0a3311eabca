"""What becomes of files when a paglet's record changes, kept beside the records in the same transaction.

Invisible to the journal's rules, like the agenda: which directories hold files of paglets that are here, and
which source files have been moved and are to be deleted.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

import msgspec

from paglets.persistence.records import Phase

if TYPE_CHECKING:
    import lmdb

    from paglets.persistence.records import FileRecord, PagletRecord
    from paglets.persistence.tables import Tables

WORK = "work"
"""The ``place`` of files in a paglet's work directory."""


class FileTable:
    """Places and moved files, within one transaction."""

    def __init__(self, txn: lmdb.Transaction[bytes], tables: Tables) -> None:
        self._txn = txn
        self._tables = tables

    def places(self) -> set[str]:
        """The directories that records name."""
        with self._txn.cursor(self._tables.file_places) as cursor:
            return {key.decode() for key in cursor.iternext(keys=True, values=False)}

    def replace(self, before: PagletRecord | None, after: PagletRecord | None) -> None:
        """A record takes the place of another: keep up with its files."""
        old = before.files if before is not None else ()
        new = after.files if after is not None else ()
        if old == new and not (before is not None and _has_moved(before, after)):
            return
        kept = {each.place for each in new} - {"", WORK}
        for place in {each.place for each in old} - {"", WORK} - kept:
            self._txn.delete(place.encode(), db=self._tables.file_places)
        for place in kept:
            owner = after.agent_id if after is not None else ""
            self._txn.put(place.encode(), owner.encode(), db=self._tables.file_places)
        if before is not None:
            for file in _moved(before, after):
                key = sha256(msgspec.msgpack.encode((before.agent_id, before.incarnation, file.path)))
                self._tables.moved_files.put(self._txn, key.digest(), file)


def _has_moved(before: PagletRecord, after: PagletRecord | None) -> bool:
    """Whether the paglet has gone to another host, for what this change says.

    One that was adopted, or gave way to one that was, has not: its files are still where they were.
    """
    outgoing = before.outgoing
    if outgoing is None or after is None:
        return False
    known = after.forward.incarnation if after.forward is not None else after.incarnation
    if known.lineage != outgoing.incarnation.lineage:
        return False
    return after.phase is Phase.DEPARTED or known > outgoing.incarnation


def _moved(before: PagletRecord, after: PagletRecord | None) -> list[FileRecord]:
    """Source files that are elsewhere now, as they were when they were read for that."""
    if after is None:
        return []
    here = {each.name: each for each in after.files if each.place}
    found: list[FileRecord] = []
    for file in before.files:
        if file.mode != "move" or file.place:
            continue
        if _has_moved(before, after):
            found.append(file)
        elif (copy := here.get(file.name)) is not None:
            found.append(msgspec.structs.replace(copy, place="", path=file.path))
    return found
