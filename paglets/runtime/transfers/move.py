"""Carries out one move: feeds its machine with what happens, and does what the machine asks for."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from msgspec.structs import replace

from paglets.core.errors import HostError, PagletError, RemoteHostError, TransferError, TransferInDoubtError
from paglets.persistence.errors import StoreError
from paglets.persistence.journal import moves
from paglets.persistence.journal.conflict import JournalConflict
from paglets.persistence.records import MoveKind
from paglets.remote.envelopes.trailer import sign_trailer
from paglets.remote.wire.settings import CHUNK_BYTES
from paglets.runtime.transfers import effects as do
from paglets.runtime.transfers import events as on
from paglets.runtime.transfers import source

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from paglets.persistence.journal.lifecycle import Started
    from paglets.persistence.journal.moves import Departed
    from paglets.persistence.records import Outgoing, PagletRecord
    from paglets.persistence.store import StagedBlob, Store
    from paglets.remote.envelopes.header import SignedHeader
    from paglets.remote.trust.keys import HostKey
    from paglets.remote.wire.pool import OutgoingStream
    from paglets.runtime.events import Events
    from paglets.runtime.memory_files import Payload
    from paglets.runtime.peers import Peers, Target
    from paglets.runtime.residents import Resident
    from paglets.runtime.states import States
    from paglets.runtime.transfers.asking import Asker
    from paglets.runtime.transfers.open_ids import OpenTransfers

logger = logging.getLogger(__name__)

_RECOVERED = {"reason": "recovered"}
_SLICE = min(CHUNK_BYTES, 256 * 1024)


class Aftermath(Protocol):
    """What a settled or stuck move means for the paglet here."""

    async def stays(self, move: Move) -> None:
        """It goes on in its process: ``on_dispatch_failed``, mailbox open again."""
        ...

    async def restarts(self, move: Move, started: Started) -> None:
        """Its record is ACTIVE in its next life: it gets a new process."""
        ...

    async def recovers(self, move: Move) -> None:
        """Its record is ACTIVE as before, but its process ended meanwhile."""
        ...

    async def left(self, move: Move, departed: Departed | None) -> None:
        """It has moved: what waited for it follows. None: it came back before its leaving was noted."""
        ...

    def ends_process(self, move: Move, grace: float) -> None:
        """Its old process has to end."""
        ...

    def in_doubt(self, move: Move, error: TransferInDoubtError) -> None:
        """Nobody here knows whether it moved; its process has been ended."""
        ...

    def settled(self, move: Move) -> None:
        """The transfer is settled, one way or the other."""
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


@dataclass(slots=True)
class Cargo:
    """What a move carries; nothing after a restart, when there is only something to ask about."""

    target: Target
    header: SignedHeader
    payload: Payload
    clone: PagletRecord | None = None
    """The clone's record-to-be, PREPARED; for clones only."""
    stored: bool = False
    """The payload is the record's stored state: a parked paglet's."""


class Move:
    """One transfer, from its beginning here until it is settled. Runs as one task, owned by the mover.

    ``result`` tells whoever waits: None when it moved, ``TransferError`` when it did not, durably,
    ``TransferInDoubtError`` when that is not known in the ticket's time.
    """

    def __init__(
        self,
        parts: MoveParts,
        record: PagletRecord,
        outgoing: Outgoing,
        *,
        cargo: Cargo | None,
        resident: Resident | None,
    ) -> None:
        self.record = record
        self.outgoing = outgoing
        self.resident = resident
        self.result: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.result.add_done_callback(_retrieve)
        self._parts = parts
        self._cargo = cargo
        self._loop = asyncio.get_running_loop()
        self._events: asyncio.Queue[on.Event] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()
        self._asking: asyncio.TimerHandle | None = None
        self._stream: OutgoingStream | None = None
        self._connection = contextlib.AsyncExitStack()
        self._staged: StagedBlob | None = None
        self._payload_digest = record.state.digest if record.state else b""
        self._started: Started | None = None
        self._departed: Departed | None = None
        now = self._loop.time()
        first = (
            source.begin(record.agent_id, outgoing, now=now)
            if cargo
            else source.resume(record.agent_id, outgoing)
        )
        self._state = first.move
        self._first = first.effects
        self._perform: dict[type[Any], Callable[[Any], Awaitable[None]]] = {
            do.WritePrepared: self._write_prepared,
            do.StartStream: self._start_stream,
            do.SendTrailer: self._send_trailer,
            do.CloseStream: self._close_stream,
            do.WriteAbort: self._write_abort,
            do.WriteArrived: self._write_arrived,
            do.WriteFenced: self._write_fenced,
            do.Ask: self._ask,
            do.ResumeProcess: self._resume_process,
            do.RecoverProcess: self._recover_process,
            do.RestartProcess: self._restart_process,
            do.EndProcess: self._end_process,
            do.ForwardMessages: self._forward_messages,
            do.ReportMoved: self._report_moved,
            do.ReportFailed: self._report_failed,
            do.ReportInDoubt: self._report_in_doubt,
            do.ReportParked: self._report_parked,
        }

    @property
    def event(self) -> dict[str, Any]:
        """The fields of the event that the move's hooks are told."""
        return dict(self._cargo.header.header.event) if self._cargo else {}

    @property
    def state(self) -> source.SourceMove:
        """How far it has come."""
        return self._state

    def tell(self, event: on.Event) -> None:
        """Something happened that the move has to know of."""
        self._events.put_nowait(event)

    async def run(self) -> None:
        """Carry the move out until it is settled or parked. Cancelled only when the host stops."""
        deadline = None
        if self._state.deadline != float("inf"):
            deadline = self._loop.call_at(self._state.deadline, self.tell, on.DeadlinePassed())
        try:
            effects = self._first
            while True:
                for effect in effects:
                    await self._perform[type(effect)](effect)
                if self._state.settled or self._state.stage is source.Stage.PARKED:
                    return
                event = await self._events.get()
                self._state, effects = source.step(self._state, event, self._loop.time())
        finally:
            if deadline is not None:
                deadline.cancel()
            await self._wind_up()

    async def _wind_up(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._leave_stream()
        if self._cargo is not None:
            self._cargo.payload.close()
        if self._state.settled:
            self._parts.open_transfers.settle(self.outgoing.transfer_id)
            self._parts.aftermath.settled(self)

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # --- the journal

    async def _write_prepared(self, _: do.WritePrepared) -> None:
        self._spawn(self._prepare())

    async def _prepare(self) -> None:
        cargo = self._cargo
        if cargo is None:
            raise AssertionError("a move that was taken up after a restart is prepared already")
        try:
            if not cargo.stored:
                self._staged = await self._parts.states.stage(cargo.payload)
                self._payload_digest = self._staged.ref.digest
            blobs = [self._staged] if self._staged else []
            await self._parts.store.commit(self._prepare_rule(cargo), blobs=blobs)
        except (JournalConflict, StoreError) as error:
            self.tell(on.PreparedRefused(str(error)))
        else:
            self.tell(on.PreparedWritten())

    def _prepare_rule(self, cargo: Cargo) -> Callable[[Any], object]:
        staged = self._staged
        if cargo.clone is not None and staged is not None:
            clone = _with_state(cargo.clone, staged)
            return lambda tx: moves.prepare_clone(tx, clone)
        return lambda tx: moves.prepare(
            tx,
            self.record.agent_id,
            self.record.incarnation,
            self.outgoing,
            state=staged.ref if staged else None,
            at=time.time(),
        )

    async def _write_abort(self, effect: do.WriteAbort) -> None:
        def rule(tx: Any) -> Started | None:
            return moves.abort(
                tx,
                self._agent_id,
                self.outgoing.transfer_id,
                process_alive=effect.process_alive,
                event=_RECOVERED,
                at=time.time(),
            )

        try:
            self._started = await self._parts.store.commit(rule)
        except (JournalConflict, StoreError) as error:
            self.tell(on.AbortRefused(str(error)))
        else:
            self.tell(on.AbortWritten())

    async def _write_arrived(self, _: do.WriteArrived) -> None:
        def rule(tx: Any) -> Departed:
            return moves.settle_arrived(
                tx, self._agent_id, self.outgoing.transfer_id, self.outgoing.incarnation, at=time.time()
            )

        try:
            self._departed = await self._parts.store.commit(rule)
        except (JournalConflict, StoreError) as error:
            self.tell(on.SettlementRefused(str(error), overtaken=isinstance(error, JournalConflict)))
        else:
            self.tell(on.SettlementWritten())

    async def _write_fenced(self, effect: do.WriteFenced) -> None:
        def rule(tx: Any) -> Started | None:
            return moves.settle_fenced(
                tx,
                self._agent_id,
                self.outgoing.transfer_id,
                self.outgoing.incarnation,
                process_alive=effect.process_alive,
                event=_RECOVERED,
                at=time.time(),
            )

        try:
            self._started = await self._parts.store.commit(rule)
        except (JournalConflict, StoreError) as error:
            self.tell(on.SettlementRefused(str(error), overtaken=isinstance(error, JournalConflict)))
        else:
            self.tell(on.SettlementWritten())

    @property
    def _agent_id(self) -> str:
        """The id the transfer is journaled under: the clone's own for a clone."""
        return self._state.agent_id

    # --- the stream

    async def _start_stream(self, _: do.StartStream) -> None:
        self._spawn(self._send_payload())

    async def _send_payload(self) -> None:
        cargo = self._cargo
        if cargo is None:
            raise AssertionError("a move that was taken up after a restart sends nothing")
        try:
            stream = await self._connection.enter_async_context(self._parts.peers.stream(cargo.target))
            self._stream = stream
            await stream.send_header(cargo.header.encode())
            offset = 0
            while offset < cargo.payload.size:
                chunk = cargo.payload.pread(_SLICE, offset)
                await stream.send_chunk(chunk)
                offset += len(chunk)
        except PagletError as error:
            if isinstance(error, RemoteHostError):
                self._parts.peers.lost(cargo.target.host_id)
            self.tell(_refusal(error))
        else:
            self.tell(on.PayloadSent())

    async def _send_trailer(self, _: do.SendTrailer) -> None:
        self._spawn(self._finish_stream())

    async def _finish_stream(self) -> None:
        cargo, stream = self._cargo, self._stream
        if cargo is None or stream is None:
            raise AssertionError("a trailer follows a payload")
        trailer = sign_trailer(
            self._parts.key,
            cargo.header,
            payload_size=cargo.payload.size,
            payload_digest=self._payload_digest,
        )
        try:
            await stream.send_trailer(trailer.encode())
            answer = await stream.verdict(self.outgoing.timeout)
            event = await self._parts.asker.read(self.outgoing, self._agent_id, answer)
        except PagletError as error:
            self.tell(_refusal(error))
        else:
            await self._leave_stream()
            self.tell(event)

    async def _close_stream(self, _: do.CloseStream) -> None:
        await self._leave_stream()

    async def _leave_stream(self) -> None:
        self._stream = None
        await self._connection.aclose()

    # --- asking

    async def _ask(self, effect: do.Ask) -> None:
        if self._asking is not None:
            self._asking.cancel()
        self._asking = self._loop.call_later(effect.after, self._start_asking)

    def _start_asking(self) -> None:
        self._spawn(self._ask_now())

    async def _ask_now(self) -> None:
        self.tell(await self._parts.asker.ask(self.outgoing, self._agent_id))

    # --- the paglet

    async def _resume_process(self, _: do.ResumeProcess) -> None:
        await self._parts.aftermath.stays(self)

    async def _recover_process(self, _: do.RecoverProcess) -> None:
        await self._parts.aftermath.recovers(self)

    async def _restart_process(self, _: do.RestartProcess) -> None:
        if self._started is None:
            raise HostError(f"the journal gave no new life for {self._agent_id}")
        await self._parts.aftermath.restarts(self, self._started)

    async def _end_process(self, effect: do.EndProcess) -> None:
        self._parts.aftermath.ends_process(self, effect.grace)

    async def _forward_messages(self, _: do.ForwardMessages) -> None:
        await self._parts.aftermath.left(self, self._departed)

    # --- what it says

    async def _report_moved(self, _: do.ReportMoved) -> None:
        if self._departed is None:
            await self._parts.aftermath.left(self, None)
        self._say("transfer-settled" if self._state.in_doubt else "dispatch", outcome="arrived")
        if not self.result.done():
            self.result.set_result(None)

    async def _report_failed(self, effect: do.ReportFailed) -> None:
        self._say("transfer-settled" if self._state.in_doubt else "transfer-failed", error=effect.reason)
        self._fail(
            TransferError(f"paglet {self.record.agent_id} did not move to {self._where}: {effect.reason}")
        )

    async def _report_in_doubt(self, effect: do.ReportInDoubt) -> None:
        error = self._doubt(effect.reason)
        self._say("transfer-in-doubt", error=effect.reason)
        self._parts.aftermath.in_doubt(self, error)
        self._fail(error)

    async def _report_parked(self, effect: do.ReportParked) -> None:
        error = self._doubt(effect.reason)
        logger.error("a transfer cannot be settled", extra={"transfer_id": str(self.outgoing.transfer_id)})
        self._say("transfer-in-doubt", error=f"parked: {effect.reason}")
        self._parts.aftermath.in_doubt(self, error)
        self._fail(error)

    @property
    def _where(self) -> str:
        return self.outgoing.target_name or self.outgoing.target_url or self.outgoing.target_id

    def _doubt(self, reason: str) -> TransferInDoubtError:
        detail = f"whether paglet {self.record.agent_id} moved to {self._where} is not known yet: {reason}"
        return TransferInDoubtError(str(self.outgoing.transfer_id), detail)

    def _fail(self, error: TransferError) -> None:
        if not self.result.done():
            self.result.set_exception(error)

    def _say(self, kind: str, *, outcome: str = "", error: str | None = None) -> None:
        shown = {"dispatch": self.outgoing.kind.value}.get(kind, kind)
        if self.outgoing.kind is MoveKind.CLONE and kind == "dispatch":
            return  # the original's lifecycle tells of it
        data = {"transfer_id": str(self.outgoing.transfer_id), "target_host_name": self._where}
        if outcome:
            data["outcome"] = outcome
        self._parts.events.emit(
            shown, agent_id=self._agent_id, class_name=self.record.class_name, data=data, error=error
        )


def _refusal(error: PagletError) -> on.Event:
    return on.StreamLost(str(error)) if isinstance(error, RemoteHostError) else on.Refused(str(error))


def _with_state(record: PagletRecord, staged: StagedBlob) -> PagletRecord:
    return replace(record, state=staged.ref)


def _retrieve(future: asyncio.Future[None]) -> None:
    if not future.cancelled():
        future.exception()  # in doubt after a restart, nobody waits
