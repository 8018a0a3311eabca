"""Many replies that are on their way, taken as they arrive."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from paglets.core.messages import FutureReply


class ReplySet:
    """Replies to messages that were sent together: what ``multicast`` returns. Safe from any thread.

    A reply is pending, then available, then taken; a taken one has left the set. ``get_next_future_reply``
    and iteration take.
    """

    def __init__(self, replies: Iterable[FutureReply] | None = None) -> None:
        self._arrived = threading.Condition()
        self._pending: dict[int, FutureReply] = {}  # by id(): replies are equal to themselves only
        self._available: deque[FutureReply] = deque()
        for reply in replies or ():
            self.add_future_reply(reply)

    def add_future_reply(self, reply: FutureReply) -> None:
        """Add one more reply, which may have arrived already."""
        with self._arrived:
            self._pending[id(reply)] = reply
        reply.added_to(self)

    def done(self, reply: FutureReply) -> None:
        """Mark a reply of this set as arrived; replies call this themselves, any other one is ignored."""
        with self._arrived:
            if self._pending.pop(id(reply), None) is not None:
                self._available.append(reply)
                self._arrived.notify_all()

    def are_all_available(self) -> bool:
        """Whether no reply is pending."""
        with self._arrived:
            return not self._pending

    def is_any_available(self) -> bool:
        """Whether a reply can be taken at once."""
        with self._arrived:
            return bool(self._available)

    def count_available(self) -> int:
        """How many replies can be taken at once."""
        with self._arrived:
            return len(self._available)

    def count_unavailable(self) -> int:
        """How many replies are pending."""
        with self._arrived:
            return len(self._pending)

    def has_more_future_replies(self) -> bool:
        """Whether any reply is left to take, now or later."""
        with self._arrived:
            return bool(self._pending or self._available)

    def wait_for_all_replies(self, timeout: float | None = None) -> bool:
        """Wait until none is pending, at most ``timeout`` seconds; whether that is so."""
        with self._arrived:
            return self._arrived.wait_for(lambda: not self._pending, timeout)

    def wait_for_next_future_reply(self, timeout: float | None = None) -> bool:
        """Wait until one can be taken, at most ``timeout`` seconds; False at once when none is left."""
        with self._arrived:
            self._arrived.wait_for(lambda: self._available or not self._pending, timeout)
            return bool(self._available)

    def get_next_future_reply(self, timeout: float | None = None) -> FutureReply | None:
        """Take the reply that arrived first, waiting for one; None when none is left or time is up."""
        with self._arrived:
            self._arrived.wait_for(lambda: self._available or not self._pending, timeout)
            return self._available.popleft() if self._available else None

    def __iter__(self) -> Iterator[FutureReply]:
        """Take all replies, as they arrive."""
        while (reply := self.get_next_future_reply()) is not None:
            yield reply
