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
from paglets.remote.wire.deadlines import Deadlines
from paglets.remote.wire.failures import HostAwayError
from paglets.remote.wire.peer import PeerKind
from paglets.remote.wire.pending import Pending, settled
from paglets.remote.wire.tasks import TaskSet
from paglets.runtime.caller import PROGRAM, Caller
from paglets.runtime.mailbox import Letter, Reply
from paglets.runtime.outbox.judging import wakes_parked
from paglets.runtime.outbox.lately import LatelyTaken
from paglets.runtime.turns import Turns
from paglets.runtime.undivided import Undivided, undivided

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from paglets.persistence.lmdb_transaction import LmdbTransaction
    from paglets.persistence.outbox_rules import Received
    from paglets.persistence.records import PagletRecord
    from paglets.persistence.store import Store
    from paglets.runtime.hook_waits import HookWaits
    from paglets.runtime.mailboxes import Mailboxes
    from paglets.runtime.peers import Peers
    from paglets.runtime.residents import Resident, Residents
    from paglets.runtime.services.class_offers import ClassOffers
    from paglets.runtime.settings import Limits

logger = logging.getLogger(__name__)

Answer = bytes | Pending[bytes]
"""The reply of a message as raw JSON, now or to come."""


class Activator(Protocol):
    """Wakes a parked paglet that got a message."""

    def rouse(self, agent_id: str, waiting: Sequence[str]) -> Awaitable[object]:
        """Give it a process, if it has none; its first hook is run beside.

        ``waiting``: the paglets whose handlers wait for this.
        """
        ...


class Postponer(Protocol):
    """Keeps one-way messages for hosts that are away."""

    def is_waiting(self, params: MessageParams) -> bool:
        """Whether messages of that sender for that receiver wait already."""
        ...

    async def keep(self, host_id: str, url: str, params: MessageParams) -> bytes:
        """Accept a one-way message for later, durably."""
        ...


class Delivery:
    """Routes messages to the paglets of this host and follows the forwards of those that have left.

    What comes for one paglet keeps its order, whether the paglet is at work, is being woken, or has moved on.
    """

    def __init__(
        self,
        *,
        residents: Residents,
        mailboxes: Mailboxes,
        store: Store,
        peers: Peers,
        waits: HookWaits,
        offers: ClassOffers,
        limits: Limits,
    ) -> None:
        self._residents = residents
        self._mailboxes = mailboxes
        mailboxes.send_on = self._send_on
        self._store = store
        self._peers = peers
        self._waits = waits
        self._offers = offers
        self._limits = limits
        self._turns = Turns()
        self._setting_out: dict[str, int] = {}  # messages in tasks that have not begun, by whom they are for
        self._deadlines: Deadlines[Reply] = Deadlines(_expired)
        self._tasks = TaskSet()
        self.undivided = Undivided()
        self.activator: Activator | None = None
        """Set once, when the host is put together."""
        self.postponer: Postponer | None = None
        """Set once, when the host is put together."""
        self.follow_on: Callable[[str], None] = _nobody_follows
        """Told of each paglet that has left and for which a message was queued; set once."""
        self.rouse_later: Callable[[PagletRecord], None] = _nobody_rouses
        """Told of each parked paglet that a queued message could not wake; set once."""
        self.lately_taken = LatelyTaken()
        self.reserved: Mapping[str, Callable[[Caller, MessageParams], Awaitable[bytes]]] = {}
        """What the runtime itself handles, by message kind; set once, when the host is put together."""

    def send(self, params: MessageParams, caller: Caller = PROGRAM) -> Pending[bytes]:
        """Deliver one message; the raw JSON reply to come.

        A one-way message is answered as soon as it is accepted. ``InvalidAgentError``: no such paglet here
        and no forward. ``HostError`` when no reply came in time; the message may have been handled. An error may
        be raised at once.
        """
        self._waits.release(waiter=params.agent_id, moved=params.sender)
        resident = self._at_hand(params)
        if resident is None:
            reply = Reply(params)
            self._set_going(reply, caller)
        else:
            answer = self._mailboxes.put(resident, params)
            if isinstance(answer, bytes):
                self._note(params, caller)
                return settled(answer)
            reply = answer
        reply.limit = params.timeout if params.timeout is not None else self._limits.reply_timeout
        self._deadlines.add(reply, reply.limit)
        reply.add_done_callback(self._came)
        return reply

    def _at_hand(self, params: MessageParams) -> Resident | None:
        """The paglet of a message that can be put into its mailbox now, as most can, behind all that came before."""
        agent_id = params.agent_id
        if agent_id in self._setting_out or agent_id in self._turns or params.kind in self.reserved:
            return None
        return self._residents.get(agent_id)

    def _set_going(self, reply: Reply, caller: Caller) -> None:
        """Deliver what has to wait for something, in a task; nothing that comes later overtakes it."""
        agent_id = reply.params.agent_id
        self._setting_out[agent_id] = self._setting_out.get(agent_id, 0) + 1
        self._tasks.settle(reply, self._by_and_by(reply.params, caller))
        asyncio.get_running_loop().call_soon(
            self._has_set_out, agent_id
        )  # right behind the task's first step

    def _has_set_out(self, agent_id: str) -> None:
        self._setting_out[agent_id] -= 1
        if not self._setting_out[agent_id]:
            del self._setting_out[agent_id]

    async def _by_and_by(self, params: MessageParams, caller: Caller) -> bytes:
        handler = self.reserved.get(params.kind)
        reply = await (handler(caller, params) if handler is not None else self._route(params))
        self._note(params, caller)
        return reply

    def _note(self, params: MessageParams, caller: Caller) -> None:
        if params.message_type == ONEWAY and _from_a_host(caller):
            self.lately_taken.note(params)

    def _came(self, reply: Pending[bytes]) -> None:
        if isinstance(reply, Reply):
            self._deadlines.discard(reply, reply.limit)

    async def _route(self, params: MessageParams) -> bytes:
        resident = self._residents.get(params.agent_id)
        if resident is not None and params.agent_id not in self._turns:
            answer = self._mailboxes.put(resident, params)
        else:
            # Whatever has to be looked up first takes time; those that come behind must not overtake.
            async with self._turns.take(params.agent_id):
                answer = await self._accept(params)
        return answer if isinstance(answer, bytes) else await answer

    async def _accept(self, params: MessageParams) -> Answer:
        """Find the place of a message: what is returned is begun already, so the next one comes behind it."""
        while True:
            resident = self._residents.get(params.agent_id)
            if resident is not None:
                return self._mailboxes.put(resident, params)
            record = await self._store.read(lambda tx: tx.paglet(params.agent_id))
            if self._residents.get(params.agent_id) is not None:
                continue  # it came while we looked
            if record is None and await self._offers.settle():
                continue
            if record is None or record.phase is Phase.TOMBSTONE:
                raise InvalidAgentError(f"there is no paglet {params.agent_id} on this host")
            if record.phase is Phase.DEPARTED:
                return self._tasks.outcome_of(self._forward(params, record))
            if record.phase is Phase.INACTIVE:
                if not _wakes(params, record):
                    return self._tasks.outcome_of(self._enqueue(params))
            elif record.phase is not Phase.ACTIVE or record.failed:
                raise PagletCrashedError(
                    f"paglet {params.agent_id} is not running here{': ' + record.failed if record.failed else ''}"
                )
            if self.activator is None:
                raise HostError("this host is not ready yet")
            await self.activator.rouse(params.agent_id, params.waiting)

    async def _enqueue(self, params: MessageParams) -> bytes:
        queued = QueuedRecord(
            message_id=params.message_id,
            message=msgspec.json.encode(msgspec.structs.replace(params, waiting=[])),
            oneway=params.message_type == ONEWAY,
            queued_at=time.time(),
        )
        try:
            await self._store.commit(lambda tx: queues.enqueue(tx, params.agent_id, queued))
        except JournalConflict:
            return await self._route(params)  # it has changed meanwhile: look again
        return msgspec.json.encode({"queued": True, "message_id": params.message_id})

    async def _forward(self, params: MessageParams, record: PagletRecord) -> bytes:
        forward = queues.follow(record, params.followed)
        if forward is None or params.hops >= self._limits.forwards:
            raise RemoteHostError(
                f"paglet {params.agent_id} was not found after {params.hops} forwards; it may be moving, try again"
            )
        onward = msgspec.structs.replace(params, hops=params.hops + 1, followed=forward.incarnation)
        postponer = self.postponer if params.message_type == ONEWAY else None
        if postponer is not None and postponer.is_waiting(onward):
            return await postponer.keep(forward.host_id, forward.url, onward)
        try:
            return await self._peers.follow(forward, MESSAGE_SEND, onward, timeout=params.timeout)
        except HostAwayError:
            if postponer is None:
                raise
            return await postponer.keep(forward.host_id, forward.url, onward)

    # --- what comes durably ------------------------------------------------------------------------------

    @undivided
    async def take_durably(
        self, params: MessageParams, rule: Callable[[LmdbTransaction], Received]
    ) -> Received:
        """Run a rule that may put a one-way message into its paglet's queue, and let the paglet have it then.

        It comes in its turn among those for the same paglet. ``HostError`` when there is no room for it. Who asked may
        go: what is in the queue then is brought all the same.
        """
        letter = Letter(params, None, durable=True)
        async with self._turns.take(params.agent_id):
            if await self._store.read(lambda tx: tx.paglet(params.agent_id)) is None:
                await self._offers.settle()
            resident = self._residents.get(params.agent_id)
            if resident is not None:
                resident.mailbox.check_room(letter)
            received = await self._store.commit(rule)
            if received.record is not None:
                await self._bring(received.record, letter)
        return received

    async def _bring(self, record: PagletRecord, letter: Letter) -> None:
        """A message was queued for the paglet of that record: let that life have it, or a later one find it."""
        if record.phase is Phase.DEPARTED:
            self.follow_on(record.agent_id)
        elif record.phase is Phase.INACTIVE:
            if wakes_parked(record, letter.params):
                self._tasks.start(self._rouse(record))
        elif not self._hand_in(record, letter):
            # That life has begun in the journal, before this message was there, and is still to be put on the table.
            self._mailboxes.overlooked(record)

    def _hand_in(self, record: PagletRecord, letter: Letter) -> bool:
        resident = self._residents.get(record.agent_id)
        if resident is None or resident.incarnation != record.incarnation:
            return False
        if resident.mailbox.keep(letter):  # there was room when it was accepted
            self._mailboxes.recall(resident)
        self._mailboxes.pump(resident)
        return True

    async def _rouse(self, record: PagletRecord) -> None:
        """Wake it for what waits in its queue; what keeps it from that may be over soon."""
        if self.activator is None:
            return
        try:
            await self.activator.rouse(record.agent_id, ())
        except PagletError:
            self.rouse_later(record)
        except Exception:
            logger.exception("a message could not wake its paglet", extra={"agent_id": record.agent_id})
            self.rouse_later(record)

    def reroute(self, resident: Resident) -> None:
        """Send on what waited for a paglet that has left, was parked, or goes on in another process.

        What waits in the journal too goes another way: with the paglet, or after it. One that was parked is woken.
        """
        letters = resident.mailbox.drain()
        for letter in letters:
            if not letter.durable:
                self._send_on(letter)
        waking = (letter for letter in letters if letter.durable and letter.params.activate_if_inactive)
        if (letter := next(waking, None)) is not None:
            self._send_on(letter)

    def _send_on(self, letter: Letter) -> None:
        self._tasks.start(self._look_after(letter) if letter.durable else self._again(letter))

    async def _look_after(self, letter: Letter) -> None:
        record = await self._store.read(lambda tx: tx.paglet(letter.params.agent_id))
        if record is None or record.phase is not Phase.INACTIVE or record.resume:
            return  # it has gone on, or the start of its host wakes it
        if wakes_parked(record, letter.params):
            await self._rouse(record)

    async def _again(self, letter: Letter) -> None:
        try:
            letter.answer(await self._route(letter.params))
        except PagletError as error:
            letter.fail(error)
            if letter.reply is None:
                self._mailboxes.tell_failed(letter.params, error)

    async def aclose(self) -> None:
        """Cancel what is under way."""
        self._deadlines.close()
        await self.undivided.aclose()
        await self._tasks.close()


def _expired(reply: Reply, seconds: float) -> None:
    params = reply.params
    if not reply.done():
        reply.set_exception(
            HostError(
                f"paglet {params.agent_id} did not answer {params.kind!r} within {seconds:g} s; it may still do so"
            )
        )


def _from_a_host(caller: Caller) -> bool:
    return caller.peer is not None and caller.peer.kind is PeerKind.MEMBER


def _nobody_follows(agent_id: str) -> None:
    """Until the host is put together."""


def _wakes(params: MessageParams, record: PagletRecord) -> bool:
    """Whether the message wakes the parked paglet, or waits for it; ``PagletInactiveError``: neither."""
    if params.no_delay:
        raise PagletInactiveError(f"paglet {params.agent_id} is parked, and the message asked for no delay")
    policy = DeactivationPolicy.from_wire(record.policy)
    if policy.activate_on_message and params.activate_if_inactive:
        return record.queued is None  # what is in the outbox is not woken: its messages go with it
    if not policy.queue_messages_when_inactive:
        raise PagletInactiveError(f"paglet {params.agent_id} is parked and takes no messages until activated")
    return False


def _nobody_rouses(record: PagletRecord) -> None:
    """Until the host is put together."""
