"""Hands what waited durably for paglets that have left to the outbox, which brings it to where they went."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Protocol

import msgspec

from paglets.core.errors import HostError, PagletError
from paglets.persistence import outbox_rules
from paglets.persistence.agenda import Matter
from paglets.persistence.journal import queues
from paglets.persistence.journal.conflict import JournalConflict
from paglets.remote.api import MessageParams

if TYPE_CHECKING:
    from paglets.persistence.lmdb_transaction import LmdbTransaction
    from paglets.persistence.outbox_records import OutboxEntry
    from paglets.persistence.records import Forward, PagletRecord, QueuedRecord
    from paglets.persistence.store import Store

logger = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.25, 30.0
"""Bounds of the pause before it is tried again when the outbox is full or the store cannot be written, in seconds."""


class Carrier(Protocol):
    """Brings messages to other hosts, each of them once."""

    def entry(self, host_id: str, url: str, params: MessageParams) -> OutboxEntry:
        """A message for a paglet on that host, as it is to be written into the outbox."""
        ...

    def kept(self, entry: OutboxEntry) -> None:
        """That entry is in the outbox."""
        ...


class Onward:
    """The queues of departed paglets, each emptied in order by a task of its own.

    A message leaves the queue and is in the outbox by one commit, if the forward that it is to go along still
    stands then (``queues.hand_on``). A paglet that comes home in between finds what is left in the same queue.
    """

    def __init__(self, *, store: Store) -> None:
        self._store = store
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._again: set[str] = set()
        """Paglets for which more was queued while their queue was emptied."""
        self.carrier: Carrier | None = None
        """Set once, when the host is put together."""

    def begin(self, agent_id: str) -> None:
        """Something waits for a paglet that has left: empty its queue."""
        if agent_id in self._tasks:
            self._again.add(agent_id)
            return
        task = asyncio.create_task(self._empty(agent_id))
        self._tasks[agent_id] = task
        task.add_done_callback(lambda done: self._done(agent_id, done))

    async def take_up(self) -> None:
        """Go on with what the host's earlier life has left to do."""
        for agent_id in await self._store.read(lambda tx: tx.agenda(Matter.ONWARD)):
            self.begin(agent_id)

    async def _empty(self, agent_id: str) -> None:
        pause = FIRST_PAUSE
        while True:
            self._again.discard(agent_id)
            record, waiting = await self._store.read(lambda tx: (tx.paglet(agent_id), tx.queued(agent_id)))
            waiting = [queued for queued in waiting if _leads_on(record, queued)]
            if record is None or record.forward is None or not waiting:
                if agent_id in self._again:
                    continue
                return  # all is done; or it is back, and its new life takes what is left
            try:
                for queued in waiting:
                    await self._hand_over(agent_id, record.forward, queued)
            except JournalConflict:
                continue  # it has moved again, or is home
            except PagletError as error:
                logger.warning(
                    "messages wait to follow their paglet", extra={"agent_id": agent_id, "error": str(error)}
                )
                await asyncio.sleep(pause)
                pause = min(LONGEST_PAUSE, pause * 2)

    async def _hand_over(self, agent_id: str, forward: Forward, queued: QueuedRecord) -> None:
        if self.carrier is None:
            raise HostError("this host is not ready yet")
        params = msgspec.json.decode(queued.message, type=MessageParams)
        params = msgspec.structs.replace(params, hops=params.hops + 1, followed=forward.incarnation)
        entry = self.carrier.entry(forward.host_id, forward.url, params)

        def rule(tx: LmdbTransaction) -> OutboxEntry | None:
            there = queues.hand_on(tx, agent_id, forward.incarnation, queued)
            return outbox_rules.keep(tx, entry) if there else None

        kept = await self._store.commit(rule)
        if kept is not None:
            self.carrier.kept(kept)

    def _done(self, agent_id: str, task: asyncio.Task[None]) -> None:
        del self._tasks[agent_id]
        if task.cancelled():
            return
        if agent_id in self._again:  # more was queued after the task had looked for the last time
            self._again.discard(agent_id)
            self.begin(agent_id)
        if (error := task.exception()) is not None:
            logger.error(
                "messages could not be sent on; the next start tries again",
                extra={"agent_id": agent_id},
                exc_info=error,
            )

    async def aclose(self) -> None:
        """Stop; what is left stays in the journal."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _leads_on(record: PagletRecord | None, queued: QueuedRecord) -> bool:
    """Whether its forward leads further than the one that the message came by, and not back in a circle."""
    params = msgspec.json.decode(queued.message, type=MessageParams)
    return queues.follow(record, params.followed) is not None
