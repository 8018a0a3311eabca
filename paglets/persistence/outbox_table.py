"""The outbox, what was seen of other hosts' outboxes, and the dead letters, within one transaction."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from msgspec.structs import replace

from paglets.persistence.errors import QueueFullError
from paglets.persistence.outbox_records import DeadLetter, OutboxEntry, SeenRecord, SourceRecord
from paglets.persistence.table import id_key, number_key

if TYPE_CHECKING:
    import lmdb

    from paglets.persistence.tables import Tables

MAX_ENTRIES = 10_000
MAX_BYTES = 64 * 1024**2
"""Messages, and bytes of them, that may wait in the outbox."""
MAX_DEAD_LETTERS = 1_000
MAX_DEAD_BYTES = 16 * 1024**2
"""Beyond either the oldest dead letters go."""
MAX_SEEN = 20_000
"""Answers that are kept for one source: more than its outbox holds, so only a broken one gets there."""

_NEXT = b"outbox-next"
_BYTES = b"outbox-bytes"
_DEAD_BYTES = b"dead-letter-bytes"


class OutboxTable:
    """Implements ``paglets.persistence.outbox_rules.OutboxTables``."""

    def __init__(self, txn: lmdb.Transaction[bytes], tables: Tables) -> None:
        self._txn = txn
        self._tables = tables

    def allocate(self, above: int = 0) -> int:
        """A number that was never handed out, greater than ``above``."""
        number = max(self.next_number(), above + 1)
        self._tables.numbers.put(self._txn, _NEXT, number + 1)
        return number

    def next_number(self) -> int:
        """What ``allocate`` gives next."""
        return self._tables.numbers.get(self._txn, _NEXT) or 1

    # --- the outbox --------------------------------------------------------------------------------------

    def entry(self, position: int) -> OutboxEntry | None:
        """What waits at a position."""
        return self._tables.outbox.get(self._txn, number_key(position))

    def entries(self, after: int = 0, limit: int | None = None) -> list[OutboxEntry]:
        """What waits, in order, from the position after ``after``."""
        start = number_key(after + 1)
        return [entry for _, entry in islice(self._tables.outbox.scan(self._txn, start), limit)]

    def put_entry(self, entry: OutboxEntry) -> None:
        """Write an entry; ``QueueFullError`` for a new one over the bounds."""
        before = self.entry(entry.position)
        if before is None:
            used = self._sum(_BYTES) + len(entry.message)
            if self._tables.outbox.count(self._txn) >= MAX_ENTRIES or used > MAX_BYTES:
                raise QueueFullError(
                    f"the outbox is full: {self._tables.outbox.count(self._txn)} messages wait for hosts that are "
                    "away; send again when they are back"
                )
            self._tables.numbers.put(self._txn, _BYTES, used)
        self._tables.outbox.put(self._txn, number_key(entry.position), entry)

    def drop_entry(self, position: int) -> None:
        """Forget an entry."""
        entry = self.entry(position)
        if entry is not None:
            self._tables.outbox.delete(self._txn, number_key(position))
            self._tables.numbers.put(self._txn, _BYTES, max(0, self._sum(_BYTES) - len(entry.message)))

    # --- other hosts' outboxes ---------------------------------------------------------------------------

    def source(self, source: str) -> SourceRecord:
        """What is kept of that host's outbox, in sum."""
        return self._tables.outbox_sources.get(self._txn, id_key(source)) or SourceRecord()

    def raise_floor(self, source: str, floor: int) -> None:
        """Forget the answers below a floor; a lower one than before changes nothing."""
        known = self.source(source)
        if floor <= known.floor:
            return
        dropped = 0
        limit = id_key(source) + b"\0" + number_key(floor)
        if known.seen:
            for key in self._tables.outbox_seen.keys(self._txn, prefix=id_key(source) + b"\0"):
                if key >= limit:
                    break
                dropped += self._tables.outbox_seen.delete(self._txn, key)
        self._tables.outbox_sources.put(
            self._txn, id_key(source), SourceRecord(floor, max(0, known.seen - dropped))
        )

    def seen(self, source: str, number: int) -> SeenRecord | None:
        """What was answered."""
        return self._tables.outbox_seen.get(self._txn, id_key(source) + b"\0" + number_key(number))

    def last_seen(self, source: str) -> int:
        """The highest number that was answered and is not forgotten, or the floor before it."""
        keys = self._tables.outbox_seen.keys(self._txn, prefix=id_key(source) + b"\0")
        return int.from_bytes(keys[-1][-8:], "big") if keys else self.source(source).floor - 1

    def put_seen(self, source: str, number: int, record: SeenRecord) -> None:
        """Remember an answer; ``QueueFullError`` when too many are remembered."""
        known = self.source(source)
        if known.seen >= MAX_SEEN:
            raise QueueFullError(f"{known.seen} answers to host {source} are remembered already")
        self._tables.outbox_seen.put(self._txn, id_key(source) + b"\0" + number_key(number), record)
        self._tables.outbox_sources.put(self._txn, id_key(source), SourceRecord(known.floor, known.seen + 1))

    # --- dead letters ------------------------------------------------------------------------------------

    def add_dead(self, letter: DeadLetter) -> DeadLetter:
        """Add a letter to the list under a number of its own; the oldest go when there are too many."""
        letter = replace(letter, number=self.allocate())
        self._tables.dead_letters.put(self._txn, number_key(letter.number), letter)
        used = self._sum(_DEAD_BYTES) + len(letter.message)
        self._tables.numbers.put(self._txn, _DEAD_BYTES, used)
        while (
            self._tables.dead_letters.count(self._txn) > MAX_DEAD_LETTERS
            or self._sum(_DEAD_BYTES) > MAX_DEAD_BYTES
        ):
            oldest = self.dead_letters(limit=1)
            if not oldest or oldest[0].number == letter.number:
                break
            self.drop_dead(oldest[0].number)
        return letter

    def dead(self, number: int) -> DeadLetter | None:
        """The letter of that number."""
        return self._tables.dead_letters.get(self._txn, number_key(number))

    def dead_letters(self, after: int = 0, limit: int | None = None) -> list[DeadLetter]:
        """The list, oldest first, from the number after ``after``."""
        start = number_key(after + 1)
        return [letter for _, letter in islice(self._tables.dead_letters.scan(self._txn, start), limit)]

    def drop_dead(self, number: int) -> bool:
        """Take a letter off the list; whether it was there."""
        letter = self.dead(number)
        if letter is None:
            return False
        self._tables.dead_letters.delete(self._txn, number_key(number))
        self._tables.numbers.put(self._txn, _DEAD_BYTES, max(0, self._sum(_DEAD_BYTES) - len(letter.message)))
        return True

    def _sum(self, key: bytes) -> int:
        return self._tables.numbers.get(self._txn, key) or 0
