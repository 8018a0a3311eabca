"""Who waits for a paglet's arrival hook, and when the wait has to end early."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator

    from paglets.runtime.residents import Residents


class HookWaits:
    """Paglets that wait, inside a handler, for the arrival hook of a paglet they moved.

    When the moved one sends a message to the waiting one, the two would wait for each other; so the wait ends
    then, and the move counts as done.
    """

    def __init__(self, residents: Residents) -> None:
        self._residents = residents
        self._waits: dict[tuple[str, str], asyncio.Event] = {}

    @contextlib.contextmanager
    def wait(self, *, waiter: str | None, moved: str) -> Generator[asyncio.Event]:
        """Declare a wait; the event is set when it has to end."""
        event = asyncio.Event()
        if waiter is None:
            yield event
            return
        resident = self._residents.get(waiter)
        if resident is not None and resident.mailbox.holds_letter_of(moved):
            event.set()  # it was faster than the news of its arrival
        self._waits[waiter, moved] = event
        try:
            yield event
        finally:
            if self._waits.get((waiter, moved)) is event:
                del self._waits[waiter, moved]

    def release(self, *, waiter: str, moved: str | None) -> None:
        """``moved`` sends to ``waiter``: end the wait between them, if there is one."""
        if moved is not None and (event := self._waits.get((waiter, moved))) is not None:
            event.set()
