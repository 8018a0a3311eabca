"""Sends on what waited durably for paglets that have left, until their next hosts have accepted it."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import msgspec

from paglets.core.errors import PagletCrashedError, PagletError, PagletInactiveError, RemoteHostError
from paglets.core.messages import SYNCHRONOUS
from paglets.persistence.agenda import Matter
from paglets.persistence.journal import queues
from paglets.persistence.journal.conflict import JournalConflict
from paglets.remote.api import MessageParams

if TYPE_CHECKING:
    from paglets.persistence.records import Forward, QueuedRecord
    from paglets.persistence.store import Store
    from paglets.runtime.delivery import Delivery
    from paglets.runtime.events import Events

logger = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.25, 30.0
"""Bounds of the pause before an unreachable host is tried again, in seconds."""
_LATER = (RemoteHostError, PagletInactiveError, PagletCrashedError)
"""What says that a message was not accepted. Any other error is the paglet's own answer, or final."""


class Onward:
    """The queues of departed paglets, each emptied in order by a task of its own.

    A message leaves its queue when the next host has accepted it and the forward that it went along still
    stands (``queues.hand_on``). A paglet that comes home in between finds what is left in the same queue.
    """

    def __init__(self, *, store: Store, delivery: Delivery, events: Events) -> None:
        self._store = store
        self._delivery = delivery
        self._events = events
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._news = asyncio.Event()
        self._closed = False

    def begin(self, agent_id: str, handled: str | None = None) -> None:
        """Empty the queue of a paglet that has left; ``handled`` is the message that it left in."""
        earlier = self._tasks.get(agent_id)
        task = asyncio.create_task(self._empty(agent_id, handled, earlier))
        self._tasks[agent_id] = task
        task.add_done_callback(lambda done: self._done(agent_id, done))

    def more(self, agent_id: str) -> None:
        """One more message waits for a paglet that has left."""
        task = self._tasks.get(agent_id)
        if task is None:
            self.begin(agent_id)
        else:
            task.add_done_callback(lambda _: None if self._closed else self.begin(agent_id))

    async def take_up(self) -> None:
        """Go on with what the host's earlier life has left to do."""
        for agent_id in await self._store.read(lambda tx: tx.agenda(Matter.ONWARD)):
            self.begin(agent_id)

    def wake(self) -> None:
        """A host was heard from: what could not be delivered may be tried again at once."""
        self._news.set()
        self._news = asyncio.Event()

    async def _empty(self, agent_id: str, handled: str | None, earlier: asyncio.Task[None] | None) -> None:
        if earlier is not None:
            earlier.cancel()
            await asyncio.wait([earlier])
        pause = FIRST_PAUSE
        while True:
            news = self._news
            record, waiting = await self._store.read(lambda tx: (tx.paglet(agent_id), tx.queued(agent_id)))
            if record is None or record.forward is None or not waiting:
                return  # all is done; or it is back, and its new life takes what is left
            if await self._send(record.forward, agent_id, waiting, handled):
                return
            try:
                async with asyncio.timeout(pause):
                    await news.wait()
            except TimeoutError:
                pause = min(LONGEST_PAUSE, pause * 2)
            else:
                pause = FIRST_PAUSE

    async def _send(
        self, forward: Forward, agent_id: str, waiting: list[QueuedRecord], handled: str | None
    ) -> bool:
        """Send what waits along a forward, in order; whether all of it left the queue, or need not."""
        for queued in waiting:
            if queued.message_id != handled and not await self._accepted(queued, agent_id):
                return False
            message_id = queued.message_id

            def rule(tx: Any, key: str = message_id) -> None:
                queues.hand_on(tx, agent_id, forward.incarnation, key)

            try:
                await self._store.commit(rule)
            except JournalConflict:
                return True  # it is home again
        return True

    async def _accepted(self, queued: QueuedRecord, agent_id: str) -> bool:
        params = msgspec.json.decode(queued.message, type=MessageParams)
        # It was accepted durably here, so it counts as accepted there only once it was handled, or queued.
        params = msgspec.structs.replace(params, message_type=SYNCHRONOUS, timeout=None)
        try:
            await self._delivery.send(params)
        except _LATER as error:
            logger.info(
                "a queued message waits to follow its paglet",
                extra={"agent_id": agent_id, "message_id": queued.message_id, "error": str(error)},
            )
            return False
        except PagletError as error:
            self._events.emit(
                "message-failed",
                agent_id=agent_id,
                message_id=queued.message_id,
                data={"kind": params.kind, "sender": params.sender},
                error=str(error),
            )
        return True

    def _done(self, agent_id: str, task: asyncio.Task[None]) -> None:
        if self._tasks.get(agent_id) is task:
            del self._tasks[agent_id]
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error(
                "messages could not be sent on; the next start tries again",
                extra={"agent_id": agent_id},
                exc_info=error,
            )

    async def aclose(self) -> None:
        """Stop; what is left stays in the journal."""
        self._closed = True
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
