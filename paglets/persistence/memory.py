"""A journal in plain dictionaries: the same rules without a disk, for tests and for exploring the rules."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import msgspec

from paglets.core.incarnation import Incarnation, TransferId
from paglets.persistence.adoption_records import AbandonedTransfer, Notice, QuarantinedCopy
from paglets.persistence.records import PagletRecord, PeerRecord, QueuedRecord, VerdictRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from paglets.persistence.transaction import JournalTransaction

T = TypeVar("T")


class Snapshot(msgspec.Struct, frozen=True):
    """All that a journal holds, in an order that makes equal journals equal snapshots."""

    paglets: tuple[PagletRecord, ...] = ()
    verdicts: tuple[VerdictRecord, ...] = ()
    floors: tuple[tuple[str, int], ...] = ()
    counter: int = 1
    queues: tuple[tuple[str, tuple[QueuedRecord, ...]], ...] = ()
    peers: tuple[PeerRecord, ...] = ()
    abandoned: tuple[AbandonedTransfer, ...] = ()
    notices: tuple[Notice, ...] = ()
    copies: tuple[QuarantinedCopy, ...] = ()


@dataclass(slots=True)
class MemoryTransaction:
    """The dictionaries themselves, as a ``JournalTransaction``; isolation is `MemoryJournal`'s business."""

    paglets: dict[str, PagletRecord] = field(default_factory=dict[str, PagletRecord])
    verdicts: dict[TransferId, VerdictRecord] = field(default_factory=dict[TransferId, VerdictRecord])
    floors: dict[str, int] = field(default_factory=dict[str, int])
    next_counter: int = 1
    queues: dict[str, tuple[QueuedRecord, ...]] = field(default_factory=dict[str, tuple[QueuedRecord, ...]])
    peers: dict[str, PeerRecord] = field(default_factory=dict[str, PeerRecord])
    abandoned_transfers: dict[tuple[str, TransferId], AbandonedTransfer] = field(
        default_factory=dict[tuple[str, TransferId], AbandonedTransfer]
    )
    owed: dict[tuple[str, str], Notice] = field(default_factory=dict[tuple[str, str], Notice])
    kept: dict[tuple[str, Incarnation], QuarantinedCopy] = field(
        default_factory=dict[tuple[str, Incarnation], QuarantinedCopy]
    )

    @classmethod
    def of(cls, held: Snapshot) -> MemoryTransaction:
        """The tables that the snapshot was taken of."""
        return cls(
            {record.agent_id: record for record in held.paglets},
            {verdict.transfer_id: verdict for verdict in held.verdicts},
            dict(held.floors),
            held.counter,
            dict(held.queues),
            {peer.host_id: peer for peer in held.peers},
            {(each.agent_id, each.outgoing.transfer_id): each for each in held.abandoned},
            {(each.agent_id, each.target_id): each for each in held.notices},
            {(each.record.agent_id, each.record.incarnation): each for each in held.copies},
        )

    def snapshot(self) -> Snapshot:
        """What is held now."""
        return Snapshot(
            tuple(sorted(self.paglets.values(), key=lambda record: record.agent_id)),
            tuple(sorted(self.verdicts.values(), key=lambda verdict: verdict.transfer_id)),
            tuple(sorted(self.floors.items())),
            self.next_counter,
            tuple(sorted(self.queues.items())),
            tuple(sorted(self.peers.values(), key=lambda peer: peer.host_id)),
            tuple(self.abandoned()),
            tuple(self.notices()),
            tuple(self.copies()),
        )

    def copy(self) -> MemoryTransaction:
        """The same contents; the values are immutable, so they are shared."""
        return MemoryTransaction(
            self.paglets.copy(),
            self.verdicts.copy(),
            self.floors.copy(),
            self.next_counter,
            self.queues.copy(),
            self.peers.copy(),
            self.abandoned_transfers.copy(),
            self.owed.copy(),
            self.kept.copy(),
        )

    def paglet(self, agent_id: str) -> PagletRecord | None:
        """The record of that id, or None."""
        return self.paglets.get(agent_id)

    def put_paglet(self, record: PagletRecord) -> None:
        """Write the record, replacing the one of the same id."""
        self.paglets[record.agent_id] = record

    def delete_paglet(self, agent_id: str) -> None:
        """Forget the id."""
        self.paglets.pop(agent_id, None)

    def verdict(self, transfer_id: TransferId) -> VerdictRecord | None:
        """The stored verdict, or None."""
        return self.verdicts.get(transfer_id)

    def put_verdict(self, verdict: VerdictRecord) -> None:
        """Store a verdict."""
        self.verdicts[verdict.transfer_id] = verdict

    def drop_verdicts_below(self, source: str, floor: int) -> None:
        """Forget the verdicts on transfers of ``source`` below ``floor``."""
        for transfer_id in [t for t in self.verdicts if t.source == source and t.counter < floor]:
            del self.verdicts[transfer_id]

    def floor(self, source: str) -> int:
        """The highest floor that ``source`` told, or 0."""
        return self.floors.get(source, 0)

    def put_floor(self, source: str, floor: int) -> None:
        """Remember a source's floor."""
        self.floors[source] = floor

    def counter(self) -> int:
        """The lowest transfer counter not handed out."""
        return self.next_counter

    def put_counter(self, value: int) -> None:
        """Move the counter up."""
        self.next_counter = value

    def queued(self, agent_id: str) -> Iterable[QueuedRecord]:
        """Messages waiting for a paglet, oldest first."""
        return self.queues.get(agent_id, ())

    def queued_message(self, agent_id: str, message_id: str) -> QueuedRecord | None:
        """The message of that id that waits for a paglet, if one does."""
        return next((each for each in self.queued(agent_id) if each.message_id == message_id), None)

    def append_queued(self, agent_id: str, message: QueuedRecord) -> bool:
        """Queue a message; False when one with that id waits already."""
        waiting = self.queues.get(agent_id, ())
        if any(earlier.message_id == message.message_id for earlier in waiting):
            return False
        self.queues[agent_id] = (*waiting, message)
        return True

    def drop_queued(self, agent_id: str, message_id: str | None = None) -> bool:
        """Take one message, or all of them, off a paglet's queue; whether there was any."""
        waiting = self.queues.pop(agent_id, ())
        kept = tuple(m for m in waiting if message_id is not None and m.message_id != message_id)
        if kept:
            self.queues[agent_id] = kept
        return len(kept) < len(waiting)

    def peer(self, host_id: str) -> PeerRecord | None:
        """What is remembered of a peer's store."""
        return self.peers.get(host_id)

    def put_peer(self, record: PeerRecord) -> None:
        """Remember a peer's store."""
        self.peers[record.host_id] = record

    def abandoned(self, agent_id: str | None = None) -> list[AbandonedTransfer]:
        """Transfers that an adoption went past."""
        kept = self.abandoned_transfers
        return [kept[key] for key in sorted(kept) if agent_id in {None, key[0]}]

    def put_abandoned(self, transfer: AbandonedTransfer) -> None:
        """Remember one."""
        self.abandoned_transfers[transfer.agent_id, transfer.outgoing.transfer_id] = transfer

    def drop_abandoned(self, agent_id: str, transfer_id: TransferId) -> None:
        """Forget one."""
        self.abandoned_transfers.pop((agent_id, transfer_id), None)

    def notices(self, agent_id: str | None = None) -> list[Notice]:
        """What other hosts have to be told."""
        return [self.owed[key] for key in sorted(self.owed) if agent_id in {None, key[0]}]

    def put_notice(self, notice: Notice) -> None:
        """Owe a host news."""
        self.owed[notice.agent_id, notice.target_id] = notice

    def drop_notice(self, agent_id: str, target_id: str) -> None:
        """Owe that host nothing about that paglet any more."""
        self.owed.pop((agent_id, target_id), None)

    def copies(self, agent_id: str | None = None) -> list[QuarantinedCopy]:
        """Copies that gave way to a higher lineage, the lowest first."""
        return [self.kept[key] for key in sorted(self.kept) if agent_id in {None, key[0]}]

    def put_copy(self, copy: QuarantinedCopy) -> None:
        """Keep a copy."""
        self.kept[copy.record.agent_id, copy.record.incarnation] = copy

    def drop_copy(self, agent_id: str, incarnation: Incarnation) -> None:
        """Keep it no longer."""
        self.kept.pop((agent_id, incarnation), None)


class MemoryJournal:
    """Applies rules one at a time: each either as a whole, or, when it raises, not at all. For one thread."""

    def __init__(self, snapshot: Snapshot | None = None) -> None:
        self._tables = MemoryTransaction.of(snapshot or Snapshot())

    def commit(self, rule: Callable[[JournalTransaction], T]) -> T:
        """Apply ``rule`` and return its result; what it raises passes through, and nothing is written."""
        tables = self._tables.copy()
        result = rule(tables)
        self._tables = tables
        return result

    def snapshot(self) -> Snapshot:
        """What is held now."""
        return self._tables.snapshot()
