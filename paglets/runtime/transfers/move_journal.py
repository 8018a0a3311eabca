"""The durable steps of one move at its source; each gives the event that tells its machine how it went."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec.structs import replace

from paglets.core.errors import HostError, PagletError
from paglets.persistence.errors import StoreError, StoreFailedError
from paglets.persistence.journal import adoption, moves
from paglets.persistence.journal.conflict import JournalConflict
from paglets.persistence.journal.peers import note_peer_store
from paglets.runtime.transfers import events as on
from paglets.runtime.transfers.passports import last_stop

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from paglets.persistence.journal.adoption import Adopted
    from paglets.persistence.journal.lifecycle import Started
    from paglets.persistence.journal.moves import Departed
    from paglets.persistence.records import Outgoing, PagletRecord, PeerRecord
    from paglets.persistence.store import StagedBlob
    from paglets.remote.envelopes.stops import Stop
    from paglets.runtime.transfers.asking import Heard
    from paglets.runtime.transfers.move_parts import Cargo, MoveParts

logger = logging.getLogger(__name__)

ResultT = TypeVar("ResultT")

_RECOVERED = {"reason": "recovered"}


class MoveJournal:
    """What the journal holds of one move, and the commits that change it.

    ``agent_id``: the one that the transfer is journaled under, the clone's own for a clone.
    """

    def __init__(self, parts: MoveParts, record: PagletRecord, outgoing: Outgoing, agent_id: str) -> None:
        self._parts = parts
        self._record = record
        self._outgoing = outgoing
        self._agent_id = agent_id
        self._target_store: PeerRecord | None = None
        self._verdict = b""
        self.payload_digest = record.state.digest if record.state else b""
        self.started: Started | None = None
        """The life that it goes on in here, once that is written."""
        self.departed: Departed | None = None
        self.adopted: Adopted | None = None

    def heard(self, heard: Heard) -> None:
        """The target has said something: its signed verdict is kept with the settlement."""
        self._target_store = heard.store or self._target_store
        self._verdict = heard.verdict or self._verdict

    async def stops(self) -> tuple[Stop, ...]:
        """Where the paglet has been before."""
        return await self._parts.passports.stops(self._record)

    async def prepare(self, cargo: Cargo, sealed: Callable[[bytes], None]) -> on.Event:
        """Write PREPARED, with the state; ``sealed`` gets that one's SHA-256 before it is durable."""
        begun = False
        staged: list[StagedBlob] = []
        try:
            if not cargo.stored:
                staged = [await self._parts.states.stage(cargo.payload)]
                self.payload_digest = staged[0].ref.digest
            sealed(self.payload_digest)
            begun = True
            await self._parts.store.commit(self._prepare_rule(cargo, staged), blobs=staged)
        except (JournalConflict, StoreError) as error:
            certain = not isinstance(error, StoreFailedError) or not begun
            return on.PreparedRefused(str(error)) if certain else on.PreparedUnknown(str(error))
        except Exception as error:
            logger.exception("preparing a move failed", extra={"agent_id": self._agent_id})
            reason = f"{type(error).__name__}: {error}"
            return on.PreparedUnknown(reason) if begun else on.PreparedRefused(reason)
        return on.PreparedWritten()

    def _prepare_rule(self, cargo: Cargo, staged: list[StagedBlob]) -> Callable[[Any], object]:
        state = staged[0].ref if staged else None
        if cargo.clone is not None:
            clone = replace(cargo.clone, state=state)
            return lambda tx: moves.prepare_clone(tx, clone)
        return lambda tx: moves.prepare(
            tx,
            self._record.agent_id,
            self._record.incarnation,
            self._outgoing,
            state=state,
            at=time.time(),
            files=cargo.files,
            queue_key=cargo.queue_key,
        )

    async def abort(self, *, process_alive: bool) -> on.Event:
        """Take it back, before its trailer has left."""

        def rule(tx: Any) -> Started | None:
            return moves.abort(
                tx,
                self._agent_id,
                self._outgoing.transfer_id,
                process_alive=process_alive,
                event=_RECOVERED,
                at=time.time(),
            )

        try:
            self.started = await self._write(self._parts.store.commit(rule))
        except PagletError as error:
            return on.AbortRefused(str(error))
        return on.AbortWritten()

    async def arrived(self) -> on.Event:
        """Settle it: the paglet is at its target."""
        try:
            self.departed = await self._write(self._parts.store.commit(self._settle_arrived))
        except PagletError as error:
            return _not_settled(error)
        return on.SettlementWritten()

    def _settle_arrived(self, tx: Any) -> Departed:
        self._note_target_store(tx)
        return moves.settle_arrived(
            tx,
            self._agent_id,
            self._outgoing.transfer_id,
            self._outgoing.incarnation,
            at=time.time(),
            last_stop=last_stop(self._outgoing, self._verdict),
        )

    async def fenced(self, *, process_alive: bool) -> on.Event:
        """Settle it: the paglet stays here."""

        def rule(tx: Any) -> Started | None:
            self._note_target_store(tx)
            return moves.settle_fenced(
                tx,
                self._agent_id,
                self._outgoing.transfer_id,
                self._outgoing.incarnation,
                process_alive=process_alive,
                event=_RECOVERED,
                at=time.time(),
            )

        try:
            self.started = await self._write(self._parts.store.commit(rule))
        except PagletError as error:
            return _not_settled(error)
        return on.SettlementWritten()

    async def adopt(self) -> on.Event:
        """Take it back in a new lineage, as an operator wants."""
        own_id = self._outgoing.transfer_id.source

        def rule(tx: Any) -> Adopted:
            return adoption.adopt(
                tx, own_id, self._agent_id, self._outgoing.transfer_id, event=_RECOVERED, at=time.time()
            )

        try:
            self.adopted = await self._write(self._parts.store.commit(rule))
        except PagletError as error:
            return on.AdoptionRefused(str(error))
        self.started = self.adopted.started
        return on.AdoptionWritten()

    def _note_target_store(self, tx: Any) -> None:
        if (seen := self._target_store) is not None:
            note_peer_store(tx, seen.host_id, seen.store_id, seen.commit)

    async def _write(self, step: Awaitable[ResultT]) -> ResultT:
        """Whatever keeps a step from being written, the machine has to hear of it, or it waits for ever."""
        try:
            return await step
        except PagletError:
            raise
        except Exception as error:
            logger.exception("a step of a move was not written", extra={"agent_id": self._agent_id})
            raise HostError(f"{type(error).__name__}: {error}") from error


def _not_settled(error: PagletError) -> on.Event:
    return on.SettlementRefused(str(error), overtaken=isinstance(error, JournalConflict))
