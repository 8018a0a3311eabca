"""What a move is made of, and what its outcome means to the host it leaves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from paglets.core.errors import TransferInDoubtError
    from paglets.persistence.journal.adoption import Adopted
    from paglets.persistence.journal.lifecycle import Started
    from paglets.persistence.journal.moves import Departed
    from paglets.persistence.records import FileRecord, PagletRecord
    from paglets.persistence.store import Store
    from paglets.remote.envelopes.header import SignedHeader
    from paglets.remote.trust.keys import HostKey
    from paglets.runtime.events import Events
    from paglets.runtime.memory_files import Payload
    from paglets.runtime.peers import Peers, Target
    from paglets.runtime.states import States
    from paglets.runtime.transfers.asking import Asker
    from paglets.runtime.transfers.move import Move
    from paglets.runtime.transfers.open_ids import OpenTransfers
    from paglets.runtime.transfers.passports import Passports


class Aftermath(Protocol):
    """What a settled or stuck move means for the paglet here."""

    async def stays(self, move: Move, record: PagletRecord | None) -> None:
        """It goes on in its process: ``on_dispatch_failed``, mailbox open again.

        ``record``: what was written; None when nothing had to be, because the move was never PREPARED.
        """
        ...

    def restarts(self, move: Move, started: Started) -> None:
        """Its record is ACTIVE in its next life: it gets a new process."""
        ...

    def recovers(self, move: Move) -> None:
        """Its record is ACTIVE as before, but its process ended meanwhile."""
        ...

    def left(self, move: Move, departed: Departed | None) -> None:
        """It has moved: what waited for it follows. None: it came back before its leaving was noted."""
        ...

    def ends_process(self, move: Move, grace: float) -> None:
        """Its old process has to end."""
        ...

    def in_doubt(self, move: Move, error: TransferInDoubtError) -> None:
        """Nobody here knows whether it moved; its process has been ended."""
        ...

    def adopted(self, move: Move, adopted: Adopted) -> None:
        """An operator has taken it back; a process, if it was active, is begun by ``restarts``."""
        ...

    def settled(self, move: Move) -> None:
        """Nothing more follows here."""
        ...


@dataclass(slots=True)
class MoveParts:
    """What every move of a host needs."""

    store: Store
    states: States
    peers: Peers
    key: HostKey
    asker: Asker
    open_transfers: OpenTransfers
    events: Events
    aftermath: Aftermath
    passports: Passports


@dataclass(slots=True)
class Cargo:
    """What a move carries; nothing after a restart, when there is only something to ask about."""

    target: Target
    header: SignedHeader
    payload: Payload
    clone: PagletRecord | None = None
    """The clone's record-to-be, PREPARED; for clones only."""
    files: tuple[FileRecord, ...] | None = None
    """As they were sent ahead; None: there are none, or they are a clone's."""
    queue_key: str | None = None
    """It waited in the outbox under that key."""
    stored: bool = False
    """The payload is the record's stored state: a parked paglet's."""
