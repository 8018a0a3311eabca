"""The checkpoints of one life: written in the order in which the states were taken, and no more of them than needed."""

from __future__ import annotations

import asyncio
import hashlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from paglets.persistence.journal import lifecycle, queues

if TYPE_CHECKING:
    from collections.abc import Sequence

    from paglets.persistence.records import PagletRecord
    from paglets.persistence.store import Store
    from paglets.persistence.transaction import JournalTransaction
    from paglets.runtime.memory_files import Payload
    from paglets.runtime.residents import Resident
    from paglets.runtime.states import States


_SLICE = 1024 * 1024


@dataclass(slots=True)
class _Waiting:
    payload: Payload
    order: int
    message_id: str
    done: asyncio.Future[None]


class StateWrites:
    """Writes the states that one process gives; of those that wait, the latest stands for all.

    Each write is one commit, shared with whatever else the host writes at that moment. A state that is the one
    in the record already is not written again.
    """

    def __init__(self, store: Store, states: States, resident: Resident) -> None:
        self._store = store
        self._states = states
        self._resident = resident
        self._waiting: list[_Waiting] = []
        self._written = 0
        self._latest = 0
        self._owed: dict[str, int] = {}
        """Messages that wait in the queue though they were handled, by the order of the state that was not written."""
        self._task: asyncio.Task[None] | None = None
        self.at = asyncio.get_running_loop().time()
        """When the last one was durable, by the loop's clock."""

    @property
    def behind(self) -> bool:
        """Whether a message was handled that the next life handles again, as its effect could not be written."""
        return bool(self._owed)

    def owe(self, message_id: str) -> None:
        """A message was handled, and could not be taken off the queue: the next state that is written takes it off."""
        self._owed[message_id] = self._latest + 1

    async def put(self, payload: Payload, order: int, *, message_id: str = "") -> None:
        """Make a state durable, or a later one; the payload is taken.

        ``message_id``: a message of the paglet's durable queue, which is taken off in the same commit; when that
        fails, with the next one that succeeds. Raises ``JournalConflict`` when this life is over, and the errors of
        the store.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.add_done_callback(_retrieve)
        self._waiting.append(_Waiting(payload, order, message_id, done))
        self._latest = max(self._latest, order)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work())
        await asyncio.shield(done)

    async def settle(self) -> None:
        """Wait until nothing is being written."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def aclose(self) -> None:
        """Write no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _work(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            error: BaseException | None = None
            try:
                await self._write(batch)
            except BaseException as raised:
                error = raised
                self._owed.update((each.message_id, each.order) for each in batch if each.message_id)
                if not isinstance(raised, Exception):
                    raise
            finally:
                for each in batch:
                    each.payload.close()
                    _settle(each.done, error)

    async def _write(self, batch: Sequence[_Waiting]) -> None:
        newest = max(batch, key=lambda each: each.order)
        reached = max(newest.order, self._written)
        handled = [each.message_id for each in batch if each.message_id]
        handled += [message_id for message_id, order in self._owed.items() if order <= reached]
        known = self._resident.record.state
        if newest.order < self._written or (
            known is not None and await _digest(newest.payload) == known.digest
        ):
            if handled:
                await self._store.commit(lambda tx: self._take_off(tx, handled))
        else:
            staged = await self._states.stage(newest.payload)

            def rule(tx: JournalTransaction) -> PagletRecord:
                resident = self._resident
                record = lifecycle.checkpoint(
                    tx, resident.agent_id, resident.incarnation, staged.ref, at=time.time()
                )
                self._take_off(tx, handled)
                return record

            # When this life is over, the messages stay: no later state holds what they have changed here, as a
            # paglet leaves, and is started again, only when all that it has handled is written.
            self._resident.record = await self._store.commit(rule, blobs=[staged])
            self._written = newest.order
        for message_id in handled:
            self._owed.pop(message_id, None)
        self.at = asyncio.get_running_loop().time()

    def _take_off(self, tx: JournalTransaction, handled: Sequence[str]) -> None:
        for message_id in handled:
            queues.take_message(tx, self._resident.agent_id, message_id)


async def _digest(payload: Payload) -> bytes:
    if payload.data is not None:
        return hashlib.sha256(payload.data).digest()

    def read() -> bytes:
        digest, offset = hashlib.sha256(), 0
        while part := payload.pread(_SLICE, offset):
            digest.update(part)
            offset += len(part)
        return digest.digest()

    return await asyncio.to_thread(read)


def _retrieve(done: asyncio.Future[None]) -> None:
    if not done.cancelled():
        done.exception()  # of one who does not wait any more


def _settle(done: asyncio.Future[None], error: BaseException | None) -> None:
    if done.done():
        return
    if error is None:
        done.set_result(None)
    elif isinstance(error, asyncio.CancelledError):
        done.cancel()
    else:
        done.set_exception(error)
