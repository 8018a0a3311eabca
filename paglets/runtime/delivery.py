"""Brings messages to paglets: into a mailbox here, into a parked one's queue, or on to where it went."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Protocol

import msgspec

from paglets.core.deactivation import DeactivationPolicy
from paglets.core.errors import (
    HostError,
    InvalidAgentError,
    PagletCrashedError,
    PagletError,
    PagletInactiveError,
    RemoteHostError,
)
from paglets.core.messages import ONEWAY
from paglets.persistence.journal import queues
from paglets.persistence.journal.conflict import JournalConflict
from paglets.persistence.records import Phase, QueuedRecord
from paglets.remote.api import MESSAGE_SEND, MessageParams
from paglets.runtime.child_specs import Message
from paglets.runtime.mailbox import Letter

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from paglets.persistence.records import PagletRecord
    from paglets.persistence.store import Store
    from paglets.runtime.events import Events
    from paglets.runtime.hook_waits import HookWaits
    from paglets.runtime.peers import Peers
    from paglets.runtime.residents import Resident, Residents
    from paglets.runtime.settings import Limits

logger = logging.getLogger(__name__)

ACCEPTED = b'{"accepted":true}'


class Activator(Protocol):
    """Wakes a parked paglet that got a message."""

    def activate(self, agent_id: str) -> Awaitable[object]:
        """Make it active, if it is not already."""
        ...


class Delivery:
    """Routes messages to the paglets of this host and follows the forwards of those that have left."""

    def __init__(
        self,
        *,
        residents: Residents,
        store: Store,
        peers: Peers,
        events: Events,
        waits: HookWaits,
        limits: Limits,
    ) -> None:
        self._residents = residents
        self._store = store
        self._peers = peers
        self._events = events
        self._waits = waits
        self._limits = limits
        self._tasks: set[asyncio.Task[None]] = set()
        self.activator: Activator | None = None
        """Set once, when the host is put together."""
        self.reserved: Mapping[str, Callable[[MessageParams], Awaitable[bytes]]] = {}
        """What the runtime itself handles, by message kind; set once, when the host is put together."""

    async def send(self, params: MessageParams) -> bytes:
        """Deliver one message; the raw JSON reply.

        A one-way message is answered as soon as it is accepted. ``InvalidAgentError``: no such paglet here
        and no forward. ``HostError`` when no reply came in time; the message may have been handled.
        """
        timeout = params.timeout if params.timeout is not None else self._limits.reply_timeout
        self._waits.release(waiter=params.agent_id, moved=params.sender)
        try:
            async with asyncio.timeout(timeout):
                handler = self.reserved.get(params.kind)
                return await (handler(params) if handler is not None else self._route(params))
        except TimeoutError:
            raise HostError(
                f"paglet {params.agent_id} did not answer {params.kind!r} within {timeout:g} s; it may still do so"
            ) from None

    async def _route(self, params: MessageParams) -> bytes:
        while True:
            resident = self._residents.get(params.agent_id)
            if resident is not None:
                return await self._put(resident, params)
            record = await self._store.read(lambda tx: tx.paglet(params.agent_id))
            if self._residents.get(params.agent_id) is not None:
                continue  # it came while we looked
            if record is None or record.phase is Phase.TOMBSTONE:
                raise InvalidAgentError(f"there is no paglet {params.agent_id} on this host")
            if record.phase is Phase.DEPARTED:
                return await self._forward(params, record)
            if record.phase is Phase.INACTIVE:
                queued = await self._to_parked(params, record)
                if queued is not None:
                    return queued
                continue
            if record.phase is Phase.ACTIVE and not record.failed and self.activator is not None:
                await self.activator.activate(params.agent_id)  # it has not been brought back yet
                continue
            raise PagletCrashedError(
                f"paglet {params.agent_id} is not running here{': ' + record.failed if record.failed else ''}"
            )

    async def _put(self, resident: Resident, params: MessageParams) -> bytes:
        if resident.crashed or (resident.record.failed and resident.child is None):
            raise PagletCrashedError(
                f"paglet {params.agent_id} has no process: {resident.crashed or resident.record.failed}; "
                "activate it to start it again from its last checkpoint"
            )
        oneway = params.message_type == ONEWAY
        reply = None if oneway else asyncio.get_running_loop().create_future()
        resident.mailbox.put(Letter(params, reply))
        self.pump(resident)
        return ACCEPTED if reply is None else await reply

    async def _to_parked(self, params: MessageParams, record: PagletRecord) -> bytes | None:
        policy = DeactivationPolicy.from_wire(record.policy)
        if params.no_delay:
            raise PagletInactiveError(
                f"paglet {params.agent_id} is parked, and the message asked for no delay"
            )
        if policy.activate_on_message and params.activate_if_inactive:
            if self.activator is None:
                raise HostError("this host is not ready yet")
            await self.activator.activate(params.agent_id)
            return None
        if not policy.queue_messages_when_inactive:
            raise PagletInactiveError(
                f"paglet {params.agent_id} is parked and takes no messages until activated"
            )
        queued = QueuedRecord(
            message_id=params.message_id,
            message=msgspec.json.encode(params),
            oneway=params.message_type == ONEWAY,
            queued_at=time.time(),
        )
        try:
            await self._store.commit(lambda tx: queues.enqueue(tx, params.agent_id, queued))
        except JournalConflict:
            return None  # it has changed meanwhile: look again
        return msgspec.json.encode({"queued": True, "message_id": params.message_id})

    async def _forward(self, params: MessageParams, record: PagletRecord) -> bytes:
        forward = queues.follow(record, params.followed)
        if forward is None or params.hops >= self._limits.forwards:
            raise RemoteHostError(
                f"paglet {params.agent_id} was not found after {params.hops} forwards; it may be moving, try again"
            )
        onward = msgspec.structs.replace(params, hops=params.hops + 1, followed=forward.incarnation)
        return await self._peers.follow(forward, MESSAGE_SEND, onward, timeout=params.timeout)

    # --- the mailboxes

    def pump(self, resident: Resident) -> None:
        """Hand the next letter to the paglet, if it is free to take one."""
        if resident.child is None or resident.crashed:
            return
        letter = resident.mailbox.take()
        if letter is not None:
            resident.idle.clear()
            self._own(self._handle(resident, letter))

    async def _handle(self, resident: Resident, letter: Letter) -> None:
        params = letter.params
        message = Message(
            kind=params.kind,
            message_id=params.message_id,
            body=bytes(params.body),
            sender=params.sender,
            priority=params.priority,
            message_type=params.message_type,
            timestamp=params.timestamp,
        )
        try:
            reply = await resident.need_child().deliver(message)
        except PagletError as error:
            shown = resident.doubt if resident.doubt is not None else error
            letter.fail(shown)
            self._tell("message-failed", resident, params, str(shown))
            if letter.durable and not isinstance(error, PagletCrashedError):
                self._own(self._taken(params))
        else:
            letter.answer(reply)
            self._tell("message-delivered", resident, params, None)
            if letter.durable:
                self._own(self._taken(params))
        finally:
            resident.mailbox.done()
            resident.idle.set()
            self.pump(resident)

    def _tell(self, kind: str, resident: Resident, params: MessageParams, error: str | None) -> None:
        self._events.emit(
            kind,
            agent_id=params.agent_id,
            class_name=resident.record.class_name,
            message_id=params.message_id,
            data={"kind": params.kind, "sender": params.sender},
            error=error,
        )

    def open(self, resident: Resident, waiting: Iterable[QueuedRecord] = ()) -> None:
        """Let letters flow to a paglet whose first hook has returned, those queued durably first."""
        fresh = resident.mailbox.drain()
        for record in waiting:
            params = msgspec.json.decode(record.message, type=MessageParams)
            resident.mailbox.put(Letter(params, None, durable=True))
        for letter in fresh:
            resident.mailbox.put(letter)
        resident.mailbox.let_go()
        self.pump(resident)

    async def _taken(self, params: MessageParams) -> None:
        await self._store.commit(lambda tx: queues.take_message(tx, params.agent_id, params.message_id))

    def reroute(self, resident: Resident) -> None:
        """Send on what waited for a paglet that has left, was parked, or goes on in another process.

        What waits in the journal too goes another way: with the paglet, or after it.
        """
        for letter in resident.mailbox.drain():
            if not letter.durable:
                self._own(self._again(letter))

    async def _again(self, letter: Letter) -> None:
        try:
            letter.answer(await self._route(letter.params))
        except PagletError as error:
            letter.fail(error)
            if letter.reply is None:
                logger.warning(
                    "a one-way message was not delivered",
                    extra={
                        "agent_id": letter.params.agent_id,
                        "kind": letter.params.kind,
                        "error": str(error),
                    },
                )
                self._events.emit(
                    "message-failed",
                    agent_id=letter.params.agent_id,
                    message_id=letter.params.message_id,
                    data={"kind": letter.params.kind, "sender": letter.params.sender},
                    error=str(error),
                )

    def fail_waiting(self, resident: Resident, error: PagletError) -> None:
        """Tell everyone whose message waits for a paglet that will not handle it."""
        for letter in resident.mailbox.drain():
            letter.fail(error)

    # --- tasks

    def _own(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("delivering a message failed", exc_info=error)

    async def aclose(self) -> None:
        """Cancel what is under way."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
