"""Events for one subscriber: a bounded queue in front of a connection that may be slow."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from paglets.remote.api import SUBSCRIPTION_ENDED
from paglets.remote.wire import frames

if TYPE_CHECKING:
    from paglets.remote.wire.channel import Channel
    from paglets.remote.wire.peer import Peer

Push = Callable[[Any], None]
"""Give one event (struct, plain data or raw JSON) to the subscriber; never waits, harmless after the end."""
Subscribe = Callable[["Peer", Any, Push], Callable[[], None]]
"""Start giving events; answers the function that stops it, called exactly once."""


class Subscription:
    """One subscription of one connection; ends by itself when the subscriber is too slow, and says so."""

    def __init__(
        self,
        number: int,
        notification: str,
        channel: Channel,
        forget: Callable[[int], None],
        *,
        limit: int,
        limit_bytes: int,
    ) -> None:
        self._number = number
        self._notification = notification
        self._channel = channel
        self._limit = limit
        self._limit_bytes = limit_bytes
        self._bytes = 0
        self._forget = forget
        self._queue: deque[bytes] = deque()
        self._stop: Callable[[], None] | None = None
        self._ended = False

    def begin(self, stop: Callable[[], None]) -> None:
        """The source has started; ``stop`` ends it."""
        if self._ended:
            stop()
        else:
            self._stop = stop

    def push(self, event: Any) -> None:
        """Send one event, or queue it while the connection is stuck."""
        if self._ended or not self._channel.is_open:
            return
        payload = frames.encode_value(event)
        frame = frames.encode_notification(
            self._notification, b'{"subscription":%d,"event":%b}' % (self._number, payload)
        )
        if not self._channel.stuck and not self._queue:
            self._channel.send_text(frame)
        elif len(self._queue) < self._limit and self._bytes + len(frame) <= self._limit_bytes:
            self._queue.append(frame)
            self._bytes += len(frame)
        else:
            self.drop("too slow: events were lost, subscribe again")

    def flush(self) -> None:
        """Send what waits, as far as the connection takes it."""
        while self._queue and self._channel.is_open and not self._channel.stuck:
            frame = self._queue.popleft()
            self._bytes -= len(frame)
            self._channel.send_text(frame)

    def end(self) -> None:
        """Stop the source; what was queued is gone."""
        self._ended = True
        self._queue.clear()
        self._bytes = 0
        stop, self._stop = self._stop, None
        if stop is not None:
            stop()

    def drop(self, reason: str) -> None:
        """End it and tell the subscriber why."""
        self.end()
        self._forget(self._number)
        if self._channel.is_open:
            params = frames.encode_value({"subscription": self._number, "reason": reason})
            self._channel.send_text(frames.encode_notification(SUBSCRIPTION_ENDED, params))
