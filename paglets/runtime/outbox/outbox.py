"""The outbox: keeps one-way messages for hosts that are away, and brings each lane of them in order."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from paglets.core.errors import PagletError
from paglets.core.messages import ONEWAY
from paglets.persistence import outbox_rules
from paglets.persistence.outbox_records import OutboxEntry
from paglets.persistence.outbox_rules import Answer
from paglets.remote.api import MESSAGE_SEND, MessageParams
from paglets.remote.outbox_api import OUTBOX_DELIVER, OutboxAnswer, OutboxDeliverParams
from paglets.remote.wire.failures import HostAwayError
from paglets.remote.wire.tasks import TaskSet
from paglets.runtime.outbox import machine
from paglets.runtime.outbox.floors import Floors
from paglets.runtime.outbox.judging import plain
from paglets.runtime.outbox.machine import Lane, Waiting

if TYPE_CHECKING:
    from paglets.persistence.outbox_records import DeadLetter
    from paglets.persistence.store import Store
    from paglets.remote.wire.pending import Pending
    from paglets.runtime.events import Events
    from paglets.runtime.outbox.machine import Effect, Event
    from paglets.runtime.peers import Peers

logger = logging.getLogger(__name__)

ACCEPTED = b'{"accepted":true}'
MAX_LIFETIME = 30 * 86_400.0
"""The longest that a message waits, in seconds."""
_ANSWER_TIMEOUT = 30.0
_PAGE = 100


class LaneKey(NamedTuple):
    """Order is kept among the messages of one sender (empty: a program) for one receiver."""

    sender: str
    receiver: str


class Outbox:
    """One host's outbox. ``lifetime``: seconds that a message waits at most before it is a dead letter."""

    def __init__(self, *, store: Store, peers: Peers, events: Events, lifetime: float) -> None:
        self._store = store
        self._peers = peers
        self._events = events
        self.lifetime = min(lifetime, MAX_LIFETIME)
        self._floors = Floors()
        self._lanes: dict[LaneKey, Lane] = {}
        self._keeping: dict[LaneKey, int] = {}
        """Messages whose commit is under way: what comes behind them must not overtake."""
        self._posts = TaskSet()
        self._tasks: set[asyncio.Task[None]] = set()
        self._news = asyncio.Event()

    # --- what comes in -----------------------------------------------------------------------------------

    def post(self, host_id: str, url: str, params: MessageParams, *, timeout: float | None) -> Pending[bytes]:
        """Bring a message to a paglet on another host; a one-way message is kept when that host is away.

        What the host says, or that it is accepted, durably; or what the host reports, which may be raised at once.
        """
        if params.message_type != ONEWAY:
            return self._peers.begin(host_id, url, MESSAGE_SEND, params, timeout=timeout)
        return self._posts.outcome_of(self._post_one_way(host_id, url, params, timeout))

    async def _post_one_way(
        self, host_id: str, url: str, params: MessageParams, timeout: float | None
    ) -> bytes:
        if self.is_waiting(params):
            return await self.keep(host_id, url, params)
        try:
            return await self._peers.call(host_id, url, MESSAGE_SEND, params, timeout=timeout)
        except HostAwayError:
            return await self.keep(host_id, url, params)

    def is_waiting(self, params: MessageParams) -> bool:
        """Whether messages of that sender for that receiver wait: another one has to come behind them."""
        key = _key(params)
        return key in self._lanes or key in self._keeping

    async def keep(self, host_id: str, url: str, params: MessageParams) -> bytes:
        """Accept a one-way message for later. ``QueueFullError`` when too many wait."""
        entry = self.entry(host_id, url, params)
        key = LaneKey(entry.sender, entry.agent_id)
        self._keeping[key] = self._keeping.get(key, 0) + 1
        try:
            await self._store.commit(lambda tx: outbox_rules.keep(tx, entry), then=self.kept)
        finally:
            self._keeping[key] -= 1
            if not self._keeping[key]:
                del self._keeping[key]
        return ACCEPTED

    def entry(self, host_id: str, url: str, params: MessageParams) -> OutboxEntry:
        """A message as it is written into the outbox, without its position there."""
        message = plain(params)
        return OutboxEntry(
            sender=message.sender or "",
            agent_id=message.agent_id,
            message_id=message.message_id,
            kind=message.kind,
            message=msgspec.json.encode(message),
            url=url,
            kept_at=time.time(),
            lifetime=self.lifetime,
            host_id=host_id or self._peers.address("", url).host_id or "",
        )

    def kept(self, entry: OutboxEntry) -> None:
        """A message is in the outbox; its lane goes on with it."""
        self._tell(LaneKey(entry.sender, entry.agent_id), machine.Kept(self._waiting(entry)))

    async def take_up(self) -> None:
        """Go on with what the host's earlier life has left."""
        lanes: dict[LaneKey, list[Waiting]] = {}
        first = await self._store.read(lambda tx: tx.outbox.next_number())
        self._floors.next_number = max(self._floors.next_number, first)
        known = {message.position for lane in self._lanes.values() for message in lane.waiting}
        after = 0
        while page := await self._store.read(lambda tx, after=after: tx.outbox.entries(after, _PAGE)):
            for entry in page:
                if entry.position in known:
                    continue  # kept since this host has started
                if entry.number:
                    self._floors.numbered(entry.position, entry.host_id, entry.number)
                lanes.setdefault(LaneKey(entry.sender, entry.agent_id), []).append(self._waiting(entry))
            after = page[-1].position
        for key, waiting in lanes.items():
            if key in self._lanes:
                for message in waiting:
                    self._tell(key, machine.Kept(message))
            else:
                self._go_on(key, machine.resume(tuple(waiting), self._now()))

    def peer_seen(self) -> None:
        """A host was heard from: what waits may be tried again at once."""
        self._news.set()
        self._news = asyncio.Event()

    def _waiting(self, entry: OutboxEntry) -> Waiting:
        # The wall clock counts only what passed while this host did not run: it may be set at any time.
        passed = max(0.0, time.time() - entry.kept_at)
        return Waiting(entry.position, self._now() + entry.lifetime - passed, entry.number)

    # --- lanes -------------------------------------------------------------------------------------------

    def _tell(self, key: LaneKey, event: Event) -> None:
        self._go_on(key, machine.step(self._lanes.get(key, Lane()), event, self._now()))

    def _go_on(self, key: LaneKey, step: machine.Step) -> None:
        if step.lane.waiting:
            self._lanes[key] = step.lane
        else:
            self._lanes.pop(key, None)
        if step.effect is not None:
            task = asyncio.create_task(self._carry_out(key, step.effect))
            self._tasks.add(task)
            task.add_done_callback(self._done)

    async def _carry_out(self, key: LaneKey, effect: Effect) -> None:
        news = self._news
        match effect:
            case machine.Reach(position, above):
                event = await self._reach(position, above)
            case machine.Send(position, number):
                event = await self._send(position, number)
            case machine.WriteSettled(position):
                event = await self._settle(position, None)
            case machine.WriteDead(position):
                event = await self._settle(position, effect)
            case machine.Pause(seconds):
                await _either(news, seconds)
                event = machine.Due()
        self._tell(key, event)

    async def _reach(self, position: int, above: int) -> Event:
        entry = await self._entry(position)
        if not isinstance(entry, OutboxEntry):
            return entry
        try:
            host_id = await self._peers.reach(entry.host_id, entry.url)
        except PagletError as error:
            return _silent(entry, error)
        self._floors.numbering(position, host_id)
        try:
            numbered = await self._store.commit(lambda tx: outbox_rules.number(tx, position, host_id, above))
        except PagletError as error:
            return _silent(entry, error)
        if numbered is None:
            return self._gone(position)
        self._floors.numbered(position, host_id, numbered.number)
        return machine.Numbered(position, numbered.number)

    async def _send(self, position: int, number: int) -> Event:
        entry = await self._entry(position)
        if not isinstance(entry, OutboxEntry):
            return entry
        params = OutboxDeliverParams(
            number=number,
            floor=self._floors.floor(entry.host_id),
            message=msgspec.json.decode(entry.message, type=MessageParams),
        )
        try:
            raw = await self._peers.call(
                entry.host_id, entry.url, OUTBOX_DELIVER, params, timeout=_ANSWER_TIMEOUT
            )
            heard = msgspec.json.decode(raw, type=OutboxAnswer)
            answer = Answer(heard.answer)
        except (PagletError, msgspec.MsgspecError, ValueError) as error:
            return _silent(entry, error)
        return machine.Heard(number, answer, heard.reason, heard.above)

    async def _entry(self, position: int) -> OutboxEntry | Event:
        """What is kept at a position, or what the lane has to hear instead."""
        try:
            entry = await self._store.read(lambda tx: tx.outbox.entry(position))
        except PagletError as error:
            logger.warning("a message in the outbox could not be read", extra={"error": str(error)})
            return machine.Silent(position)
        return self._gone(position) if entry is None else entry

    def _gone(self, position: int) -> Event:
        """It is not in the outbox any more, as when it was read there at a start while it was being kept."""
        self._floors.settled(position)
        return machine.Settled(position)

    async def _settle(self, position: int, dead: machine.WriteDead | None) -> Event:
        try:
            if dead is None:
                await self._store.commit(lambda tx: outbox_rules.settle(tx, position))
            else:
                reason, in_doubt = dead.reason, dead.in_doubt
                letter = await self._store.commit(
                    lambda tx: outbox_rules.bury(tx, position, reason, in_doubt=in_doubt, at=time.time())
                )
                if letter is not None:
                    tell_dead(self._events, letter)
        except PagletError as error:
            logger.warning(
                "the outbox could not be written", extra={"position": position, "error": str(error)}
            )
            return machine.NotWritten(position)
        self._floors.settled(position)
        return machine.Settled(position)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("a lane of the outbox stopped; the next start goes on with it", exc_info=error)

    async def aclose(self) -> None:
        """Stop; what waits stays in the journal."""
        await self._posts.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _key(params: MessageParams) -> LaneKey:
    return LaneKey(params.sender or "", params.agent_id)


def _silent(entry: OutboxEntry, error: Exception) -> Event:
    logger.info(
        "a message in the outbox waits for its host",
        extra={
            "agent_id": entry.agent_id,
            "message_id": entry.message_id,
            "url": entry.url,
            "error": str(error),
        },
    )
    return machine.Silent(entry.position)


async def _either(news: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await news.wait()
    except TimeoutError:
        pass


def tell_dead(events: Events, letter: DeadLetter) -> None:
    """Say that a message is a dead letter now."""
    events.emit(
        "message-failed",
        agent_id=letter.agent_id,
        message_id=letter.message_id,
        data={"kind": letter.kind, "sender": letter.sender or None, "dead_letter": letter.number},
        error=letter.reason,
    )
