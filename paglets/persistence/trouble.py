"""Whether a store can be written at present: told once when that changes, not with every write that fails."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from paglets.persistence.errors import StoreError

_SECONDS = 5.0
"""A write that succeeds so soon after one that failed does not end the trouble: on a full disk they alternate."""


class Trouble:
    """Kept by the thread that writes; read from any."""

    def __init__(self) -> None:
        self.error: StoreError | None = None
        """What the last write that failed failed with; None when all is well."""
        self.listeners: list[Callable[[StoreError | None], None]] = []
        """Called on the writer's thread when the kind of trouble changes, and with None when it is over."""
        self._since = 0.0

    def note(self, error: StoreError) -> None:
        """A write has failed."""
        before, self.error = self.error, error
        self._since = time.monotonic()
        if type(before) is not type(error):
            self._tell(error)

    def over(self) -> None:
        """A write has succeeded."""
        if self.error is not None and time.monotonic() - self._since >= _SECONDS:
            self.error = None
            self._tell(None)

    def _tell(self, error: StoreError | None) -> None:
        for listener in list(self.listeners):
            listener(error)
