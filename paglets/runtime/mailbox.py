"""A paglet's mailbox: what waits, in which order, and what may be handed over now. No I/O."""

from __future__ import annotations

import heapq
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING

from paglets.core.errors import HostError
from paglets.core.fair_share import FairShare
from paglets.core.messages import UNQUEUED_PRIORITY
from paglets.remote.wire.pending import Pending

if TYPE_CHECKING:
    from paglets.remote.api import MessageParams

WINDOW = 8
"""Letters that a paglet has at a time: the one that it handles, and some that it need not wait for then."""
_BULKY = 64 * 1024
_LETTER_BYTES = 1000  # what a letter takes besides its body
_FIRST = 1 << 40  # above every priority that a message can carry
_ONE_SENDER = 7.0
"""What one sender may have waiting, as a multiple of what is free: an eighth is always left to others."""
_PURGE_EVERY = 64
"""Refusals after which letters that nobody waits for any more are looked for again."""


class Reply(Pending[bytes]):
    """The reply to a message, still to come."""

    __slots__ = ("limit", "params")

    def __init__(self, params: MessageParams) -> None:
        super().__init__()
        self.params = params
        self.limit = 0.0
        """Seconds that it may take."""


class Letter:
    """One message on its way to a paglet, and who waits for the answer.

    ``reply`` resolves to the raw JSON reply, or to the handler's error; None when nobody waits.
    """

    __slots__ = ("answered", "durable", "params", "place", "reply", "sender", "size")

    def __init__(self, params: MessageParams, reply: Pending[bytes] | None, *, durable: bool = False) -> None:
        self.params = params
        self.reply = reply
        self.durable = durable
        """It waits in the journal too, to be taken off there when it has been handled."""
        self.answered = False
        """The paglet is done with it; what it has changed may not be durable yet."""
        self.sender = params.sender or ""
        """Whose share of the mailbox it takes; empty: that of programs."""
        self.place: tuple[int, int] = (0, 0)
        """Where it stands among others: by priority, then arrival; smaller goes first. Told by the mailbox."""
        self.size = len(params.body) + len(params.kind) + _LETTER_BYTES
        """Bytes that it holds in memory, about."""

    def paglet_is_done(self) -> None:
        """The paglet has told what came of it."""
        self.answered = True

    def answer(self, reply: bytes) -> None:
        """Give the reply, unless the one who waited has left."""
        if self.reply is not None and not self.reply.done():
            self.reply.set_result(reply)

    def fail(self, error: Exception) -> None:
        """Give the error, unless the one who waited has left."""
        if self.reply is not None and not self.reply.done():
            self.reply.set_exception(error)

    @property
    def bulky(self) -> bool:
        """Too large to be handed over ahead."""
        return len(self.params.body) > _BULKY

    @property
    def abandoned(self) -> bool:
        """The one who waited has given up before the message was handed over."""
        return self.reply is not None and self.reply.done()


class Mailbox:
    """Orders by priority, then arrival; hands over a few letters at a time; can be held back.

    The paglet handles what it was handed one by one, in the order of the handing over, so the first of them is
    the one in progress. The others are handed over ahead, to spare it the wait, and are to be called back when
    one comes that goes before them, or when nothing more shall be handled.

    ``limit`` (letters) and ``limit_bytes`` bound what waits, fairly among senders, and ``room`` the bytes in all
    mailboxes of a host, fairly among paglets: a letter over them is refused with ``HostError``. It counts until it
    is ``done``. Several parties can hold it back at once; letters flow again when the last has let go.
    """

    __slots__ = (
        "_bytes",
        "_handed",
        "_heap",
        "_holds",
        "_letters",
        "_owner",
        "_refusals",
        "_room",
        "_sequence",
        "recalling",
    )

    def __init__(
        self,
        limit: int = 10_000,
        limit_bytes: int = 64 * 1024**2,
        *,
        owner: str = "",
        room: FairShare | None = None,
    ) -> None:
        self._owner = owner
        self._letters = FairShare("", limit, share=_ONE_SENDER)
        self._bytes = FairShare("", limit_bytes, share=_ONE_SENDER)
        self._room = room if room is not None else FairShare("", limit_bytes)
        self._heap: list[tuple[int, int, Letter]] = []
        self._handed: deque[Letter] = deque()
        self._sequence = 0
        self._refusals = 0
        self._holds = 0
        self.recalling = False
        """What was handed over ahead is being called back; nothing is handed over meanwhile."""

    def __len__(self) -> int:
        return len(self._heap) + self.ahead

    @property
    def in_progress(self) -> Letter | None:
        """The letter that is being handled, or will be at once."""
        for letter in self._handed:
            if not letter.answered:
                return letter
        return None

    @property
    def unsettled(self) -> bool:
        """Whether a letter is handled of which the effects, or that it is off its queue, are not durable yet."""
        return any(letter.answered for letter in self._handed)

    @property
    def ahead(self) -> int:
        """How many letters were handed over behind the one in progress."""
        return max(0, len(self._handed) - 1)

    @property
    def held(self) -> bool:
        """Whether anybody holds it back."""
        return self._holds > 0

    def hold(self) -> None:
        """Hand nothing over until ``let_go`` was called as often as this."""
        self._holds += 1

    def let_go(self) -> None:
        """End one hold."""
        self._holds = max(0, self._holds - 1)

    def check_room(self, letter: Letter) -> None:
        """``HostError`` when it is too full for a letter."""
        reason = self._too_full(letter)
        if reason and self._purge():
            reason = self._too_full(letter)
        if reason:
            self._room.refuse(self._owner)
            raise HostError(f"{reason}; send more slowly, or wait for replies")

    def _too_full(self, letter: Letter) -> str:
        sender, agent_id = letter.sender, letter.params.agent_id
        if not self._letters.fits(sender):
            return (
                f"the mailbox of {agent_id} is full: {self._letters.used} messages wait, "
                f"{self._letters.held(sender)} of them from {sender or 'programs'}"
            )
        if self._letters.used and not self._bytes.fits(sender, letter.size):
            return (
                f"the mailbox of {agent_id} is full: {self._bytes.used} bytes of messages wait, "
                f"{self._bytes.held(sender)} of them from {sender or 'programs'}"
            )
        if not self._room.fits(self._owner, letter.size) and (self._letters.used or self._room.used):
            return (
                f"the mailboxes of this host are full: {self._room.used} bytes of messages wait, "
                f"{self._room.held(self._owner)} of them for {agent_id}"
            )
        return ""

    def _purge(self) -> bool:
        """Drop letters whose senders have given up, so that they take no room; now and then only, as it takes time."""
        self._refusals += 1
        if self._refusals % _PURGE_EVERY != 1:
            return False
        standing = [item for item in self._heap if not item[2].abandoned]
        for _, _, letter in self._heap:
            if letter.abandoned:
                self._leave(letter)
        found = len(standing) < len(self._heap)
        self._heap = standing
        heapq.heapify(self._heap)
        return found

    def put(self, letter: Letter) -> bool:
        """Add a letter; whether it goes before one that was handed over ahead. ``HostError``: it is full."""
        self.check_room(letter)
        return self.keep(letter)

    def keep(self, letter: Letter) -> bool:
        """As ``put`` for a letter that was accepted before: there is always room for it."""
        self._sequence += 1
        priority = letter.params.priority
        letter.place = (-(_FIRST if priority == UNQUEUED_PRIORITY else priority), self._sequence)
        self._letters.add(letter.sender)
        self._bytes.add(letter.sender, letter.size)
        self._room.add(self._owner, letter.size)
        self._push(letter)
        return len(self._handed) > 1 and any(
            letter.place < each.place for each in islice(self._handed, 1, None)
        )

    def take(self) -> Letter | None:
        """The next letter, handed over from now on; None when enough are, or nothing may be, or is there.

        Letters whose sender has given up waiting are dropped on the way.
        """
        while self._heap and not self._holds and not self.recalling:
            letter = self._heap[0][2]
            if letter.abandoned:
                self._leave(self._pop())
            elif self._handed and (len(self._handed) >= WINDOW or letter.bulky):
                return None
            else:
                self._handed.append(self._pop())
                return letter
        return None

    def done(self, letter: Letter) -> None:
        """A letter that was handed over has been handled, or will not be; nothing happens when it was put back."""
        if letter in self._handed:
            self._handed.remove(letter)
            self._leave(letter)

    def put_back(self, letter: Letter) -> None:
        """A letter that was handed over was not handled: it waits where it waited before."""
        self._handed.remove(letter)
        letter.answered = False
        self._push(letter)

    @property
    def idle(self) -> bool:
        """Whether nothing is handed over."""
        return not self._handed

    @property
    def has_waiting(self) -> bool:
        """Whether there is anything that is not handed over yet."""
        return bool(self._heap)

    def holds_letter_of(self, sender: str) -> bool:
        """Whether a message of that paglet waits."""
        waiting = [*(letter for _, _, letter in self._heap), *islice(self._handed, 1, None)]
        return any(letter.params.sender == sender for letter in waiting)

    def drain(self) -> list[Letter]:
        """Take out everything that waits, in order; what is handed over stays."""
        letters = [letter for _, _, letter in sorted(self._heap, key=lambda item: item[:2])]
        self._heap.clear()
        for letter in letters:
            self._leave(letter)
        return letters

    def _push(self, letter: Letter) -> None:
        heapq.heappush(self._heap, (*letter.place, letter))

    def _pop(self) -> Letter:
        return heapq.heappop(self._heap)[2]

    def _leave(self, letter: Letter) -> None:
        self._letters.give_back(letter.sender)
        self._bytes.give_back(letter.sender, letter.size)
        self._room.give_back(self._owner, letter.size)
