"""Wakes parked paglets at the time that their policy names (``activate_at``), or again for a message that could not."""

from __future__ import annotations

import asyncio
import heapq
import logging
import time
from typing import TYPE_CHECKING, NamedTuple

from paglets.core.deactivation import DeactivationPolicy
from paglets.core.errors import PagletError
from paglets.persistence.records import Phase
from paglets.runtime.outbox.judging import mail_wakes

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from typing import Any

    from paglets.core.incarnation import Incarnation
    from paglets.persistence.read_transaction import ReadTransaction
    from paglets.persistence.records import PagletRecord
    from paglets.persistence.store import Store

logger = logging.getLogger(__name__)

_LOOK_AGAIN = 30.0
"""Seconds between looks at the clock while somebody sleeps: it may be set while we wait."""
_FIRST_RETRY, _LONGEST_RETRY = 1.0, 300.0
"""Bounds of the pause before one that could not be woken is tried again, in seconds; it doubles."""
_ON_ITS_WAY = 5.0
"""Seconds until one that was just leaving when its time came is looked at again: it may not get away."""


class _Sleeper(NamedTuple):
    at: float
    agent_id: str
    incarnation: Incarnation
    failures: int = 0
    """How often it could not be woken since its time came."""
    mail: bool = False
    """Not for its time, but for the messages in its queue."""
    at_start: bool = False
    """Not for its time, but because its host has started."""

    @property
    def life(self) -> tuple[str, Incarnation]:
        """Which life of which paglet it is."""
        return self.agent_id, self.incarnation


class Wakeups:
    """The alarm clock of a host. Kept in memory: the records say the times, and are read again at each start.

    A time counts for the life that a paglet was parked in: when it has been woken, parked anew or moved since,
    nothing happens. One whose time passed while its host was down is woken as soon as it is noted. One that cannot be
    woken (the store is full, its class is missing, too many run) is tried again, with growing pauses; so is one that
    a queued message should have woken, as long as messages wait.
    """

    def __init__(self, store: Store, wake: Callable[[str], Awaitable[object]]) -> None:
        self._store = store
        self._wake = wake
        self._sleepers: list[_Sleeper] = []
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._with_mail: set[tuple[str, Incarnation]] = set()
        """Lives that sleep here until they are tried for their messages: once, however many of those there are."""

    def note(self, record: PagletRecord) -> None:
        """A paglet was parked, or found parked: remember its time, if it has one."""
        at = wake_time(record)
        if at is not None:
            self._put(_Sleeper(at, record.agent_id, record.incarnation))

    def look(self, agent_id: str) -> None:
        """A paglet may be parked now, after a move or a wait for one: remember its time, and wake it for its messages.

        Those that came meanwhile woke nobody.
        """
        self._own(self._look(agent_id))

    async def _look(self, agent_id: str) -> None:
        def read(tx: ReadTransaction) -> tuple[PagletRecord | None, bool]:
            record = tx.paglet(agent_id)
            return record, mail_wakes(tx, record)

        try:
            record, mail = await self._store.read(read)
        except Exception:
            logger.exception("it was not seen whether a paglet is to be woken", extra={"agent_id": agent_id})
            return
        if record is not None and record.phase is Phase.INACTIVE:
            self.note(record)
            if mail:
                self.mail_waits(record)

    def mail_waits(self, record: PagletRecord) -> None:
        """A parked paglet could not be woken for a message in its queue: try again, later."""
        self._put(
            _Sleeper(time.time() + _FIRST_RETRY, record.agent_id, record.incarnation, failures=1, mail=True)
        )

    def start_failed(self, record: PagletRecord) -> None:
        """A parked paglet that the start of its host was to wake could not be woken: try again, later."""
        at = time.time() + _FIRST_RETRY
        self._put(_Sleeper(at, record.agent_id, record.incarnation, failures=1, at_start=True))

    def _put(self, sleeper: _Sleeper) -> None:
        if sleeper.mail:
            if sleeper.life in self._with_mail:
                return
            self._with_mail.add(sleeper.life)
        heapq.heappush(self._sleepers, sleeper)
        if self._sleepers[0] is sleeper:
            self._set_timer()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        left = min(max(0.0, self._sleepers[0].at - time.time()), _LOOK_AGAIN) if self._sleepers else None
        loop = asyncio.get_running_loop()
        self._timer = None if left is None else loop.call_later(left, self._ring)

    def _ring(self) -> None:
        now = time.time()
        while self._sleepers and self._sleepers[0].at <= now:
            sleeper = heapq.heappop(self._sleepers)
            if sleeper.mail:  # what comes from now on may find that this try was too early
                self._with_mail.discard(sleeper.life)
            self._own(self._rouse(sleeper))
        self._set_timer()

    def _own(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _rouse(self, sleeper: _Sleeper) -> None:
        try:
            record, waiting = await self._store.read(
                lambda tx: (tx.paglet(sleeper.agent_id), tx.queue_state(sleeper.agent_id).messages)
            )
            if record is None or record.incarnation != sleeper.incarnation:
                return
            if record.phase is Phase.PREPARED:
                self._put(sleeper._replace(at=time.time() + _ON_ITS_WAY))
            elif _is_due(sleeper, record, waiting):
                await self._wake(sleeper.agent_id)
        except PagletError as error:
            logger.warning(
                "a paglet could not be woken",
                extra={"agent_id": sleeper.agent_id, "error": str(error)},
            )
            self._put_off(sleeper)
        except Exception:
            logger.exception("a paglet could not be woken", extra={"agent_id": sleeper.agent_id})
            self._put_off(sleeper)

    def _put_off(self, sleeper: _Sleeper) -> None:
        pause = min(_LONGEST_RETRY, _FIRST_RETRY * 2 ** min(sleeper.failures, 16))
        self._put(sleeper._replace(at=time.time() + pause, failures=sleeper.failures + 1))

    async def aclose(self) -> None:
        """Ring no more."""
        self._sleepers.clear()
        if self._timer is not None:
            self._timer.cancel()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _is_due(sleeper: _Sleeper, record: PagletRecord, waiting: int) -> bool:
    if sleeper.at_start or sleeper.mail:
        return _is_asleep(record) and (sleeper.at_start or waiting > 0)
    at = wake_time(record)
    return at is not None and at <= max(sleeper.at, time.time())  # it may have been given a later one since


def wake_time(record: PagletRecord) -> float | None:
    """When a parked paglet shall be woken, wall clock; None without one, or when it is not parked, or in the outbox."""
    if not _is_asleep(record) or not record.policy:
        return None
    return DeactivationPolicy.from_wire(record.policy).activate_at


def _is_asleep(record: PagletRecord) -> bool:
    return record.phase is Phase.INACTIVE and record.queued is None
