"""What a host has to look at by itself, kept beside the records: it need not read all of them to find it.

Written in the transaction that writes the record, and invisible to the journal's rules. It says nothing that
the records do not say, so it can be made anew at any time.
"""

from __future__ import annotations

import struct
from enum import Enum
from itertools import islice, takewhile
from typing import TYPE_CHECKING
from zlib import crc32

from paglets.persistence.damage import Damage
from paglets.persistence.errors import RecordDamagedError
from paglets.persistence.records import Phase
from paglets.persistence.table import id_key

if TYPE_CHECKING:
    from collections.abc import Callable

    import lmdb

    from paglets.persistence.damage import DamageLog
    from paglets.persistence.records import PagletRecord
    from paglets.persistence.tables import Tables


class Matter(Enum):
    """Why a paglet is on the agenda. The values begin the keys."""

    RUNNING = b"a"
    """ACTIVE: it comes back when its host starts."""
    MOVING = b"p"
    """PREPARED: its target has to be asked."""
    STARTUP = b"s"
    """INACTIVE, and woken when its host starts."""
    ALARM = b"w"
    """INACTIVE, and woken at a time."""
    QUEUED = b"q"
    """INACTIVE, and moved as soon as its target is back."""
    ONWARD = b"o"
    """DEPARTED, while messages wait to follow it."""
    GONE = b"g"
    """DEPARTED or TOMBSTONE: forgotten one day. The only one that is kept in the order of time."""


_IN_ORDER_OF_ID = tuple(matter for matter in Matter if matter is not Matter.GONE)
_OF_ONE_ENTRY = {Phase.ACTIVE, Phase.PREPARED}
_TIME = struct.Struct(">d")
_MARKER = b"agenda"
"""The number of the rules that the agenda was written by."""
_RULES = 2


class Agenda:
    """The agenda within one transaction. Entries have a key and no more: a matter, for ``GONE`` a time, an id."""

    def __init__(self, txn: lmdb.Transaction[bytes], tables: Tables) -> None:
        self._txn = txn
        self._tables = tables

    def ids(self, matter: Matter) -> list[str]:
        """Who is on it for that matter, in the order of ids; not for ``GONE``."""
        return [key[1:].decode("utf-8") for key in self._keys(matter.value)]

    def gone(self, before: float, limit: int | None) -> list[str]:
        """Up to ``limit`` ids of those that are gone since before that time, the earliest first."""
        prefix = Matter.GONE.value
        keys = self._keys(prefix, below=prefix + _time_key(before), limit=limit)
        return [key[1 + _TIME.size :].decode("utf-8") for key in keys]

    def replace(
        self,
        before: PagletRecord | None,
        after: PagletRecord | None,
        has_messages: Callable[[], bool],
    ) -> None:
        """A record was written or deleted; ``has_messages`` says whether any wait for it now."""
        if before is not None and after is not None and before.phase is after.phase in _OF_ONE_ENTRY:
            return
        # Messages may have come and gone since: whatever may be there goes.
        old = entries(before, has_messages=True) if before is not None else set[bytes]()
        new = set[bytes]()
        if after is not None:
            new = entries(after, has_messages=after.phase is Phase.DEPARTED and has_messages())
        for key in old - new:
            self._txn.delete(key, db=self._tables.agenda)
        for key in new:
            self._put(key)

    def messages_changed(self, record: PagletRecord, *, has_messages: bool) -> None:
        """The first message was queued for that paglet, or the last one has left."""
        if record.phase is not Phase.DEPARTED:
            return
        key = Matter.ONWARD.value + id_key(record.agent_id)
        if has_messages:
            self._put(key)
        else:
            self._txn.delete(key, db=self._tables.agenda)

    def forget(self, agent_id: str) -> None:
        """Take everything of an id off the agenda, its record being lost. Reads the agenda."""
        key = id_key(agent_id)
        for matter in _IN_ORDER_OF_ID:
            self._txn.delete(matter.value + key, db=self._tables.agenda)
        for gone in self._keys(Matter.GONE.value):
            if gone[1 + _TIME.size :] == key:
                self._txn.delete(gone, db=self._tables.agenda)

    def repair(self, damage: DamageLog, has_messages: Callable[[str], bool]) -> bool:
        """Make it anew when it is not there, of other rules, or damaged; whether that was so."""
        try:
            if self._tables.numbers.get(self._txn, _MARKER) == _RULES and self._is_sound():
                return False
        except RecordDamagedError:
            damage.forget(Damage(self._tables.numbers.name, _MARKER, ""))
        self._txn.drop(self._tables.agenda, delete=False)
        for _, record in self._tables.paglets.scan(self._txn):
            for key in entries(record, has_messages=has_messages(record.agent_id)):
                self._put(key)
        self._tables.numbers.put(self._txn, _MARKER, _RULES)
        return True

    def _is_sound(self) -> bool:
        """Whether what a start goes by can be read. The gone may be many, and are only forgotten too late."""
        with self._txn.cursor(self._tables.agenda) as cursor:
            for matter in _IN_ORDER_OF_ID:
                if not cursor.set_range(matter.value):
                    continue
                for key, value in cursor.iternext():
                    if not key.startswith(matter.value):
                        break
                    if value != _checksum(key):
                        return False
        return True

    def _put(self, key: bytes) -> None:
        self._txn.put(key, _checksum(key), db=self._tables.agenda)

    def _keys(self, prefix: bytes, *, below: bytes = b"\xff", limit: int | None = None) -> list[bytes]:
        with self._txn.cursor(self._tables.agenda) as cursor:
            if not cursor.set_range(prefix):
                return []
            keys = cursor.iternext(keys=True, values=False)
            return list(islice(takewhile(lambda key: key.startswith(prefix) and key < below, keys), limit))


def entries(record: PagletRecord, *, has_messages: bool) -> set[bytes]:
    """The keys by which a record is on the agenda: none for one that is plainly parked."""
    key = id_key(record.agent_id)
    match record.phase:
        case Phase.ACTIVE:
            return {Matter.RUNNING.value + key}
        case Phase.PREPARED:
            return {Matter.MOVING.value + key}
        case Phase.INACTIVE:
            if record.queued is not None:  # neither a start nor a time wakes what is on its way
                return {Matter.QUEUED.value + key}
            if record.resume or record.policy.get("activate_on_startup"):
                return {Matter.STARTUP.value + key}
            return {Matter.ALARM.value + key} if record.policy.get("activate_at") is not None else set()
        case Phase.DEPARTED | Phase.TOMBSTONE:
            since = record.forward.since if record.forward is not None else record.changed_at
            found = {Matter.GONE.value + _time_key(since) + key}
            if has_messages and record.phase is Phase.DEPARTED:
                found.add(Matter.ONWARD.value + key)
            return found


def _time_key(at: float) -> bytes:
    """Eight bytes that sort as times do; the time before all times for what lies before 1970."""
    return _TIME.pack(at if at > 0 else 0.0)


def _checksum(key: bytes) -> bytes:
    return crc32(key).to_bytes(4, "little")
