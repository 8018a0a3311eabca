"""Replies that are decoded by whoever reads them."""

from __future__ import annotations

import concurrent.futures
import contextlib
import time
from typing import TYPE_CHECKING, Any

from paglets.serialization.values import from_json

if TYPE_CHECKING:
    from collections.abc import Callable


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
