"""Hands the letters in mailboxes to the paglets they are for, and brings back the replies."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from paglets.core.errors import PagletCrashedError, PagletError
from paglets.core.messages import ONEWAY
from paglets.persistence.journal import queues
from paglets.remote.api import MessageParams
from paglets.runtime.child_specs import Message
from paglets.runtime.children.outcomes import ChildEnd
from paglets.runtime.children.requests import MessageReturnedError
from paglets.runtime.circles import check_circle
from paglets.runtime.mailbox import Letter, Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable
    from typing import Any

    from paglets.core.incarnation import Incarnation
    from paglets.persistence.records import PagletRecord, QueuedRecord
    from paglets.persistence.store import Store
    from paglets.runtime.checkpoints import Checkpoints
    from paglets.runtime.children.child import Child
    from paglets.runtime.children.requests import StateAfter
    from paglets.runtime.events import Events
    from paglets.runtime.residents import Resident, Residents

logger = logging.getLogger(__name__)

_OWN_DOING = {ChildEnd.CRASHED, ChildEnd.EXITED, ChildEnd.LINK_CLOSED, ChildEnd.LINK_VIOLATED}
_AT_A_TIME = 50
"""Letters that are given up in one turn of the loop."""
ACCEPTED = b'{"accepted":true}'
"""The answer to a one-way message."""


class Mailboxes:
    """The mailboxes of the paglets of this host at work."""

    def __init__(
        self, *, residents: Residents, store: Store, events: Events, checkpoints: Checkpoints
    ) -> None:
        self._residents = residents
        self._store = store
        self._events = events
        self._checkpoints = checkpoints
        self._tasks: set[asyncio.Task[None]] = set()
        self._held_up: set[Resident] = set()  # whose process takes no messages just now
        self._overlooked: set[tuple[str, Incarnation]] = set()
        residents.on_life_over.append(self._life_over)
        self._progress: asyncio.Event | None = None
        """Set when a message is over; None: nobody waits for that."""
        self.send_on: Callable[[Letter], None] | None = None
        """What becomes of a letter whose paglet is not at work here any more; set once by who routes them."""
        self.on_fatal: Callable[[MessageParams, PagletError], Coroutine[Any, Any, None]] | None = None
        """Told of each message of a durable queue in whose handler the process ended; it waits there still, and
        comes first in the next life. Set once, by who counts such tries."""

    def put(self, resident: Resident, params: MessageParams) -> bytes | Reply:
        """Take a message in: what a one-way sender is told, else the reply to come.

        One for a paglet that is being started again waits for that. ``PagletCrashedError`` when it has failed,
        ``LifecycleError`` when its sender would wait for itself, ``HostError`` when the mailbox is full.
        """
        if not resident.returning and (
            resident.crashed or (resident.record.failed and resident.child is None)
        ):
            raise PagletCrashedError(
                f"paglet {params.agent_id} has no process: {resident.crashed or resident.record.failed}; "
                "activate it to start it again from its last checkpoint"
            )
        check_circle(params)
        reply = None if params.message_type == ONEWAY else Reply(params)
        if resident.mailbox.put(Letter(params, reply)):
            self.recall(resident)
        self.pump(resident)
        return ACCEPTED if reply is None else reply

    def pump(self, resident: Resident) -> None:
        """Hand the next letters to the paglet, if it is free to take any."""
        child, mailbox = resident.child, resident.mailbox
        if child is None or resident.crashed or child.outcome is not None:
            return
        while mailbox.has_waiting:
            if not child.takes_messages:
                self._hold_up(resident, child)
                return
            letter = mailbox.take()
            if letter is None:
                return
            resident.idle.clear()
            child.hand(_message(letter.params), partial(self._told, resident, letter, child))

    def _hold_up(self, resident: Resident, child: Child) -> None:
        """The paglet's process takes no messages just now: hand on what waits as soon as it does."""
        if resident not in self._held_up:
            self._held_up.add(resident)
            self._own(self._pump_later(resident, child))

    async def _pump_later(self, resident: Resident, child: Child) -> None:
        try:
            await child.until_it_takes_messages()
        finally:
            self._held_up.discard(resident)
        self.pump(resident)

    def recall(self, resident: Resident) -> None:
        """Have the paglet give back what it was handed ahead and has not begun with."""
        child, mailbox = resident.child, resident.mailbox
        if child is not None and not resident.crashed and mailbox.ahead and not mailbox.recalling:
            mailbox.recalling = True
            self._own(self._recall(resident, child))

    async def _recall(self, resident: Resident, child: Child) -> None:
        with suppress(PagletError):  # it has ended, so nothing is left to be called back
            await child.recall()
        resident.mailbox.recalling = False
        self.pump(resident)

    # --- what came of them

    def _told(
        self,
        resident: Resident,
        letter: Letter,
        child: Child,
        result: bytes | PagletError,
        after: StateAfter | None,
    ) -> None:
        """The paglet is done with a message. What has to become durable first, or with it, takes a task."""
        letter.paglet_is_done()
        if isinstance(result, MessageReturnedError):
            self._give_back(resident, letter)
        elif letter.durable or after is not None:
            self._own(self._finish_durably(resident, letter, child, result, after))
            return
        else:
            self._answer(resident, letter, result)
            if _was_handled(result, child):
                self._checkpoints.handled(resident)
        self._over(resident, letter)

    async def _finish_durably(
        self,
        resident: Resident,
        letter: Letter,
        child: Child,
        result: bytes | PagletError,
        after: StateAfter | None,
    ) -> None:
        try:
            if after is not None:
                try:
                    await self._checkpoints.keep(resident, letter, child, after)
                except PagletError as error:
                    result = error
            shown = self._answer(resident, letter, result)
            if _was_handled(result, child):
                self._checkpoints.handled(resident)
                if letter.durable:
                    await self._take_off(resident, letter.params)
            elif (
                letter.durable
                and shown is not None
                and _by_its_own_doing(child)
                and self.on_fatal is not None
            ):
                self._own(self.on_fatal(letter.params, shown))
        finally:
            self._over(resident, letter)

    async def _take_off(self, resident: Resident, params: MessageParams) -> None:
        try:
            await self._store.commit(lambda tx: queues.take_message(tx, params.agent_id, params.message_id))
        except PagletError as error:
            self._checkpoints.owes(resident, params.message_id)
            logger.warning(
                "a message that was handled could not be taken off the queue yet",
                extra={"agent_id": params.agent_id, "message_id": params.message_id, "error": str(error)},
            )

    def _answer(self, resident: Resident, letter: Letter, result: bytes | PagletError) -> PagletError | None:
        """Tell the one who waits, and those who listen; the error that they were told."""
        if isinstance(result, bytes):
            letter.answer(result)
            self._tell("message-delivered", letter.params, resident, None)
            return None
        shown = resident.doubt if resident.doubt is not None else result
        letter.fail(shown)
        self.tell_failed(letter.params, shown, resident)
        return shown

    def _over(self, resident: Resident, letter: Letter) -> None:
        resident.mailbox.done(letter)
        if self._progress is not None:
            self._progress.set()
            self._progress = None
        if resident.mailbox.idle:
            resident.idle.set()
        self.pump(resident)

    async def settle(self, resident: Resident) -> None:
        """Wait until all that the paglet has handled is off its queue, durably.

        For a paglet that has packed: what it has handled is in the state that it leaves with, and would be handled
        again if its host were killed between the commit of that state and that of the queue.
        """
        while resident.mailbox.unsettled:
            if self._progress is None:
                self._progress = asyncio.Event()
            await self._progress.wait()

    def _give_back(self, resident: Resident, letter: Letter) -> None:
        """A letter that was handed over, and not begun with, goes where the others go."""
        if self._residents.get(resident.agent_id) is not resident:
            if self.send_on is not None:
                self.send_on(letter)
        elif resident.crashed and not resident.returning:
            error = PagletCrashedError(f"paglet {resident.agent_id} has failed: {resident.crashed}")
            letter.fail(error)
            self.tell_failed(letter.params, error, resident)
        else:
            resident.mailbox.put_back(letter)

    def hand_over(self, earlier: Resident, successor: Resident) -> None:
        """What waits for one life waits for the next, in its order; the queue in the journal is read anew for it."""
        for letter in earlier.mailbox.drain():
            if not letter.durable:
                successor.mailbox.keep(letter)

    def overlooked(self, record: PagletRecord) -> None:
        """A message was queued for a life that is not on the table yet: it reads its queue anew before it opens."""
        self._overlooked.add((record.agent_id, record.incarnation))

    def _life_over(self, resident: Resident) -> None:
        self._overlooked.discard((resident.agent_id, resident.incarnation))

    async def waiting_for(self, resident: Resident, known: Iterable[QueuedRecord]) -> Iterable[QueuedRecord]:
        """What waits durably for a life that is about to open: ``known``, read when it began, or more."""
        life = resident.agent_id, resident.incarnation
        if life not in self._overlooked:
            return known
        self._overlooked.discard(life)
        try:
            return await self._store.read(lambda tx: tx.queued(resident.agent_id))
        except PagletError as error:
            logger.warning(
                "the queue of a paglet could not be read; its next life finds what waits there",
                extra={"agent_id": resident.agent_id, "error": str(error)},
            )
            return known

    def open(self, resident: Resident, waiting: Iterable[QueuedRecord] = ()) -> None:
        """Let letters flow to a paglet whose first hook has returned, those queued durably first."""
        fresh = resident.mailbox.drain()
        queued: set[str] = set()
        for record in waiting:
            params = msgspec.json.decode(record.message, type=MessageParams)
            resident.mailbox.keep(Letter(params, None, durable=True))
            queued.add(record.message_id)
        for letter in fresh:
            if not (letter.durable and letter.params.message_id in queued):
                resident.mailbox.keep(letter)
        resident.mailbox.let_go()
        self.pump(resident)

    def fail_waiting(self, resident: Resident, error: PagletError) -> None:
        """Tell everyone whose message waits for a paglet that will not handle it.

        What nobody waits for is told by an event. What is queued durably stays there, for its next life.
        """
        letters = resident.mailbox.drain()
        self._fail(letters[:_AT_A_TIME], error, resident)
        if len(letters) > _AT_A_TIME:
            self._own(self._fail_others(letters[_AT_A_TIME:], error, resident))

    async def _fail_others(self, letters: list[Letter], error: PagletError, resident: Resident) -> None:
        """A few in each turn of the loop: each of the many who waited is work, and others want to be served, too."""
        done = 0
        try:
            while done < len(letters):
                await asyncio.sleep(0)
                self._fail(letters[done : done + _AT_A_TIME], error, resident)
                done += _AT_A_TIME
        finally:  # cancelled, as the host stops: nobody waits in vain
            self._fail(letters[done:], error, resident)

    def _fail(self, letters: list[Letter], error: PagletError, resident: Resident) -> None:
        for letter in letters:
            letter.fail(error)
            if not letter.durable:
                self.tell_failed(letter.params, error, resident)

    def abandon(self, resident: Resident, error: PagletError) -> None:
        """The host stops: tell those, too, whose message is being handled."""
        letter = resident.mailbox.in_progress
        if letter is not None:
            letter.fail(error)
        self.fail_waiting(resident, error)

    # --- what is told of messages

    def tell_failed(
        self, params: MessageParams, error: PagletError, resident: Resident | None = None
    ) -> None:
        """A message was not handled, or its handler raised."""
        self._tell("message-failed", params, resident, str(error))

    def _tell(self, kind: str, params: MessageParams, resident: Resident | None, error: str | None) -> None:
        self._events.emit(
            kind,
            agent_id=params.agent_id,
            class_name=resident.record.class_name if resident is not None else None,
            message_id=params.message_id,
            data={"kind": params.kind, "sender": params.sender},
            error=error,
        )

    # --- tasks

    def _own(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
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


def _message(params: MessageParams) -> Message:
    """The message as a paglet is handed it."""
    return Message(
        kind=params.kind,
        message_id=params.message_id,
        body=bytes(params.body),
        sender=params.sender,
        priority=params.priority,
        message_type=params.message_type,
        timestamp=params.timestamp,
    )


def _was_handled(result: bytes | PagletError, child: Child) -> bool:
    """Whether a handler has returned or raised, and not its process ended."""
    return isinstance(result, bytes) or child.outcome is None or not isinstance(result, PagletCrashedError)


def _by_its_own_doing(child: Child) -> bool:
    return child.outcome is not None and child.outcome.end in _OWN_DOING
