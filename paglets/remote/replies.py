"""Replies that are decoded by whoever reads them."""

from __future__ import annotations

import concurrent.futures
import contextlib
import time
from typing import TYPE_CHECKING, Any

from paglets.serialization.values import from_json

if TYPE_CHECKING:
    from collections.abc import Callable


_GIVEN_UP = frozenset({"CANCELLED", "CANCELLED_AND_NOTIFIED"})
_DONE = _GIVEN_UP | {"FINISHED"}
"""States of the library's futures."""


class RawReply(concurrent.futures.Future[Any]):
    """A raw reply that can become its value: one future for each message, and not one around another."""

    def __init__(self) -> None:
        super().__init__()
        self._decodes = False
        self._untold: Callable[[bytes], bytes] | None = None
        self._given_up: Callable[[], object] | None = None
        self._begun = False

    def done(self) -> bool:
        """Whether it is here, or was given up."""
        return self._state in _DONE  # as the library says it, but for a lock around the one look

    def cancelled(self) -> bool:
        """Whether it was given up."""
        return self._state in _GIVEN_UP

    def when_given_up(self, callback: Callable[[], object]) -> None:
        """Call ``callback`` when nobody wants the reply any more: on the thread of who says so, or now.

        It may be called more than once.
        """
        self._given_up = callback
        if self.cancelled():
            callback()

    def cancel(self) -> bool:
        """Give up waiting for the reply."""
        if not super().cancel():
            return False
        self.begin()
        if self._given_up is not None:
            self._given_up()
        return True

    def begin(self) -> bool:
        """Whether the reply is wanted; it cannot be given up from now on. For who brings it, once."""
        with self._condition:  # it bears being told twice badly, and by two at once as badly
            if self._begun:
                return False
            self._begun = True
            return self.set_running_or_notify_cancel()

    def decode(self, learn: Callable[[bytes], bytes]) -> RawReply:
        """This future, with the value for its result from now on, decoded by whoever reads it.

        ``learn`` is called with what arrives, on the thread that brings it, or now.
        """
        self._decodes, self._untold = True, learn
        if self.done() and not self.cancelled() and self.exception() is None:
            self._tell(super().result())
        return self

    def set_result(self, result: bytes) -> None:
        """Called by who brings it."""
        self._tell(result)
        super().set_result(result)
        self._tell(result)  # to who asked in between, and did not see it yet

    def result(self, timeout: float | None = None) -> Any:
        """The reply, raw or as a value; raises what came in its place, ``TimeoutError`` when none came in time."""
        raw = super().result(timeout)
        return from_json(raw) if self._decodes else raw

    def _tell(self, raw: bytes) -> None:
        if self._untold is None:
            return
        with self._condition:
            learn, self._untold = self._untold, None
        if learn is not None:
            learn(raw)


def decoded(
    raw: concurrent.futures.Future[bytes], learn: Callable[[bytes], bytes]
) -> concurrent.futures.Future[Any]:
    """The future of the value of a raw reply; ``learn`` is called with what arrives, on the thread that brings it."""
    return raw.decode(learn) if isinstance(raw, RawReply) else DecodedReply(raw, learn)


class DecodedReply(concurrent.futures.Future[Any]):
    """A raw reply that is decoded by whoever reads it, on their thread."""

    def __init__(self, raw: concurrent.futures.Future[bytes], learn: Callable[[bytes], bytes]) -> None:
        super().__init__()
        self._raw = raw
        self._learn = learn
        raw.add_done_callback(self._arrived)

    def cancel(self) -> bool:
        """Give up waiting for the reply."""
        return self._raw.cancel()

    def result(self, timeout: float | None = None) -> Any:
        """The reply as a value; raises what came in its place, ``TimeoutError`` when none came in time."""
        if not self.done():
            # Whoever waits for what was asked for, and not for this, may help it to come.
            begun = time.monotonic()
            with contextlib.suppress(TimeoutError, concurrent.futures.CancelledError):
                self._raw.exception(timeout)
            if timeout is not None:
                timeout = max(0.0, timeout - (time.monotonic() - begun))
        return from_json(super().result(timeout))

    def _arrived(self, raw: concurrent.futures.Future[bytes]) -> None:
        if raw.cancelled():
            super().cancel()
            self.set_running_or_notify_cancel()
            return
        error = raw.exception()
        if error is None:
            self.set_result(self._learn(raw.result()))
        else:
            self.set_exception(error)
