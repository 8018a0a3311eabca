"""What the journal's rules need of a transaction: the same over LMDB and over plain dictionaries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    from paglets.core.incarnation import Incarnation, TransferId
    from paglets.persistence.adoption_records import AbandonedTransfer, Notice, QuarantinedCopy
    from paglets.persistence.records import PagletRecord, PeerRecord, QueuedRecord, VerdictRecord


class JournalTransaction(Protocol):
    """One atomic, isolated, durable step on a host's journal.

    A rule reads, decides, and writes through it; raising before the first write (or at any point) leaves
    nothing behind. Reads see the earlier writes of the same batch. Replacing or deleting a paglet's record
    keeps the reference counts of the blobs it names.
    """

    def paglet(self, agent_id: str) -> PagletRecord | None:
        """The record of that id, or None."""
        ...

    def put_paglet(self, record: PagletRecord) -> None:
        """Write the record, replacing the one of the same id."""
        ...

    def delete_paglet(self, agent_id: str) -> None:
        """Forget the id; nothing happens when it is unknown."""
        ...

    def verdict(self, transfer_id: TransferId) -> VerdictRecord | None:
        """This host's stored verdict on a transfer that came to it."""
        ...

    def put_verdict(self, verdict: VerdictRecord) -> None:
        """Store a verdict. The rules never replace one by another."""
        ...

    def drop_verdicts_below(self, source: str, floor: int) -> None:
        """Forget the verdicts on transfers of ``source`` whose counter is less than ``floor``."""
        ...

    def floor(self, source: str) -> int:
        """The highest floor that ``source`` ever told, 0 when none."""
        ...

    def put_floor(self, source: str, floor: int) -> None:
        """Remember a source's floor."""
        ...

    def counter(self) -> int:
        """The lowest transfer counter that this host has durably not handed out, at first 1."""
        ...

    def put_counter(self, value: int) -> None:
        """Move the counter up."""
        ...

    def queued(self, agent_id: str) -> Iterable[QueuedRecord]:
        """Messages waiting for a paglet, in the order they were accepted."""
        ...

    def queued_message(self, agent_id: str, message_id: str) -> QueuedRecord | None:
        """The message of that id that waits for a paglet, if one does."""
        ...

    def append_queued(self, agent_id: str, message: QueuedRecord) -> bool:
        """Queue a message; False, and nothing written, when one with that message id already waits."""
        ...

    def drop_queued(self, agent_id: str, message_id: str | None = None) -> bool:
        """Take one message, or all of them, off a paglet's queue; whether there was any."""
        ...

    def peer(self, host_id: str) -> PeerRecord | None:
        """What this host remembers of a peer's store."""
        ...

    def put_peer(self, record: PeerRecord) -> None:
        """Remember the furthest that a peer's store was seen."""
        ...

    def abandoned(self, agent_id: str | None = None) -> list[AbandonedTransfer]:
        """Transfers of that paglet, or of all, that an adoption went past."""
        ...

    def put_abandoned(self, transfer: AbandonedTransfer) -> None:
        """Remember one, by its paglet and transfer id."""
        ...

    def drop_abandoned(self, agent_id: str, transfer_id: TransferId) -> None:
        """Forget one; nothing happens when it is unknown."""
        ...

    def notices(self, agent_id: str | None = None) -> list[Notice]:
        """What other hosts have to be told of that paglet, or of all; one for each paglet and host at most."""
        ...

    def put_notice(self, notice: Notice) -> None:
        """Owe a host news, in the place of what it was owed of that paglet before."""
        ...

    def drop_notice(self, agent_id: str, target_id: str) -> None:
        """Owe that host nothing about that paglet any more."""
        ...

    def copies(self, agent_id: str | None = None) -> list[QuarantinedCopy]:
        """Copies of that paglet, or of all, that gave way to a higher lineage, the lowest first."""
        ...

    def put_copy(self, copy: QuarantinedCopy) -> None:
        """Keep a copy, by its paglet and incarnation. The blobs that it names stay."""
        ...

    def drop_copy(self, agent_id: str, incarnation: Incarnation) -> None:
        """Keep it no longer; nothing happens when it is unknown."""
        ...
