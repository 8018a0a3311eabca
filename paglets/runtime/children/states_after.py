"""States that a child gives together with the answer to a message, until somebody has made them durable."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from paglets.runtime.memory_files import Payload

Keeper = Callable[[Payload, int], Awaitable[None]]
"""Makes a state durable: the payload, which is the callee's to close, and its place among the states of that child."""


class StatesAfter:
    """By the number of the message; and how many states the child has given in all, for their order."""

    def __init__(self) -> None:
        self._waiting: dict[int, tuple[Payload, int]] = {}
        self._count = 0

    def number(self) -> int:
        """The place of a state that the child has given now, among all of its states."""
        self._count += 1
        return self._count

    def take(self, seq: int, payload: Payload, *, wanted: bool) -> None:
        """A state came with the answer to that message; closed when nobody waits for the answer."""
        number = self.number()
        if wanted:
            self._waiting[seq] = (payload, number)
        else:
            payload.close()

    async def keep(self, seq: int, keep: Keeper | None) -> None:
        """Have the state after that message made durable, if there is one and it is to be."""
        if keep is not None and (after := self._waiting.pop(seq, None)) is not None:
            await keep(*after)

    def drop(self, seq: int) -> None:
        """Nobody wants the state after that message."""
        if (unwanted := self._waiting.pop(seq, None)) is not None:
            unwanted[0].close()
