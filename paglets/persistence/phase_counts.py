"""How many records are in each phase: kept beside the records, and counted anew when that was damaged."""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING

from paglets.persistence.damage import Damage
from paglets.persistence.errors import RecordDamagedError
from paglets.persistence.records import Phase

if TYPE_CHECKING:
    import lmdb

    from paglets.persistence.damage import DamageLog
    from paglets.persistence.tables import Tables

log = logging.getLogger(__name__)


def read_counts(txn: lmdb.Transaction[bytes], tables: Tables) -> dict[Phase, int]:
    """Records by phase, without looking at them."""
    return {phase: tables.numbers.get(txn, _key(phase)) or 0 for phase in Phase}


def change_count(txn: lmdb.Transaction[bytes], tables: Tables, phase: Phase, change: int) -> None:
    """Note that there are so many more, or less, in a phase."""
    number = tables.numbers.get(txn, _key(phase)) or 0
    tables.numbers.put(txn, _key(phase), number + change)


def repair_counts(txn: lmdb.Transaction[bytes], tables: Tables, damage: DamageLog) -> bool:
    """Count all records when the numbers do not decode, and say so: they say nothing that the records do not."""
    try:
        read_counts(txn, tables)
    except RecordDamagedError:
        log.warning("the numbers of records by phase were damaged and are counted anew")
    else:
        return False
    counted = Counter(record.phase for _, record in tables.paglets.scan(txn))
    for phase in Phase:
        damage.forget(Damage(tables.numbers.name, _key(phase), ""))
        tables.numbers.put(txn, _key(phase), counted[phase])
    return True


def _key(phase: Phase) -> bytes:
    return b"phase." + phase.value.encode("ascii")
