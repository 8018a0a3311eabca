"""The paglets in the outbox: each one is moved to the host that it waits for as soon as that is back."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from paglets.core.deactivation import DeactivationRequest
from paglets.core.errors import PagletError
from paglets.persistence.agenda import Matter
from paglets.persistence.journal.conflict import JournalConflict
from paglets.persistence.journal.queued_dispatch import give_back
from paglets.persistence.records import Phase
from paglets.runtime.outbox import waiting_move as machine
from paglets.runtime.residents import OPERATION_TIMEOUT
from paglets.runtime.undivided import Undivided

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from paglets.persistence.journal.starting import Started
    from paglets.persistence.records import PagletRecord, QueuedDispatch
    from paglets.persistence.store import Store
    from paglets.runtime.events import Events
    from paglets.runtime.gate import Gate
    from paglets.runtime.lifecycle import Lifecycle
    from paglets.runtime.outbox.presence import Presence
    from paglets.runtime.residents import Residents

logger = logging.getLogger(__name__)

MAX_LIFETIME = 30 * 86_400.0
"""The longest that a paglet waits, in seconds."""
REASON = "dispatch-failed"
"""What the activation hook is told as its reason when a paglet is given back."""
_AT_ONCE = 4
"""Moves from the outbox to one host at the same time."""
_PAGE = 1000


class Carrier(Protocol):
    """Moves paglets that wait."""

    def carry(self, agent_id: str, queued: QueuedDispatch) -> Awaitable[machine.Event]:
        """Try to move it, if it still waits under its key; what came of it."""
        ...


class _Wait(NamedTuple):
    key: str
    task: asyncio.Task[None]
    settled: asyncio.Event
    """Set when a transfer of the paglet was settled."""


class QueuedDispatches:
    """One task for each paglet that waits. ``lifetime``: seconds that one waits at most. A ``WaitingRoom``."""

    def __init__(
        self,
        *,
        store: Store,
        presence: Presence,
        lifecycle: Lifecycle,
        residents: Residents,
        carrier: Carrier,
        gate: Gate,
        events: Events,
        parked: Callable[[str], None],
        lifetime: float,
    ) -> None:
        self._store = store
        self._presence = presence
        self._lifecycle = lifecycle
        self._residents = residents
        self._carrier = carrier
        self._gate = gate
        self._events = events
        self._parked = parked
        self.lifetime = min(lifetime, MAX_LIFETIME)
        self._waits: dict[str, _Wait] = {}
        self._reasons: dict[str, str] = {}
        self._under_way: defaultdict[str, asyncio.Semaphore] = defaultdict(
            lambda: asyncio.Semaphore(_AT_ONCE)
        )
        self._tasks: set[asyncio.Task[None]] = set()
        self._news = asyncio.Event()
        self.undivided = Undivided()

    # --- what comes in -----------------------------------------------------------------------------------

    def begin(self, record: PagletRecord, after: Awaitable[object] | None = None) -> None:
        """See ``WaitingRoom``. A wait of the same paglet under another key ends."""
        queued, agent_id = record.queued, record.agent_id
        if queued is None:
            return
        earlier = self._waits.pop(agent_id, None)
        if earlier is not None:
            earlier.task.cancel()
        # The wall clock counts only what passed while this host did not run: it may be set at any time.
        passed = max(0.0, time.time() - queued.since)
        expires = asyncio.get_running_loop().time() + queued.lifetime - passed
        settled = asyncio.Event()
        task = asyncio.create_task(self._see_off(agent_id, queued, expires, settled, after))
        self._waits[agent_id] = _Wait(queued.key, task, settled)
        task.add_done_callback(lambda done: self._over(agent_id, queued.key, done))

    async def take_up(self) -> None:
        """Go on with those that the host's earlier life has left."""
        ids = await self._store.read(lambda tx: tx.agenda(Matter.QUEUED))
        for start in range(0, len(ids), _PAGE):
            page = ids[start : start + _PAGE]
            for record in await self._store.read(lambda tx, ids=page: tx.some_paglets(ids)):
                if record.agent_id not in self._waits:
                    self.begin(record)

    def settled(self, agent_id: str) -> None:
        """A transfer of a parked paglet was settled: it may be back, and wait again."""
        wait = self._waits.get(agent_id)
        if wait is not None:
            wait.settled.set()
        else:
            self._own(self._look_again(agent_id))

    async def _look_again(self, agent_id: str) -> None:
        record = await self._store.read(lambda tx: tx.paglet(agent_id))
        if record is not None and record.phase is Phase.INACTIVE and agent_id not in self._waits:
            self.begin(record)

    def peer_seen(self) -> None:
        """A host was heard from: it may be one that is waited for."""
        self._news.set()
        self._news = asyncio.Event()

    async def waiting(self, after: str = "", limit: int = _PAGE) -> list[dict[str, Any]]:
        """A page of those that wait, in the order of ids, for people."""
        ids = [each for each in await self._store.read(lambda tx: tx.agenda(Matter.QUEUED)) if each > after]
        found = await self._store.read(lambda tx: tx.some_paglets(ids[: min(limit, _PAGE)]))
        return [
            _shown(each, each.queued, self._reasons.get(each.agent_id, ""))
            for each in found
            if each.queued is not None
        ]

    # --- one paglet --------------------------------------------------------------------------------------

    async def _see_off(
        self,
        agent_id: str,
        queued: QueuedDispatch,
        expires: float,
        settled: asyncio.Event,
        after: Awaitable[object] | None,
    ) -> None:
        if after is not None:
            await (
                after
            )  # the process that it was in still ends, and what it has handled is taken off its queue
        now = asyncio.get_running_loop().time
        step, news = machine.begin(expires, now()), self._news
        while step.effect is not None:
            if isinstance(step.effect, machine.Reach):
                news = self._news  # what is heard while the host is dialled counts, too
            event = await self._carry_out(agent_id, queued, step.effect, settled, news)
            step = machine.step(step.move, event, now())
            self._reasons[agent_id] = step.move.reason

    async def _carry_out(
        self,
        agent_id: str,
        queued: QueuedDispatch,
        effect: machine.Effect,
        settled: asyncio.Event,
        news: asyncio.Event,
    ) -> machine.Event:
        match effect:
            case machine.Reach():
                return await self._reach(agent_id, queued)
            case machine.Move():
                async with self._under_way[queued.target_id or queued.target_url]:
                    return await self._carrier.carry(agent_id, queued)
            case machine.AwaitVerdict():
                return await self._verdict(agent_id, queued.key, settled)
            case machine.Pause(seconds, heeds_news):
                await _either(news if heeds_news else asyncio.Event(), seconds)
                return machine.Due()
            case machine.GiveBack(reason):
                return await self.undivided.run(self._give_back(agent_id, queued, reason))

    async def _reach(self, agent_id: str, queued: QueuedDispatch) -> machine.Event:
        record = await self._store.read(lambda tx: tx.paglet(agent_id))
        if not _waits(record, queued.key):
            # While somebody else moves it, it may come back.
            moving = record is not None and record.phase is Phase.PREPARED and _key(record) == queued.key
            return machine.Absent("it is being moved elsewhere") if moving else machine.Gone()
        if self._gate.held:
            return machine.Absent(self._gate.refusal())
        reason = await self._presence.absent(queued.target_id, queued.target_url)
        return machine.Absent(reason) if reason else machine.Present()

    async def _verdict(self, agent_id: str, key: str, settled: asyncio.Event) -> machine.Event:
        while True:
            settled.clear()
            record = await self._store.read(lambda tx: tx.paglet(agent_id))
            if _waits(record, key):
                return machine.Back()
            if record is None or record.phase is not Phase.PREPARED or _key(record) != key:
                return machine.Gone()
            await settled.wait()

    async def _give_back(self, agent_id: str, queued: QueuedDispatch, reason: str) -> machine.Event:
        where = queued.target_name or queued.target_url
        error = f"it did not move to {where}: {reason}"
        request = DeactivationRequest(
            reason=REASON, source="host", metadata={"destination": where, "error": reason}
        )
        event = {"reason": REASON, "request": request.to_wire()}
        try:
            if queued.was is Phase.ACTIVE:
                self._gate.check_held()
            async with self._residents.claim(agent_id, OPERATION_TIMEOUT):
                record = await self._store.read(lambda tx: tx.paglet(agent_id))
                if record is None or not _waits(record, queued.key):
                    return machine.Gone()
                life = record.incarnation
                started = await self._store.commit(
                    lambda tx: give_back(tx, agent_id, life, queued.key, event=event, at=time.time())
                )
        except JournalConflict:
            return machine.Gone()
        except PagletError as failure:
            return machine.NotWritten(str(failure))
        self._events.emit(
            "transfer-failed",
            agent_id=agent_id,
            class_name=started.record.class_name,
            data={"target_host_name": where},
            error=error,
        )
        self._go_on(started)
        return machine.Written()

    def _go_on(self, started: Started) -> None:
        if started.record.phase is Phase.ACTIVE:
            self._own(self._lifecycle.start_life(started, told=False))
        else:
            self._parked(started.record.agent_id)

    # --- tasks -------------------------------------------------------------------------------------------

    def _own(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("a paglet of the outbox could not be put back to work", exc_info=error)

    def _over(self, agent_id: str, key: str, task: asyncio.Task[None]) -> None:
        wait = self._waits.get(agent_id)
        if wait is not None and wait.key == key:
            del self._waits[agent_id]
            self._reasons.pop(agent_id, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("a paglet in the outbox is not looked after; the next start is", exc_info=error)

    async def aclose(self) -> None:
        """Stop; those that wait do so in the journal."""
        tasks = [*(wait.task for wait in self._waits.values()), *self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.undivided.aclose()
        await self._presence.aclose()


def _key(record: PagletRecord) -> str:
    return record.queued.key if record.queued is not None else ""


def _waits(record: PagletRecord | None, key: str) -> bool:
    return record is not None and record.phase is Phase.INACTIVE and _key(record) == key


def _shown(record: PagletRecord, queued: QueuedDispatch, reason: str) -> dict[str, Any]:
    return {
        "agent_id": record.agent_id,
        "class_name": record.class_name,
        "host_url": queued.target_url,
        "host_id": queued.target_id,
        "host_name": queued.target_name,
        "kept_at": queued.since,
        "expires_at": queued.since + queued.lifetime,
        "reason": reason,
    }


async def _either(news: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await news.wait()
    except TimeoutError:
        pass
