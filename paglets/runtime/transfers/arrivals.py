"""The target's side of moves: verify, admit, decide in one commit, answer - and only then begin the new life."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
import time
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from msgspec.structs import replace

from paglets.core.errors import (
    AuthenticationError,
    ForbiddenError,
    HostError,
    PagletError,
    TransferError,
)
from paglets.core.incarnation import TransferId
from paglets.persistence.journal import arrivals
from paglets.persistence.journal.peers import note_counter, note_floor, unsure_below
from paglets.persistence.records import FileRecord, Outcome, PagletRecord, PendingHook, VerdictRecord
from paglets.remote.envelopes.header import EnvelopeHeader, SignedHeader, verify_header
from paglets.remote.envelopes.trailer import verify_trailer
from paglets.remote.envelopes.verdicts import VerdictAnswer, sign_verdict
from paglets.remote.wire.peer import PeerKind
from paglets.runtime.early_start import EarlyStart
from paglets.runtime.lives import Life
from paglets.runtime.transfers.advice import Advice
from paglets.runtime.transfers.arriving_records import arrives_parked, arriving_record, crossing
from paglets.runtime.transfers.asking import VerdictReply
from paglets.runtime.transfers.incoming_payload import IncomingPayload
from paglets.runtime.transfers.passports import Passports
from paglets.runtime.undivided import Undivided

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from paglets.persistence.store import StagedBlob, Store
    from paglets.persistence.transaction import JournalTransaction
    from paglets.remote.api import VerdictAskParams
    from paglets.remote.envelopes.stops import Stop
    from paglets.remote.envelopes.trailer import EnvelopeTrailer
    from paglets.remote.trust.keys import HostKey
    from paglets.remote.wire.peer import Peer
    from paglets.remote.wire.stream_server import IncomingStream
    from paglets.runtime.adoption.meetings import Meetings
    from paglets.runtime.beginnings import Beginnings
    from paglets.runtime.children.child import Child
    from paglets.runtime.delivery import Delivery
    from paglets.runtime.events import Events
    from paglets.runtime.files.arriving import ArrivingFiles
    from paglets.runtime.gate import Gate
    from paglets.runtime.here import Here
    from paglets.runtime.residents import Resident, Residents
    from paglets.runtime.settings import Limits
    from paglets.runtime.supervisor import Supervisor

logger = logging.getLogger(__name__)

_DECIDING = "deciding"


class Arrivals:
    """Takes envelopes from other hosts. A ``StreamHandler`` of the listener."""

    def __init__(
        self,
        *,
        store: Store,
        residents: Residents,
        supervisor: Supervisor,
        beginnings: Beginnings,
        delivery: Delivery,
        events: Events,
        here: Here,
        key: HostKey,
        limits: Limits,
        files: ArrivingFiles,
        is_revoked: Callable[[str], bool],
        came_home: Callable[[TransferId], None],
        parked: Callable[[str], None],
        gate: Gate,
        meetings: Meetings,
    ) -> None:
        self._store = store
        self._residents = residents
        self._supervisor = supervisor
        self._beginnings = beginnings
        self._delivery = delivery
        self._events = events
        self._here = here
        self._key = key
        self._limits = limits
        self._files = files
        self._is_revoked = is_revoked
        self._came_home = came_home
        self._parked = parked
        self._gate = gate
        self._meetings = meetings
        self._under_way: list[dict[str, Any]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._undivided = Undivided()
        self._advice = Advice()
        self._passports = Passports(store)

    # --- one transfer ----------------------------------------------------------------------------------

    async def receive(self, peer: Peer, stream: IncomingStream) -> bytes:
        """See ``StreamHandler``: the signed verdict on one envelope.

        What is not genuine or not complete is refused by an error, and nothing of it is stored. A genuine,
        complete envelope always gets a verdict; refusing one is FENCED, committed before it is said.
        """
        signed = self._verified(peer, stream)
        header = signed.header
        if len(self._under_way) >= self._limits.incoming_transfers:
            raise HostError("this host takes as many transfers as it may at once; try again in a moment")
        shown = {
            "transfer_id": str(header.transfer_id),
            "agent_id": header.agent_id,
            "peer": header.source_name or header.source,
            "direction": "in",
            "status": "receiving",
        }
        self._under_way.append(shown)
        try:
            with self._files.keeping(header):
                return await self._take(peer, stream, signed, shown)
        except PagletError as error:
            self._advice.keep(header.transfer_id, str(error))
            raise
        finally:
            # Not by value: the same envelope may be coming in twice.
            self._under_way = [each for each in self._under_way if each is not shown]

    def _verified(self, peer: Peer, stream: IncomingStream) -> SignedHeader:
        try:
            if peer.kind is not PeerKind.MEMBER:
                raise ForbiddenError(f"only hosts of the mesh send paglets, not a {peer.kind.value}")
            return verify_header(
                stream.header, mesh_id=self._here.mesh_id, destination=self._here.host_id, source=peer.host_id
            )
        except (AuthenticationError, ForbiddenError) as error:
            self._alarm(peer, "envelope", error)
            raise

    def _alarm(self, peer: Peer, what: str, error: Exception) -> None:
        logger.warning(
            "an envelope was refused", extra={"peer": peer.name or peer.address, "error": str(error)}
        )
        self._events.emit(
            "security",
            data={"what": what, "peer": peer.host_id or peer.address, "address": peer.address},
            error=str(error),
        )

    async def _take(
        self, peer: Peer, stream: IncomingStream, signed: SignedHeader, shown: dict[str, Any]
    ) -> bytes:
        header = signed.header
        stream.expect(header.payload_size)
        await self._advise(header)
        parked = arrives_parked(header)
        async with (
            contextlib.nullcontext() if parked else self._early(header) as start,
            IncomingPayload(self._store, header.payload_size) as incoming,
        ):
            if reason := await self._store.look(lambda: self._refused_by_store(header)):
                raise TransferError(reason)
            async for chunk in stream:
                await incoming.write(chunk)
            digest = await incoming.digest()
            try:
                trailer = verify_trailer(
                    stream.trailer, signed, payload_size=incoming.size, payload_digest=digest
                )
            except (AuthenticationError, ForbiddenError) as error:
                self._alarm(peer, "trailer", error)
                raise
            # From here on the envelope is genuine and complete: whatever happens, it gets a verdict.
            shown["status"] = _DECIDING
            try:
                decided = await self._decide(signed, trailer, incoming, start)
            finally:
                self._files.decided(header.transfer_id)
        return self._answer(decided, self._life(header))

    def _early(self, header: EnvelopeHeader) -> EarlyStart:
        life = Life(header.agent_id, header.incarnation, header.class_name, header.state_class_name)
        return EarlyStart(self._supervisor, life, size=header.payload_size, on_behalf=header.source)

    async def _advise(self, header: EnvelopeHeader) -> None:
        """Refuse early what would be refused anyway, before the payload has crossed the network."""
        if reason := self._gate.refusal():
            raise TransferError(reason)
        expected = header.ticket.get("expected_code_version")
        if self._here.code_version not in {header.code_version, expected}:
            raise TransferError(
                f"host {self._here.name} runs mesh code version {self._here.code_version!r}, the sender "
                f"{header.code_version!r}; a ticket with expected_code_version={self._here.code_version!r} says that "
                "it is meant"
            )
        if header.payload_size > self._limits.state_bytes:
            raise TransferError(
                f"a state of {header.payload_size} bytes is over this host's bound of {self._limits.state_bytes}"
            )
        if not arrives_parked(header):
            self._residents.check_room(spare=True)
            self._supervisor.memory.check()
        await self._files.of(header)

    def _refused_by_store(self, header: EnvelopeHeader) -> str:
        """Why what the store holds, or its disk, speaks against that arrival; empty when nothing does. Blocks."""
        if not self._store.accepts_arrivals(header.payload_size):
            return (
                f"the store of host {self._here.name} is nearly full, and takes no more paglets; make room on its "
                "disk, or choose another host"
            )
        standing, unsure = self._store.read_sync(
            lambda tx: (
                tx.paglet(header.agent_id),
                unsure_below(cast("JournalTransaction", tx), self._here.host_id, header.source),
            )
        )
        if header.transfer_id.counter < unsure:
            return arrivals.FORCED
        arriving = arriving_record(header)
        reason = arrivals.refusal(standing, arriving)
        # One that an adoption has outdone is decided on, so that its source is told.
        return "" if arrivals.is_outdone(standing, arriving) else reason

    async def _decide(
        self,
        signed: SignedHeader,
        trailer: EnvelopeTrailer,
        incoming: IncomingPayload,
        start: EarlyStart | None,
    ) -> _Decided:
        header = signed.header
        try:
            files = await self._files.of(header)
        except TransferError as error:
            return await self._fence(header, str(error))
        child: Child | None = None
        if start is not None:
            try:
                child, _ = await start.finish(await incoming.payload())
            except (PagletError, OSError) as error:
                return await self._fence(header, f"{type(error).__name__}: {error}")
        try:
            staged = await incoming.staged()
        except BaseException:
            self._drop(child)
            raise
        # Whoever is cancelled while it is being written: what was decided has to be acted on.
        keeping = contextlib.ExitStack()
        keeping.enter_context(self._files.keeping(header))
        cargo = _Cargo(signed, trailer.passport, files)
        return await self._undivided.run(self._commit(cargo, staged, child, keeping))

    async def _commit(
        self, cargo: _Cargo, staged: StagedBlob, child: Child | None, keeping: contextlib.ExitStack
    ) -> _Decided:
        """Decide, and give the child to the paglet that has arrived, or end it. ``keeping``: its files, so long."""
        with keeping:
            return await self._commit_keeping(cargo, staged, child)

    async def _commit_keeping(self, cargo: _Cargo, staged: StagedBlob, child: Child | None) -> _Decided:
        header, at = cargo.signed.header, time.time()
        verdict = VerdictRecord(
            header.transfer_id, header.agent_id, header.incarnation, Outcome.ARRIVED, "", at
        )
        try:
            receipt = sign_verdict(self._key, self._here.mesh_id, verdict).encode()
            passport = await self._passports.stage(cargo.stops, cargo.signed.encode(), receipt)
            record = arriving_record(header, receipt, staged.ref, passport.ref, cargo.files)
            begins = record.pending
            if begins is not None and child is not None and child.admitted is not None:
                record = replace(record, pending=begins.among(child.admitted.hooks))

            def rule(tx: Any) -> _Decided:
                if why := self._refusal(header):
                    return arrivals.fence(tx, self._here.host_id, crossing(header), why, at=at)
                return arrivals.arrive(tx, self._here.host_id, header.transfer_id, record, at=at)

            with self._residents.landing(header.agent_id):
                decided = await self._store.commit(rule, blobs=[staged, passport])
                if isinstance(decided, arrivals.Decided) and decided.fresh:
                    self._meetings.decided(decided, header.source_name or header.source)
                    if decided.verdict.outcome is Outcome.ARRIVED:
                        arrived, child = child, None
                        self._arrived(record, begins, decided, arrived)
        except BaseException:
            self._drop(child)
            raise
        self._drop(child)
        return decided

    def _refusal(self, header: EnvelopeHeader) -> str:
        """Why the host itself, as it is in this moment, takes nothing from there; empty when it does."""
        if self._is_revoked(header.source):
            return "the sending host was revoked"
        return self._gate.refusal()

    def _drop(self, child: Child | None) -> None:
        if child is not None:
            self._supervisor.end(child, grace=0)

    async def _fence(self, header: EnvelopeHeader, reason: str) -> _Decided:
        return await self._store.commit(
            lambda tx: arrivals.fence(tx, self._here.host_id, crossing(header), reason, at=time.time())
        )

    def _arrived(
        self,
        record: PagletRecord,
        begins: PendingHook | None,
        decided: arrivals.Decided,
        child: Child | None,
    ) -> None:
        """The commit has decided: bring the table up to date, and begin the new life beside the answer."""
        earlier = self._residents.get(record.agent_id)
        if decided.replaced is not None and decided.replaced.files:
            self._files.tidy()
        if decided.came_home is not None:
            self._came_home(decided.came_home.transfer_id)
        if earlier is not None:
            self._residents.remove(earlier)
            if earlier.child is not None:
                self._supervisor.end(earlier.child, grace=self._limits.end_grace)
        if child is not None:
            resident = self._residents.add(record, begins=begins)
            resident.child = child
            self._own(self._begin(resident, decided))
        else:
            self._parked(record.agent_id)
            self._events.emit(
                "arrival", agent_id=record.agent_id, class_name=record.class_name, data={"parked": True}
            )
        if earlier is not None:
            self._delivery.reroute(earlier)

    async def _begin(self, resident: Resident, decided: arrivals.Decided) -> None:
        with contextlib.suppress(PagletError):  # shown by its record, and told to whoever asks about the hook
            await self._beginnings.begin(resident, decided.messages)

    # --- verdicts --------------------------------------------------------------------------------------

    def _life(self, header: EnvelopeHeader) -> Resident | None:
        """The life that has arrived with it, while it goes on here."""
        resident = self._residents.get(header.agent_id)
        return resident if resident is not None and resident.incarnation == header.incarnation else None

    def _answer(self, decided: _Decided, life: Resident | None = None) -> bytes:
        if isinstance(decided, arrivals.Closed):
            raise TransferError(
                f"this host has been told that all transfers below {decided.floor} are settled"
            )
        if isinstance(decided, arrivals.Unsure):
            raise TransferError(decided.reason)
        signed = sign_verdict(
            self._key, self._here.mesh_id, decided.verdict
        )  # quicker than a visit to a thread
        return VerdictAnswer(
            verdict=signed.encode().decode("ascii"),
            store_id=self._store.store_id,
            commit=self._store.commit_number,
            begun=life is not None and life.has_begun,
        ).encode()

    async def answer_query(self, peer: Peer, params: VerdictAskParams) -> VerdictReply:
        """Tell a source this host's verdict on one of its transfers; "never heard of it" becomes FENCED first."""
        if peer.kind is not PeerKind.MEMBER or peer.host_id != params.source:
            raise ForbiddenError("a host asks for verdicts on its own transfers only")
        transfer_id = _transfer_id(params)
        deciding = [each["transfer_id"] for each in self._under_way if each["status"] == _DECIDING]
        if str(transfer_id) in deciding:
            return VerdictReply(unsure="the envelope is being looked at right now; ask again")

        asked = arrivals.Crossing(transfer_id, params.agent_id, params.incarnation)

        def rule(tx: Any) -> _Decided:
            note_floor(tx, params.source, params.floor)
            note_counter(tx, self._here.host_id, params.source, params.next_counter)
            advice = self._advice.of(transfer_id)
            return arrivals.answer_query(tx, self._here.host_id, asked, at=time.time(), advice=advice)

        decided = await self._store.commit(rule)
        self._advice.forget(transfer_id)
        self._files.decided(transfer_id)
        if isinstance(decided, arrivals.Closed):
            return VerdictReply(closed=decided.floor)
        if isinstance(decided, arrivals.Unsure):
            return VerdictReply(unsure=decided.reason)
        return VerdictReply(verdict=base64.b64encode(self._answer(decided)).decode("ascii"))

    def under_way(self) -> list[dict[str, Any]]:
        """The transfers that are coming in now, for people."""
        return list(self._under_way)

    # --- tasks -----------------------------------------------------------------------------------------

    def _own(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("beginning the life of a paglet that arrived failed", exc_info=error)

    async def aclose(self) -> None:
        """Stop beginning new lives; the records say where they were."""
        await self._undivided.aclose()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


_Decided = arrivals.Decided | arrivals.Closed | arrivals.Unsure


class _Cargo(NamedTuple):
    """What came with a payload."""

    signed: SignedHeader
    stops: Sequence[Stop]
    files: tuple[FileRecord, ...]


def _transfer_id(params: VerdictAskParams) -> TransferId:
    return TransferId(params.source, params.counter)
