"""What a simulated host holds durably: as bytes where states are kept and compared, as tables where speed counts."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from paglets.persistence.journal.peers import is_restored
from paglets.persistence.memory import MemoryTransaction, Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable

    from paglets.persistence.records import PagletRecord, QueuedRecord

Store: TypeAlias = "bytes | MemoryTransaction"
"""Never changed once it is part of a world; see `Pack`."""
Pack: TypeAlias = "Callable[[MemoryTransaction], Store]"
"""Makes a store of tables that nobody changes any more: `as_bytes` or `as_they_are`."""

_decoder = msgspec.msgpack.Decoder(Snapshot)
_encoder = msgspec.msgpack.Encoder(order="deterministic")


def as_bytes(tables: MemoryTransaction) -> Store:
    """Equal tables are equal bytes, small and quick to compare."""
    return _encoder.encode(tables.snapshot())


def as_they_are(tables: MemoryTransaction) -> Store:
    """The tables themselves."""
    return tables


@lru_cache(maxsize=200_000)
def _opened(store: bytes) -> MemoryTransaction:
    return MemoryTransaction.of(_decoder.decode(store))


def tables(store: Store) -> MemoryTransaction:
    """What the store holds, to be read only."""
    return _opened(store) if isinstance(store, bytes) else store


def records(store: Store) -> dict[str, PagletRecord]:
    """The paglets' records by id, to be read only."""
    return tables(store).paglets


def is_held(store: Store, name: str) -> bool:
    """Whether the host's store is a restored copy that its operator has not accepted."""
    return is_restored(tables(store), name)


def queued(store: Store, agent_id: str) -> tuple[QueuedRecord, ...]:
    """What waits for a paglet there."""
    return tables(store).queues.get(agent_id, ())
