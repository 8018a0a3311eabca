"""Carries out, for every paglet of a host, what its machine makes of its crashes."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from paglets.core.errors import PagletCrashedError, PagletError, SerializationError
from paglets.core.policies import RestartPolicy
from paglets.persistence.journal import lifecycle
from paglets.persistence.journal.conflict import JournalConflict
from paglets.runtime.children.outcomes import ChildEnd, LauncherLostError
from paglets.runtime.launchers.launcher import LauncherDiedError
from paglets.runtime.memory_room import NoMemoryLeftError
from paglets.runtime.residents import ClaimedError
from paglets.runtime.supervision import effects as do
from paglets.runtime.supervision import events as on
from paglets.runtime.supervision.machine import Watch, step

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from typing import Any

    from paglets.persistence.store import Store
    from paglets.runtime.children.child import Child
    from paglets.runtime.children.outcomes import ChildOutcome
    from paglets.runtime.events import Events
    from paglets.runtime.mailboxes import Mailboxes
    from paglets.runtime.residents import Resident, Residents

logger = logging.getLogger(__name__)

_NOT_ITS_DOING = (LauncherLostError, LauncherDiedError, NoMemoryLeftError, ClaimedError)
"""What keeps a life from beginning without the paglet having a part in it: tried again, and not counted."""


class Supervision:
    """Hears of crashes, has paglets started again, and shows those that are given up.

    A paglet is watched from its first crash until it leaves the table of residents. While it waits for its
    restart it stays there, its mailbox open.
    """

    def __init__(self, *, store: Store, residents: Residents, mailboxes: Mailboxes, events: Events) -> None:
        self._store = store
        self._residents = residents
        self._mailboxes = mailboxes
        self._events = events
        self._watches: dict[str, Watch] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopped = False
        self.restart: Callable[[Resident], Awaitable[None]] | None = None
        """Begins the next life of a paglet from its checkpoint, in the place of that one; set once."""
        residents.on_life_over.append(self._life_over)

    # --- what happens to paglets -------------------------------------------------------------------------

    def exited(self, child: Child, outcome: ChildOutcome) -> None:
        """The process of a resident ended against its host's will."""
        resident = self._residents.get(child.agent_id)
        if resident is None or resident.child is not child or not resident.settled.done():
            return  # a first hook that does not return is told by who runs it
        if outcome.end is ChildEnd.LAUNCHER_LOST:
            self._tell(resident, on.Lost(str(outcome), moving=resident.moving))
        else:
            self._tell(resident, on.Crashed(str(outcome), _policy(child), moving=resident.moving))

    def not_begun(self, resident: Resident, why: str, error: BaseException | None = None) -> None:
        """A life did not come about: no process was to be had, or its first hook raised or took it down.

        ``error``: what having a process ended with.
        """
        child = resident.child
        lost = isinstance(error, _NOT_ITS_DOING) or (
            child is not None and child.outcome is not None and child.outcome.end is ChildEnd.LAUNCHER_LOST
        )
        if lost:
            self._tell(resident, on.Lost(why))
            return
        watch = self._watches.get(resident.agent_id)
        known = watch.policy if watch is not None else RestartPolicy()
        policy = _policy(child) if child is not None and child.admitted is not None else known
        self._tell(resident, on.Crashed(why, policy))

    def recovered(self, resident: Resident) -> None:
        """A life has begun."""
        if resident.agent_id in self._watches:
            self._tell(resident, on.Recovered())

    def asked(self, resident: Resident) -> None:
        """Somebody is about to start a paglet that is down."""
        if resident.agent_id in self._watches:
            self._tell(resident, on.ActivateAsked())
            resident.returning = True

    def _life_over(self, resident: Resident) -> None:
        agent_id = resident.agent_id
        if agent_id in self._watches and self._residents.get(agent_id) is None:
            # The table does not say why it has left; the machine makes no difference.
            self._tell(resident, on.Deactivated())
            del self._watches[agent_id]

    async def aclose(self) -> None:
        """The host stops: start nothing more."""
        self._stopped = True
        for agent_id, watch in self._watches.items():
            self._watches[agent_id] = step(watch, on.HostStopped(), 0.0).watch
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- the machine -------------------------------------------------------------------------------------

    def _tell(self, resident: Resident, event: on.Event) -> None:
        if self._stopped:
            return
        agent_id = resident.agent_id
        watch = self._watches.get(agent_id, Watch())
        after = step(watch, event, asyncio.get_running_loop().time())
        self._watches[agent_id] = after.watch
        logger.debug(
            "a paglet's supervision",
            extra={"agent_id": agent_id, "event": type(event).__name__, "stage": after.watch.stage.value},
        )
        for effect in after.effects:
            self._do(resident, effect)

    def _do(self, resident: Resident, effect: do.Effect) -> None:
        match effect:
            case do.StartAfter(number, delay, attempt, why):
                resident.crashed, resident.returning = why, True
                self._report(resident, why, {"attempt": attempt, "restart_in": delay})
                loop = asyncio.get_running_loop()
                self._timers[resident.agent_id] = loop.call_later(delay, self._due, resident, number)
            case do.CancelTimer():
                timer = self._timers.pop(resident.agent_id, None)
                if timer is not None:
                    timer.cancel()
            case do.Start():
                self._own(self._start(resident))
            case do.ReportRestarted(attempt, delay, why):
                self._events.emit(
                    "restarted",
                    agent_id=resident.agent_id,
                    class_name=resident.record.class_name,
                    data={
                        "attempt": attempt,
                        "delay": delay,
                        "why": why,
                        "epoch": resident.incarnation.epoch,
                    },
                )
            case do.GiveUp(why, crashes):
                resident.crashed, resident.returning = why, False
                self._report(resident, why, {"failed": True, "crashes": crashes})
                self._own(self._give_up(resident, why, crashes))

    def _due(self, resident: Resident, number: int) -> None:
        del self._timers[resident.agent_id]
        self._tell(resident, on.TimerEnded(number))

    async def _start(self, resident: Resident) -> None:
        if self.restart is None:
            return
        try:
            await self.restart(resident)
        except PagletError as error:
            if self._residents.get(resident.agent_id) is resident:  # nobody else has begun its next life
                self.not_begun(resident, f"it could not be started again: {error}", error)

    async def _give_up(self, resident: Resident, why: str, crashes: int) -> None:
        agent_id = resident.agent_id
        if crashes > 1:
            why = f"{why}; it crashed {crashes} times in a short while, so it is not started again"
        try:
            resident.record = await self._store.commit(
                lambda tx: lifecycle.mark_failed(tx, agent_id, resident.incarnation, why, at=time.time())
            )
        except JournalConflict:
            logger.debug("a paglet that was given up has gone on", extra={"agent_id": agent_id})
        except PagletError as error:
            logger.warning(
                "it could not be written down that a paglet has failed; its host knows until it stops",
                extra={"agent_id": agent_id, "error": str(error)},
            )
        if resident.crashed and not resident.returning:
            resident.crashed = why
            self._mailboxes.fail_waiting(
                resident, PagletCrashedError(f"paglet {agent_id} has failed: {why}; activate it to try again")
            )

    def _report(self, resident: Resident, why: str, data: dict[str, Any]) -> None:
        logger.warning("a paglet is down", extra={"agent_id": resident.agent_id, "why": why, **data})
        self._events.emit(
            "paglet-crashed",
            agent_id=resident.agent_id,
            class_name=resident.record.class_name,
            data={"epoch": resident.incarnation.epoch, **data},
            error=why,
        )

    # --- tasks -------------------------------------------------------------------------------------------

    def _own(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("supervising a paglet failed", exc_info=error)


def _policy(child: Child) -> RestartPolicy:
    """What the class of a process says; the default when that makes no sense."""
    admitted = child.admitted
    try:
        return RestartPolicy.from_wire(admitted.restart) if admitted is not None else RestartPolicy()
    except SerializationError:
        return RestartPolicy()
