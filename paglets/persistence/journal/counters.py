"""Transfer counters, handed out in durable blocks, and the floor below which a source has settled all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paglets.persistence.records import Phase

if TYPE_CHECKING:
    from collections.abc import Iterable

    from paglets.core.incarnation import TransferId
    from paglets.persistence.records import PagletRecord
    from paglets.persistence.transaction import JournalTransaction


def reserve_counters(tx: JournalTransaction, count: int) -> range:
    """Take the next ``count`` transfer counters out of the journal; they are never handed out again.

    Usable once the commit is synced. What a crash leaves unused of a block is skipped, so a counter never
    names two transfers.
    """
    if count < 1:
        raise ValueError("reserve at least one counter")
    first = tx.counter()
    tx.put_counter(first + count)
    return range(first, first + count)


def open_transfers(records: Iterable[PagletRecord]) -> list[tuple[str, TransferId]]:
    """Target and id of every transfer that the journal holds unsettled."""
    return [
        (record.outgoing.target_id, record.outgoing.transfer_id)
        for record in records
        if record.phase is Phase.PREPARED and record.outgoing is not None
    ]


def floor_for(target_id: str, unsettled: Iterable[tuple[str, TransferId]], next_counter: int) -> int:
    """The floor to tell ``target_id``: its lowest unsettled counter, else the next one to be handed out.

    ``unsettled`` has to hold the transfers of the journal **and** those that exist in memory only (a header
    is streaming, its PREPARED not yet durable): a floor that forgot those would make the target forget them.
    """
    counters = [transfer_id.counter for target, transfer_id in unsettled if target == target_id]
    return min([next_counter, *counters])
