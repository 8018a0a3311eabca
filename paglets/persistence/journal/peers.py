"""What a host durably knows of its peers: their floors, and how far their stores were seen."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from msgspec.structs import replace

from paglets.persistence.records import PeerRecord

if TYPE_CHECKING:
    from paglets.persistence.transaction import JournalTransaction


class Standing(StrEnum):
    """How a store compares with the furthest it was ever seen."""

    CURRENT = "current"
    BEHIND = "behind"
    """It was further once: restored from a copy."""
    REPLACED = "replaced"
    """Another store under the same host key: the one that was seen is gone."""


def note_floor(tx: JournalTransaction, source: str, floor: int) -> int:
    """Take note of a floor that ``source`` tells, and forget the verdicts below it; the highest one counts.

    Returns the floor that now holds. Writes nothing when it is no news.
    """
    known = tx.floor(source)
    if floor <= known:
        return known
    tx.put_floor(source, floor)
    tx.drop_verdicts_below(source, floor)
    return floor


def compare_stores(seen: PeerRecord | None, store_id: str, commit: int) -> Standing:
    """How the store that a host shows now compares with the furthest that was ``seen`` of it."""
    if seen is None or not seen.store_id or (seen.store_id == store_id and commit >= seen.commit):
        return Standing.CURRENT
    return Standing.BEHIND if seen.store_id == store_id else Standing.REPLACED


def note_peer_store(
    tx: JournalTransaction, host_id: str, store_id: str, commit: int, signature: str = ""
) -> Standing:
    """Compare what a peer shows of its store with the furthest it was seen; remember it when it is further.

    What was seen of a store that is BEHIND or REPLACED stays remembered. ``signature``: the peer's own, over
    what it shows.
    """
    seen = tx.peer(host_id)
    standing = compare_stores(seen, store_id, commit)
    if standing is Standing.CURRENT and (seen is None or commit > seen.commit):
        known = seen or PeerRecord(host_id, "", 0)
        tx.put_peer(replace(known, store_id=store_id, commit=commit, standing=signature))
    return standing


def note_own_store(
    tx: JournalTransaction, own_id: str, store_id: str, commit: int, seen: PeerRecord
) -> Standing:
    """Compare this host's own store (``store_id``, ``commit``) with what a peer says it saw of it.

    When a peer saw it further than it is, this store is a restored copy. That is kept, in the record of this
    host's own id, because its commit number will grow past what the peer saw, but what it forgot stays
    forgotten; from then on `arrivals` gives no verdict that is not stored.
    """
    standing = compare_stores(seen, store_id, commit)
    if standing is not Standing.CURRENT and not is_restored(tx, own_id):
        note_restored(tx, own_id, seen.store_id, seen.commit)
    return standing


def note_restored(tx: JournalTransaction, own_id: str, store_id: str, commit: int) -> None:
    """Keep that this store is a copy of one that was so far, until an operator has accepted it."""
    known = tx.peer(own_id) or PeerRecord(own_id, "", 0)
    tx.put_peer(replace(known, store_id=store_id, commit=commit))


def is_restored(tx: JournalTransaction, own_id: str) -> bool:
    """True once it is known that this host's store is a restored copy, until an operator has accepted it."""
    known = tx.peer(own_id)
    return known is not None and bool(known.store_id)


EVERYTHING = 2**62
"""Above every counter."""


def unsure_below(tx: JournalTransaction, own_id: str, source: str) -> int:
    """The counter below which a transfer of ``source`` without a stored verdict may have one that was forgotten.

    0 but for a host whose restored store was accepted although not everybody could be asked (`restoring.accept`);
    `EVERYTHING` there for a source that has not told its counter since.
    """
    for record in (tx.peer(source), tx.peer(own_id)):
        if record is not None and record.unsure_below is not None:
            return record.unsure_below
    return 0


def note_counter(tx: JournalTransaction, own_id: str, source: str, counter: int) -> None:
    """``source`` tells the next counter that it hands out: the lost life knew of none from there on.

    Only the first one counts that a source tells after such an acceptance. 0 says nothing.
    """
    if not counter or unsure_below(tx, own_id, source) != EVERYTHING:
        return
    known = tx.peer(source) or PeerRecord(source, "", 0)
    tx.put_peer(replace(known, unsure_below=counter))
