"""Carries out one move: feeds its machine with what happens, and does what the machine asks for."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from paglets.core.errors import HostError, TransferError, TransferInDoubtError
from paglets.persistence.records import MoveKind
from paglets.runtime.transfers import effects as do
from paglets.runtime.transfers import events as on
from paglets.runtime.transfers import source
from paglets.runtime.transfers.move_journal import MoveJournal
from paglets.runtime.transfers.sending import Sending
from paglets.runtime.transfers.source_move import SourceMove, Stage

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from paglets.persistence.journal.adoption import Adopted
    from paglets.persistence.records import Outgoing, PagletRecord
    from paglets.runtime.residents import Resident
    from paglets.runtime.transfers.asking import Heard
    from paglets.runtime.transfers.move_parts import Cargo, MoveParts

logger = logging.getLogger(__name__)


class Move:
    """One transfer, from its beginning here until it is settled. Runs as one task, owned by the mover.

    ``result`` tells whoever waits: None when it moved, ``TransferError`` when it did not, durably,
    ``TransferInDoubtError`` when that is not known in the ticket's time; cancelled when the host stops.
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
        self.begun = False
        """Its target has said that its first hook there has returned, or that it has none."""
        self._parts = parts
        self._cargo = cargo
        self._loop = asyncio.get_running_loop()
        self._events: asyncio.Queue[on.Event] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()
        self._asking: asyncio.TimerHandle | None = None
        self._sending: Sending | None = None
        self._stream: asyncio.Task[None] | None = None
        self._refusal = ""
        self._adoption: asyncio.Future[Adopted] | None = None
        """What an operator waits for, who wants it back."""
        now = self._loop.time()
        first = (
            source.begin(record.agent_id, outgoing, now=now)
            if cargo
            else source.resume(record.agent_id, outgoing)
        )
        self._state = first.move
        self._journal = MoveJournal(parts, record, outgoing, first.move.agent_id)
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
            do.WriteAdopted: self._write_adopted,
            do.ReportAdopted: self._report_adopted,
            do.RefuseAdoption: self._refuse_adoption,
            do.ReportGaveWay: self._report_gave_way,
        }

    @property
    def event(self) -> dict[str, Any]:
        """The fields of the event that the move's hooks are told."""
        return dict(self._cargo.header.header.event) if self._cargo else {}

    @property
    def state(self) -> SourceMove:
        """How far it has come."""
        return self._state

    def tell(self, event: on.Event) -> None:
        """Something happened that the move has to know of."""
        self._events.put_nowait(event)

    async def run(self) -> None:
        """Carry the move out until it is over; one that is parked waits. Cancelled only when the host stops."""
        deadline = None
        if self._state.deadline != float("inf"):
            deadline = self._loop.call_at(self._state.deadline, self.tell, on.DeadlinePassed())
        effects = self._first
        try:
            while True:
                for effect in effects:
                    await self._do(effect)
                if self._state.over:
                    return
                event = await self._events.get()
                if isinstance(event, on.Refused):
                    self._refusal = event.reason
                self._state, effects = source.step(self._state, event, self._loop.time())
        finally:
            if deadline is not None:
                deadline.cancel()
            await self._wind_up()

    async def _do(self, effect: do.Effect) -> None:
        try:
            await self._perform[type(effect)](effect)
        except Exception:
            # The rest has to be done all the same: others wait for the outcome.
            logger.exception(
                "a step of a move failed",
                extra={"transfer_id": str(self.outgoing.transfer_id), "step": type(effect).__name__},
            )

    async def _wind_up(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        if self._cargo is not None:
            self._cargo.payload.close()
        self.result.cancel()
        self._not_adopted("it has just been settled")
        if self._state.settled:
            self._parts.open_transfers.settle(self.outgoing.transfer_id)
        if self._state.over:
            self._parts.aftermath.settled(self)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # --- the journal

    async def _write_prepared(self, _: do.WritePrepared) -> None:
        self._spawn(self._prepare())

    async def _prepare(self) -> None:
        self.tell(await self._journal.prepare(self._need_cargo(), self._seal))

    def _seal(self, payload_digest: bytes) -> None:
        if self._sending is not None:
            self._sending.seal(payload_digest)

    async def _write_abort(self, effect: do.WriteAbort) -> None:
        self.tell(await self._journal.abort(process_alive=effect.process_alive))

    async def _write_arrived(self, _: do.WriteArrived) -> None:
        self.tell(await self._journal.arrived())

    async def _write_fenced(self, effect: do.WriteFenced) -> None:
        self.tell(await self._journal.fenced(process_alive=effect.process_alive))

    async def _write_adopted(self, _: do.WriteAdopted) -> None:
        self.tell(await self._journal.adopt())

    @property
    def _agent_id(self) -> str:
        """The id the transfer is journaled under: the clone's own for a clone."""
        return self._state.agent_id

    def _need_cargo(self) -> Cargo:
        if self._cargo is None:
            raise AssertionError("a move that was taken up after a restart only asks")
        return self._cargo

    # --- the stream

    async def _start_stream(self, _: do.StartStream) -> None:
        self._sending = Sending(
            peers=self._parts.peers,
            key=self._parts.key,
            cargo=self._need_cargo(),
            stops=self._journal.stops,
            patience=self.outgoing.timeout,
            tell=self.tell,
            read=self._read,
        )
        self._stream = self._spawn(self._sending.run())

    async def _send_trailer(self, _: do.SendTrailer) -> None:
        if self._sending is not None:
            self._sending.finish(self._journal.payload_digest)

    async def _close_stream(self, _: do.CloseStream) -> None:
        if self._stream is not None:
            self._stream.cancel()
            await asyncio.wait([self._stream])

    def _read(self, frame: bytes) -> on.Event:
        return self._heard(self._parts.asker.read(self.outgoing, self._agent_id, frame))

    def _heard(self, heard: Heard) -> on.Event:
        self._journal.heard(heard)
        self.begun = heard.begun
        return heard.event

    # --- asking

    async def _ask(self, effect: do.Ask) -> None:
        if self._asking is not None:
            self._asking.cancel()
        self._asking = self._loop.call_later(effect.after, self._start_asking)

    def _start_asking(self) -> None:
        if self._state.stage is Stage.SENT:
            self._spawn(self._ask_now())

    async def _ask_now(self) -> None:
        self.tell(self._heard(await self._parts.asker.ask(self.outgoing, self._agent_id)))

    # --- the paglet

    async def _resume_process(self, _: do.ResumeProcess) -> None:
        await self._parts.aftermath.stays(
            self, self._journal.started.record if self._journal.started else None
        )

    async def _recover_process(self, _: do.RecoverProcess) -> None:
        self._parts.aftermath.recovers(self)

    async def _restart_process(self, _: do.RestartProcess) -> None:
        if self._journal.started is None:
            raise AssertionError("the journal gave no new life")
        self._parts.aftermath.restarts(self, self._journal.started)

    async def _end_process(self, effect: do.EndProcess) -> None:
        self._parts.aftermath.ends_process(self, effect.grace)

    async def _forward_messages(self, _: do.ForwardMessages) -> None:
        self._parts.aftermath.left(self, self._journal.departed)

    # --- adoption

    def adopt(self) -> asyncio.Future[Adopted]:
        """Take the paglet back, as an operator wants; ``HostError`` with why not, and nothing changed."""
        if self._adoption is None or self._adoption.done():
            self._adoption = self._loop.create_future()
            self._adoption.add_done_callback(_retrieve)
            self.tell(on.AdoptionWanted())
        if self._state.over:
            self._not_adopted("it has just been settled")
        return self._adoption

    async def _report_adopted(self, _: do.ReportAdopted) -> None:
        if self._journal.adopted is None:
            raise AssertionError("the journal gave no adopted copy")
        self._say("adopted")
        self._parts.aftermath.adopted(self, self._journal.adopted)
        if self._adoption is not None and not self._adoption.done():
            self._adoption.set_result(self._journal.adopted)

    async def _refuse_adoption(self, effect: do.RefuseAdoption) -> None:
        self._not_adopted(effect.reason)

    def _not_adopted(self, reason: str) -> None:
        if self._adoption is not None and not self._adoption.done():
            transfer_id = self.outgoing.transfer_id
            self._adoption.set_exception(HostError(f"transfer {transfer_id} cannot be adopted: {reason}"))

    async def _report_gave_way(self, _: do.ReportGaveWay) -> None:
        self._fail(self._doubt("it was adopted at another host, and the copy here is in quarantine"))

    # --- what it says

    async def _report_moved(self, _: do.ReportMoved) -> None:
        if self._journal.departed is None:
            self._parts.aftermath.left(self, None)
        self._say("transfer-settled" if self._state.in_doubt else "dispatch", outcome="arrived")
        if not self.result.done():
            self.result.set_result(None)

    async def _report_failed(self, effect: do.ReportFailed) -> None:
        # What the target said when it refused tells more than that it never heard of it again.
        reason = self._refusal or effect.reason
        self._say("transfer-settled" if self._state.in_doubt else "transfer-failed", error=reason)
        self._fail(TransferError(f"paglet {self.record.agent_id} did not move to {self._where}: {reason}"))

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


def _retrieve(future: asyncio.Future[Any]) -> None:
    if not future.cancelled():
        future.exception()  # in doubt after a restart, nobody waits
