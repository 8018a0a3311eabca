"""Making the current state of a paglet the one that a restart comes back to: when asked, and as its class wants it."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from paglets.core.errors import HostError, LifecycleError, PagletError, SerializationError
from paglets.core.policies import CheckpointMode, CheckpointPolicy
from paglets.persistence.journal.conflict import JournalConflict
from paglets.runtime.child_specs import Departure, DepartureKind
from paglets.runtime.patience import within
from paglets.runtime.residents import OPERATION_TIMEOUT
from paglets.runtime.state_writes import StateWrites
from paglets.runtime.undivided import Undivided, undivided

if TYPE_CHECKING:
    from paglets.persistence.store import Store
    from paglets.runtime.caller import Caller
    from paglets.runtime.child_specs import Admitted
    from paglets.runtime.children.child import Child
    from paglets.runtime.children.requests import StateAfter
    from paglets.runtime.events import Events
    from paglets.runtime.here import Here
    from paglets.runtime.mailbox import Letter
    from paglets.runtime.memory_files import Payload
    from paglets.runtime.residents import Resident, Residents
    from paglets.runtime.settings import Limits
    from paglets.runtime.states import States

logger = logging.getLogger(__name__)


class Checkpoints:
    """Writes checkpoints: when somebody asks, after each message, or a while after one; see ``CheckpointPolicy``."""

    def __init__(
        self,
        *,
        store: Store,
        states: States,
        residents: Residents,
        events: Events,
        here: Here,
        limits: Limits,
    ) -> None:
        self._store = store
        self._states = states
        self._residents = residents
        self._events = events
        self._here = here
        self._limits = limits
        self._writes: dict[Resident, StateWrites] = {}
        self._clocks: dict[Resident, asyncio.TimerHandle] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.undivided = Undivided()
        residents.on_life_over.append(self._over)

    # --- when somebody asks ------------------------------------------------------------------------------

    @undivided
    async def write(self, agent_id: str, caller: Caller) -> None:
        """Make a paglet's current state what a restart comes back to; durable when this returns."""
        resident = self._residents.get(agent_id)
        if resident is None:
            raise LifecycleError(f"paglet {agent_id} is not active on host {self._here.name}")
        await self._take(resident, caller.own_call(resident))

    async def _take(self, resident: Resident, call_id: int | None) -> None:
        departure = Departure(kind=DepartureKind.CHECKPOINT, call_id=call_id, handler_wait=OPERATION_TIMEOUT)
        agent_id = resident.agent_id
        async with within(
            self._limits.hook_timeout,
            f"paglet {agent_id} did not give its state",
            so="its last checkpoint stays; try again when its handler has returned",
        ):
            snapshot = await resident.need_child().begin_departure(departure)
        if snapshot.state is None:
            raise HostError(f"paglet {agent_id} gave no state")
        try:
            await self._put(resident, snapshot.state, snapshot.order)
        except JournalConflict as conflict:
            raise LifecycleError(str(conflict)) from None
        self._events.emit("checkpoint", agent_id=agent_id, class_name=resident.record.class_name)

    # --- as the class wants it ---------------------------------------------------------------------------

    async def keep(self, resident: Resident, letter: Letter, child: Child, after: StateAfter) -> None:
        """Make the state after a message durable, if the class of that process asks for it; takes the payload.

        To be awaited before the reply is given; what it raises is the reply then.
        """
        if _mode(child) != CheckpointMode.EVERY_MESSAGE:
            after.payload.close()
            return
        message_id = letter.params.message_id if letter.durable else ""
        try:
            await self._put(resident, after.payload, after.order, message_id=message_id)
        except JournalConflict:
            # It has moved on, was parked or disposed of meanwhile: what took this life's place began from a state
            # that was taken later than this one.
            logger.debug("a state came after the end of its life", extra={"agent_id": resident.agent_id})
        finally:
            letter.durable = False  # taken off its queue with its effect, now or later, and never before

    def owes(self, resident: Resident, message_id: str) -> None:
        """A message was handled that could not be taken off the queue: that is done with the next checkpoint.

        At the latest before the paglet leaves its process, see ``catch_up``.
        """
        if self._residents.get(resident.agent_id) is resident:
            self._of(resident).owe(message_id)

    async def catch_up(self, resident: Resident, call_id: int | None) -> None:
        """Write what could not be written after a message, for a paglet that is about to leave this process.

        The message is still in the queue, and would follow a paglet that has handled it. ``call_id``: the call of its
        own in which it leaves. Raises what keeps its state from being written; it goes on here then.
        """
        writes = self._writes.get(resident)
        if writes is not None and writes.behind:
            await self._take(resident, call_id)

    def handled(self, resident: Resident) -> None:
        """A message was handled: see that its effect becomes durable within the interval that the class names."""
        child = resident.child
        if _mode(child) != CheckpointMode.INTERVAL or resident in self._clocks:
            return
        policy = checkpoint_policy(child.admitted if child is not None else None)
        loop = asyncio.get_running_loop()
        due = max(loop.time(), self._of(resident).at + policy.interval)
        self._clocks[resident] = loop.call_at(due, self._due, resident)

    def _due(self, resident: Resident) -> None:
        task = asyncio.create_task(self._take_quietly(resident))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _take_quietly(self, resident: Resident) -> None:
        self._clocks.pop(resident, None)
        if not resident.running or resident.moving or self._residents.get(resident.agent_id) is not resident:
            return
        try:
            await self._take(resident, None)
        except (PagletError, TimeoutError) as error:
            logger.warning(
                "a paglet could not be checkpointed; the next message asks again",
                extra={"agent_id": resident.agent_id, "error": str(error)},
            )

    # --- one life after the other ------------------------------------------------------------------------

    async def settle(self, resident: Resident) -> None:
        """Wait until what the paglet has given is written: a restart comes back to it."""
        writes = self._writes.get(resident)
        if writes is not None:
            await writes.settle()

    async def _put(self, resident: Resident, payload: Payload, order: int, *, message_id: str = "") -> None:
        try:
            await self._of(resident).put(payload, order, message_id=message_id)
        finally:
            if self._residents.get(resident.agent_id) is not resident:
                self._over(resident)  # again: it may have gone before this was asked for

    def _of(self, resident: Resident) -> StateWrites:
        writes = self._writes.get(resident)
        if writes is None:
            writes = self._writes[resident] = StateWrites(self._store, self._states, resident)
        return writes

    def _over(self, resident: Resident) -> None:
        """What is being written then ends by itself."""
        self._writes.pop(resident, None)
        clock = self._clocks.pop(resident, None)
        if clock is not None:
            clock.cancel()

    async def aclose(self) -> None:
        """Stop what is under way."""
        for clock in self._clocks.values():
            clock.cancel()
        self._clocks.clear()
        await self.undivided.aclose()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writes in tuple(self._writes.values()):
            await writes.aclose()


def _mode(child: Child | None) -> object:
    """How the class of a process wants checkpoints; asked with each message, so nothing is checked."""
    return child.admitted.checkpoint.get("mode") if child is not None and child.admitted is not None else None


def checkpoint_policy(admitted: Admitted | None) -> CheckpointPolicy:
    """What the class of a process says; the default when that makes no sense."""
    try:
        return CheckpointPolicy.from_wire(admitted.checkpoint) if admitted is not None else CheckpointPolicy()
    except SerializationError:
        return CheckpointPolicy()
