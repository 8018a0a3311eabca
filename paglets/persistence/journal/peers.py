"""What a host durably knows of its peers: their floors, and how far their stores were seen."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

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
    if seen is None or (seen.store_id == store_id and commit >= seen.commit):
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
        tx.put_peer(PeerRecord(host_id, store_id, commit, signature))
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
        tx.put_peer(PeerRecord(own_id, seen.store_id, seen.commit))
    return standing


def is_restored(tx: JournalTransaction, own_id: str) -> bool:
    """True once it is known that this host's store is a restored copy, until an operator has accepted it."""
    known = tx.peer(own_id)
    return known is not None and bool(known.store_id)
