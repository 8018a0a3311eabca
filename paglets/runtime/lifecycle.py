"""Wake, recover and copy the paglets of one host: everything that begins a life but births and arrivals."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any

import msgspec

from paglets.core.errors import InvalidAgentError, LifecycleError, PagletError
from paglets.persistence.journal import lifecycle
from paglets.persistence.journal.conflict import JournalConflict
from paglets.persistence.records import HookKind, PagletRecord, PendingHook, Phase
from paglets.runtime.lives import Life
from paglets.runtime.patience import within
from paglets.runtime.residents import OPERATION_TIMEOUT
from paglets.runtime.turns import Turnstile
from paglets.runtime.undivided import Undivided, undivided

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from paglets.persistence.journal.lifecycle import Started
    from paglets.persistence.records import BlobRef, FileRecord, QueuedRecord
    from paglets.persistence.store import Store
    from paglets.runtime.beginnings import Beginnings
    from paglets.runtime.checkpoints import Checkpoints
    from paglets.runtime.delivery import Delivery
    from paglets.runtime.events import Events
    from paglets.runtime.gate import Gate
    from paglets.runtime.here import Here
    from paglets.runtime.mailboxes import Mailboxes
    from paglets.runtime.memory_files import Payload
    from paglets.runtime.residents import Resident, Residents
    from paglets.runtime.settings import Limits
    from paglets.runtime.states import States
    from paglets.runtime.supervision.supervision import Supervision
    from paglets.runtime.supervisor import Supervisor
    from paglets.runtime.work_places import WorkPlaces

_STATE_READS = 16
"""States that are turned into text at a time, two of one paglet: each can be large, and a stuck one takes its time."""


class Lifecycle:
    """Begins further lives of paglets on one host, apart from those that arrive."""

    def __init__(
        self,
        *,
        store: Store,
        states: States,
        residents: Residents,
        supervisor: Supervisor,
        mailboxes: Mailboxes,
        delivery: Delivery,
        beginnings: Beginnings,
        supervision: Supervision,
        checkpoints: Checkpoints,
        work_places: WorkPlaces,
        events: Events,
        here: Here,
        limits: Limits,
        gate: Gate,
    ) -> None:
        self._store = store
        self._states = states
        self._residents = residents
        self._supervisor = supervisor
        self._mailboxes = mailboxes
        self._delivery = delivery
        self._beginnings = beginnings
        self._supervision = supervision
        self._checkpoints = checkpoints
        self._work_places = work_places
        self._events = events
        self._here = here
        self._limits = limits
        self._gate = gate
        self._state_reads = asyncio.Semaphore(_STATE_READS)
        self._readers = Turnstile(_STATE_READS // 8)
        self._tasks: set[asyncio.Task[None]] = set()
        self.undivided = Undivided()

    # --- wake

    @undivided
    async def activate(self, agent_id: str, waiting: Sequence[str] = ()) -> Resident:
        """Wake a parked paglet, or start a failed or crashed one again; returns when its hook has returned.

        Nothing happens to one that is active and well. ``InvalidAgentError`` when there is no such paglet here.
        ``waiting``: paglets whose handlers wait for this.
        """
        resident, started = await self._raise_up(agent_id, waiting)
        if started is not None:
            await self._beginnings.begin(resident, started.messages)
        else:
            await asyncio.shield(resident.settled)
        return resident

    @undivided
    async def rouse(self, agent_id: str, waiting: Sequence[str] = ()) -> None:
        """The same, returning when it has a process; its first hook runs beside."""
        resident, started = await self._raise_up(agent_id, waiting)
        if started is not None:
            self._own(self._begin_quietly(resident, started.messages))

    async def _raise_up(self, agent_id: str, waiting: Sequence[str]) -> tuple[Resident, Started | None]:
        async with self._residents.claim(agent_id, OPERATION_TIMEOUT):
            while True:
                resident = self._residents.get(agent_id)
                if resident is not None and resident.doubt is not None:
                    raise LifecycleError(str(resident.doubt))
                if resident is not None and _moves_parked(resident):
                    await asyncio.wait([resident.settled], timeout=OPERATION_TIMEOUT)
                    if not resident.settled.done():
                        raise LifecycleError(f"paglet {agent_id} is on its way")
                    continue
                if not (resident is None or resident.crashed or _is_down(resident)):
                    return resident, None
                started = await self._raise(agent_id, resident)
                if started is not None:
                    started[0].waiting = waiting
                    return started

    async def _raise(self, agent_id: str, down: Resident | None) -> tuple[Resident, Started] | None:
        """None: look again, it has just arrived."""
        if down is not None:
            self._supervision.asked(down)
            await self._settle(down)
        try:
            record = await self.record(agent_id)
            if not self._residents.is_still(agent_id, down):
                await self._residents.landed(agent_id)
                return None
            reason = "activate" if record.phase is Phase.INACTIVE else "recovered"
            return await self.revive(record, reason=reason)
        except PagletError as error:
            if down is not None:
                self._supervision.not_begun(down, f"it could not be started: {error}", error)
            raise

    async def revive(self, record: PagletRecord, *, reason: str) -> tuple[Resident, Started]:
        """Start the next life of a parked, failed or interrupted paglet: child, then commit, then table.

        The caller holds its claim and runs ``begin``. The child is admitted first, so that a class that
        cannot be imported leaves the record as it was.
        """
        if record.phase not in {Phase.ACTIVE, Phase.INACTIVE} or record.state is None:
            raise LifecycleError(
                f"paglet {record.agent_id} is {record.phase.value} here; it cannot be activated"
            )
        if not record.host_scoped or self._gate.read_only:
            self._gate.check_held()
        with self._residents.place(record.agent_id):
            return await self._revive(record, record.state, reason)

    async def _revive(self, record: PagletRecord, state: BlobRef, reason: str) -> tuple[Resident, Started]:
        rule = lifecycle.activate if record.phase is Phase.INACTIVE else lifecycle.recover
        with await self._states.load(state) as payload:
            child, admitted = await self._supervisor.start(Life.after(record), state=payload)
        event = {"reason": reason, "request": record.request or None, "policy": record.policy or None}
        try:
            started = await self._store.commit(
                lambda tx: rule(
                    tx,
                    record.agent_id,
                    record.incarnation,
                    event=event,
                    at=time.time(),
                    hooks=admitted.hooks,
                )
            )
        except JournalConflict as conflict:
            self._supervisor.end(child, grace=0)
            raise LifecycleError(str(conflict)) from None
        except BaseException:
            self._supervisor.end(child, grace=0)
            raise
        await self._work_places.hand_on(record.agent_id, record.incarnation, started.record.incarnation)
        earlier = self._residents.get(record.agent_id)
        resident = self._residents.add(started.record, begins=started.begins)
        resident.child = child
        if earlier is not None:
            self._mailboxes.hand_over(earlier, resident)
        return resident, started

    async def start_life(
        self, started: Started, *, replacing: Resident | None = None, told: bool = True
    ) -> None:
        """Give a life that the journal has begun a process, and run its first hook.

        What follows when that fails is for the supervision to say. ``told``: by a ``recovered`` event.
        """
        record = started.record
        if record.state is None:
            raise LifecycleError(f"paglet {record.agent_id} has no stored state")
        resident = self._residents.add(record, begins=started.begins)
        if replacing is not None:
            self._mailboxes.hand_over(replacing, resident)
            await self._work_places.hand_on(record.agent_id, replacing.incarnation, record.incarnation)
        try:
            with await self._states.load(record.state) as payload:
                resident.child, _ = await self._supervisor.start(Life.of(record), state=payload)
        except PagletError as error:
            if not resident.settled.done():
                resident.settled.set_exception(LifecycleError(str(error)))
            self._supervision.not_begun(resident, str(error), error)
            return
        if self._residents.get(record.agent_id) is not resident:
            # It gave way to a copy of a higher lineage while its process was being made.
            self._supervisor.end(resident.child, grace=0)
            return
        try:
            await self._beginnings.begin(resident, started.messages)
        except PagletError:
            return  # its supervision knows
        if told:
            self._events.emit(
                "recovered",
                agent_id=record.agent_id,
                class_name=record.class_name,
                data={"epoch": record.incarnation.epoch},
            )

    async def _settle(self, ended: Resident) -> None:
        """Wait until what an ended process has told is durable: the next life comes back to it."""
        await self._mailboxes.settle(ended)  # what was told last may not have got to the writes yet
        await self._checkpoints.settle(ended)

    async def restart(self, crashed: Resident) -> None:
        """Begin the next life of a paglet that crashed; told by its supervision."""
        await self.recover(crashed.agent_id, replacing=crashed, told=False)

    async def recover(self, agent_id: str, *, replacing: Resident | None = None, told: bool = True) -> None:
        """Start an active paglet again from its checkpoint, its process or its host having died."""
        async with self._residents.claim(agent_id, OPERATION_TIMEOUT):
            if replacing is not None:
                await self._settle(replacing)
            while True:
                record = await self.record(agent_id)
                there = self._residents.get(agent_id)
                if record.phase is not Phase.ACTIVE or there not in {None, replacing}:
                    return  # somebody was faster: a message that came for it
                if self._residents.is_still(agent_id, there):
                    break
                await self._residents.landed(agent_id)
            event = {"reason": "recovered"}
            started = await self._store.commit(
                lambda tx: lifecycle.recover(tx, agent_id, record.incarnation, event=event, at=time.time())
            )
        await self.start_life(started, replacing=replacing, told=told)

    # --- beside itself

    async def move_here(
        self,
        resident: Resident,
        payload: Payload,
        event: dict[str, Any],
        files: tuple[FileRecord, ...] = (),
        *,
        left_in: str = "",
    ) -> None:
        """A move to the host it is on: a new process, one commit, no forward. The caller holds the claim.

        ``left_in``: the queued message in whose handler it leaves, which is handled by that.
        """
        record = resident.record
        child, admitted = await self._supervisor.start(Life.after(record), state=payload)
        try:
            staged = await self._states.stage(payload)
            started = await self._store.commit(
                lambda tx: lifecycle.move_here(
                    tx,
                    record.agent_id,
                    record.incarnation,
                    state=staged.ref,
                    event=event,
                    at=time.time(),
                    files=files,
                    left_in=left_in,
                    hooks=admitted.hooks,
                ),
                blobs=[staged],
            )
        except BaseException:
            self._supervisor.end(child, grace=0)
            raise
        old = resident.child
        successor = self._residents.add(started.record, begins=started.begins)
        successor.child = child
        if old is not None:
            self._supervisor.end(old, grace=self._limits.end_grace)
        await self._work_places.clear(record.agent_id, record.incarnation)
        self._events.emit(
            event.get("reason", "dispatch"),
            agent_id=record.agent_id,
            class_name=record.class_name,
            data={"target_host_name": self._here.name, "outcome": "arrived"},
        )
        self._delivery.reroute(resident)
        self._own(self._begin_quietly(successor, started.messages))

    async def settle_clone(
        self, clone: PagletRecord, payload: Payload, event: dict[str, Any], *, on_behalf: str
    ) -> None:
        """A clone beside its original (``on_behalf``): one commit, its process, and then its hook."""
        with self._residents.place(clone.agent_id):
            resident = await self._enter_clone(clone, payload, event, on_behalf)
        self._own(self._begin_quietly(resident, ()))

    async def _enter_clone(
        self, clone: PagletRecord, payload: Payload, event: dict[str, Any], on_behalf: str
    ) -> Resident:
        incarnation = clone.incarnation.next()
        begins = PendingHook(HookKind.CLONE, event)
        child, admitted = await self._supervisor.start(
            Life.after(clone),
            state=payload,
            on_behalf=on_behalf,
        )
        try:
            staged = await self._states.stage(payload)
            record = msgspec.structs.replace(
                clone,
                phase=Phase.ACTIVE,
                incarnation=incarnation,
                state=staged.ref,
                pending=begins.among(admitted.hooks),
            )
            record = await self._store.commit(lambda tx: lifecycle.create(tx, record), blobs=[staged])
        except BaseException:
            self._supervisor.end(child, grace=0)
            raise
        resident = self._residents.add(record, begins=begins)
        resident.child = child
        return resident

    async def _begin_quietly(self, resident: Resident, waiting: tuple[QueuedRecord, ...]) -> None:
        with contextlib.suppress(PagletError):  # told by the record, and to whoever waits for the arrival
            await self._beginnings.begin(resident, waiting)

    def _own(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def aclose(self) -> None:
        """Stop beginning lives; the records say where they were."""
        await self.undivided.aclose()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- looking things up

    async def record(self, agent_id: str) -> PagletRecord:
        """The record of a paglet that lives here; ``InvalidAgentError`` when there is none."""
        record = await self._store.read(lambda tx: tx.paglet(agent_id))
        if record is None or record.phase in {Phase.TOMBSTONE, Phase.DEPARTED}:
            where = (
                f"; it moved to {record.forward.name or record.forward.url}"
                if record and record.forward
                else ""
            )
            raise InvalidAgentError(f"there is no paglet {agent_id} on host {self._here.name}{where}")
        return record

    async def record_at_rest(self, agent_id: str) -> PagletRecord:
        """The same of one that has no process; ``LifecycleError`` when it has just arrived, and is given one."""
        while True:
            record = await self.record(agent_id)
            if self._residents.is_still(agent_id, None):
                return record
            if self._residents.get(agent_id) is not None:
                raise LifecycleError(
                    f"paglet {agent_id} has just arrived on host {self._here.name}; try again"
                )
            await self._residents.landed(agent_id)

    async def read_state(self, agent_id: str) -> tuple[bool, bytes]:
        """Whether it is active, and its state as JSON text."""
        async with self._readers.take(agent_id), self._state_reads:
            return await self._read_state(agent_id)

    async def _read_state(self, agent_id: str) -> tuple[bool, bytes]:
        resident = self._residents.get(agent_id)
        if resident is not None and resident.child is not None and not resident.crashed:
            async with within(
                OPERATION_TIMEOUT,
                f"the process of paglet {agent_id} did not tell its state",
                so="it is very busy or stuck; try again, or deactivate the paglet and look at its last checkpoint",
            ):
                return True, await resident.child.read_state()
        record = await self.record(agent_id)
        if record.state is None:
            raise InvalidAgentError(f"there is no state of paglet {agent_id} here")
        with await self._states.load(record.state) as payload:
            return False, await self._supervisor.inspect(payload)


def _is_down(resident: Resident) -> bool:
    """Whether it failed to start, or to end its first hook, and nobody is at it."""
    return resident.child is None and resident.doubt is None and resident.settled.done()


def _moves_parked(resident: Resident) -> bool:
    """Whether it is on the table only because it is moved, or was just now, with no process."""
    parked = resident.record.phase is Phase.INACTIVE and resident.child is None
    return parked and not resident.settled.done()
