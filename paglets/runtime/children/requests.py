"""What the host has asked of a child and waits for."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING, TypeVar

from paglets.core.error_reports import from_report
from paglets.core.errors import LifecycleError
from paglets.runtime.child_specs import Admitted, ClassFacts, Snapshot
from paglets.runtime.children.json_text import check_json
from paglets.runtime.frames import FrameError
from paglets.runtime.memory_files import Payload

if TYPE_CHECKING:
    from typing import Any

    from paglets.core.errors import PagletError


class MessageReturnedError(LifecycleError):
    """A message came back unhandled: it was recalled, or the paglet had packed when its turn came."""


T = TypeVar("T", bytes, Admitted, ClassFacts, Snapshot, Payload)


class Requests:
    """Requests of one child, by number. Each knows what kind of answer it waits for."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._kinds: dict[int, type[Any]] = {}
        self._deliveries: dict[int, None] = {}  # in the order in which they are handled
        self._failed: PagletError | None = None

    def open(self, kind: type[T]) -> tuple[int, asyncio.Future[T]]:
        """A number to send, and the answer to come; raises when there is nobody any more to answer."""
        if self._failed is not None:
            raise self._failed.with_traceback(None)
        seq = next(self._numbers)
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting[seq] = future
        self._kinds[seq] = kind
        return seq, future

    def open_delivery(self) -> tuple[int, asyncio.Future[bytes]]:
        """The same for a message: they are handled one by one, in the order of these calls."""
        seq, future = self.open(bytes)
        self._deliveries[seq] = None
        return seq, future

    def waits_for(self, seq: int) -> bool:
        """Whether somebody waits for the answer to that delivery."""
        return seq in self._deliveries and not self._waiting[seq].done()

    def forget(self, seq: int) -> None:
        """Nobody waits any more; a late answer is dropped."""
        self._waiting.pop(seq, None)
        self._kinds.pop(seq, None)
        self._deliveries.pop(seq, None)

    def answer(self, seq: int, value: bytes | Admitted | ClassFacts | Snapshot | Payload) -> None:
        """The child has answered; ``FrameError`` for an answer to something else than was asked."""
        kind = self._kinds.get(seq)
        if kind is not None and not isinstance(value, kind):
            raise FrameError(f"an answer of the wrong kind ({type(value).__name__})")
        if isinstance(value, bytes):
            check_json(value, "an answer")
        future = self._waiting.get(seq)
        if future is not None and not future.done():
            future.set_result(value)
        elif isinstance(value, Snapshot) and value.state is not None:
            value.state.close()
        elif isinstance(value, Payload):
            value.close()

    def fail(self, seq: int, report: dict[str, Any]) -> None:
        """The child has answered with an error."""
        future = self._waiting.get(seq)
        if future is not None and not future.done():
            future.set_exception(from_report(report))

    def give_back(self, seq: int) -> None:
        """The child has not handled the message, and will not."""
        future = self._waiting.get(seq)
        if future is not None and not future.done():
            future.set_exception(
                MessageReturnedError(
                    "the paglet has left this process, or was to do something else, before it handled the message"
                )
            )

    def fail_all(self, error: PagletError, *, in_order: bool) -> None:
        """There will be no more answers.

        ``in_order``: all that the child has said was read, so of its messages it had begun with the first at most;
        the others are given back.
        """
        self._failed = error
        open_deliveries = [seq for seq in self._deliveries if not self._waiting[seq].done()]
        for seq in open_deliveries[1:] if in_order else ():
            self.give_back(seq)
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(error)
