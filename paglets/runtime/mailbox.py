"""A paglet's mailbox: what waits, in which order, and what may be handed over now. No I/O."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from paglets.core.errors import HostError
from paglets.core.messages import UNQUEUED_PRIORITY

if TYPE_CHECKING:
    import asyncio

    from paglets.remote.api import MessageParams

_LETTER_BYTES = 1000  # what a letter takes besides its body
_FIRST = 1 << 40  # above every priority that a message can carry


class Letter:
    """One message on its way to a paglet, and who waits for the answer.

    ``reply`` resolves to the raw JSON reply, or to the handler's error; None when nobody waits.
    """

    __slots__ = ("durable", "params", "reply", "turn")

    def __init__(
        self, params: MessageParams, reply: asyncio.Future[bytes] | None, *, durable: bool = False
    ) -> None:
        self.params = params
        self.reply = reply
        self.durable = durable
        """It waits in the journal too, to be taken off there when it has been handled."""
        self.turn = 0
        """Its number in the mailbox, by arrival."""

    def answer(self, reply: bytes) -> None:
        """Give the reply, unless the one who waited has left."""
        if self.reply is not None and not self.reply.done():
            self.reply.set_result(reply)

    def fail(self, error: Exception) -> None:
        """Give the error, unless the one who waited has left."""
        if self.reply is not None and not self.reply.done():
            self.reply.set_exception(error)

    @property
    def size(self) -> int:
        """Bytes that it holds in memory, about."""
        return len(self.params.body) + len(self.params.kind) + _LETTER_BYTES

    @property
    def abandoned(self) -> bool:
        """The one who waited has given up before the message was handed over."""
        return self.reply is not None and self.reply.done()


class Mailbox:
    """Orders by priority, then arrival; hands over one letter at a time; can be held back.

    ``limit`` (letters) and ``limit_bytes`` bound what waits: a letter over them is refused with ``HostError``.
    Several parties can hold it back at once; letters flow again when the last has let go.
    """

    __slots__ = ("_bytes", "_heap", "_holds", "_limit", "_limit_bytes", "_sequence", "in_progress")

    def __init__(self, limit: int = 10_000, limit_bytes: int = 64 * 1024**2) -> None:
        self._bytes = 0
        self._limit_bytes = limit_bytes
        self._heap: list[tuple[int, int, Letter]] = []
        self._sequence = 0
        self._limit = limit
        self._holds = 0
        self.in_progress: Letter | None = None

    def __len__(self) -> int:
        return len(self._heap)

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

    def put(self, letter: Letter) -> None:
        """Add a letter; ``HostError`` when the mailbox is full."""
        if len(self._heap) >= self._limit:
            raise HostError(
                f"the mailbox of {letter.params.agent_id} is full: {self._limit} messages wait; send more slowly"
            )
        if self._heap and self._bytes + letter.size > self._limit_bytes:
            raise HostError(
                f"the mailbox of {letter.params.agent_id} is full: {self._bytes} bytes of messages wait; "
                "send more slowly"
            )
        self._sequence += 1
        letter.turn = self._sequence
        self.put_back(letter)

    def put_back(self, letter: Letter) -> None:
        """Add a letter that was taken and has not been handled: in front of those that came after it."""
        priority = letter.params.priority
        rank = _FIRST if priority == UNQUEUED_PRIORITY else priority
        self._bytes += letter.size
        heapq.heappush(self._heap, (-rank, letter.turn, letter))

    def take(self) -> Letter | None:
        """The next letter, now in progress; None while one is in progress, when held or empty.

        Letters whose sender has given up waiting are dropped on the way.
        """
        if self._holds or self.in_progress is not None:
            return None
        while self._heap:
            letter = heapq.heappop(self._heap)[2]
            self._bytes -= letter.size
            if not letter.abandoned:
                self.in_progress = letter
                return letter
        return None

    def holds_letter_of(self, sender: str) -> bool:
        """Whether a message of that paglet waits."""
        return any(letter.params.sender == sender for _, _, letter in self._heap)

    def done(self) -> None:
        """The letter in progress has been handled."""
        self.in_progress = None

    def drain(self) -> list[Letter]:
        """Take out everything that waits, in order; what is in progress stays."""
        letters = [letter for _, _, letter in sorted(self._heap, key=lambda item: item[:2])]
        self._heap.clear()
        self._bytes = 0
        return letters
