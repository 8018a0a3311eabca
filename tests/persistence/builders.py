"""Short ways to the values that tests of the store are about."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lmdb
import msgspec

from paglets.core.incarnation import Incarnation, TransferId
from paglets.persistence.records import Outcome, PagletRecord, Phase, QueuedRecord, VerdictRecord
from paglets.persistence.table import seal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from paglets.persistence.lmdb_transaction import LmdbTransaction
    from paglets.persistence.records import BlobRef


def record(agent_id: str, phase: Phase = Phase.ACTIVE, *, state: BlobRef | None = None) -> PagletRecord:
    return PagletRecord(
        agent_id=agent_id,
        birth="home",
        phase=phase,
        incarnation=Incarnation(),
        class_name="app:Worker",
        state_class_name="app:WorkerState",
        state=state,
    )


def putting(agent_id: str, *, state: BlobRef | None = None) -> Callable[[LmdbTransaction], None]:
    """A rule that writes one record."""
    return lambda txn: txn.put_paglet(record(agent_id, state=state))


def message(message_id: str, body: bytes = b"{}") -> QueuedRecord:
    return QueuedRecord(message_id=message_id, message=body, oneway=False, queued_at=1.0)


def verdict(source: str, counter: int, outcome: Outcome = Outcome.ARRIVED) -> VerdictRecord:
    return VerdictRecord(TransferId(source, counter), "agent", Incarnation(), outcome)


def edit(directory: Path, table: bytes, key: bytes, value: bytes | None) -> None:
    """Change one value of a closed store, as a flipped bit would: nothing else shows it. None flips one bit."""
    environment = lmdb.open(str(directory / "store.lmdb"), subdir=False, max_dbs=32)
    db = environment.open_db(table)
    with environment.begin(write=True) as txn:
        if value is None:
            found = txn.get(key, db=db)
            assert found is not None
            value = found[:-1] + bytes([found[-1] ^ 1])
        txn.put(key, value, db=db)
        noted = seal(b"transaction", msgspec.msgpack.encode(txn.id()))
        txn.put(b"transaction", noted, db=environment.open_db(b"numbers", txn))
    environment.close()
