"""What the host has asked of a child and waits for."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from paglets.core.error_reports import from_report
from paglets.core.errors import LifecycleError
from paglets.runtime.child_specs import Admitted, ClassFacts, Snapshot
from paglets.runtime.children.json_text import check_json
from paglets.runtime.frames import FrameError
from paglets.runtime.memory_files import Payload

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from paglets.core.errors import PagletError


class MessageReturnedError(LifecycleError):
    """A message came back unhandled: it was recalled, or the paglet had packed when its turn came."""


class StateAfter(NamedTuple):
    """The state that a message has left: the payload, and its place among the states of that child."""

    payload: Payload
    order: int


if TYPE_CHECKING:
    Recipient = Callable[[bytes | PagletError, StateAfter | None], None]
    """Hears once what came of a message: the reply, or an error; a ``MessageReturnedError`` when it was not handled.

    The state is the recipient's to close. Called from within the reading of the link: must not wait, or raise.
    """


T = TypeVar("T", bytes, Admitted, ClassFacts, Snapshot, Payload)


class Requests:
    """Requests of one child, by number. Each knows what kind of answer it waits for.

    Messages are told from within the call that brings what came of them, all others by a future.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._kinds: dict[int, type[Any]] = {}
        self._deliveries: dict[int, Recipient] = {}  # in the order in which they are handled
        self._failed: PagletError | None = None

    def open(self, kind: type[T]) -> tuple[int, asyncio.Future[T]]:
        """A number to send, and the answer to come; raises when there is nobody any more to answer."""
        if self._failed is not None:
            raise self._failed.with_traceback(None)
        seq = next(self._numbers)
        future: asyncio.Future[T] = self._loop.create_future()
        self._waiting[seq] = future
        self._kinds[seq] = kind
        return seq, future

    def open_delivery(self, recipient: Recipient) -> int:
        """A number to send a message with: they are handled one by one, in the order of these calls.

        When there is nobody any more to handle it, the recipient is told soon.
        """
        seq = next(self._numbers)
        if self._failed is not None:
            self._loop.call_soon(recipient, self._failed.with_traceback(None), None)
        else:
            self._deliveries[seq] = recipient
        return seq

    def fail_delivery(self, seq: int, error: PagletError) -> None:
        """The message could not be sent: its recipient is told soon."""
        if (recipient := self._deliveries.pop(seq, None)) is not None:
            self._loop.call_soon(recipient, error, None)

    def forget(self, seq: int) -> None:
        """Nobody waits any more; a late answer is dropped."""
        self._waiting.pop(seq, None)
        self._kinds.pop(seq, None)

    def handled(
        self, seq: int, result: bytes, error: dict[str, Any] | None, state: StateAfter | None
    ) -> bool:
        """The child is done with a message; False when that number is no message's."""
        if seq not in self._deliveries:
            return False
        if error is None:
            check_json(result, "an answer")
        self._deliveries.pop(seq)(result if error is None else from_report(error), state)
        return True

    def answer(self, seq: int, value: bytes | Admitted | ClassFacts | Snapshot | Payload) -> None:
        """The child has answered; ``FrameError`` for an answer to something else than was asked."""
        kind = bytes if seq in self._deliveries else self._kinds.get(seq)
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
        if (recipient := self._deliveries.pop(seq, None)) is not None:
            recipient(_returned(), None)

    def fail_all(self, error: PagletError, *, in_order: bool) -> None:
        """There will be no more answers.

        ``in_order``: all that the child has said was read, so of its messages it had begun with the first at most;
        the others are given back.
        """
        self._failed = error
        recipients = list(self._deliveries.values())
        self._deliveries.clear()
        for number, recipient in enumerate(recipients):
            # Soon, and not now: its paglet's end is to be known before what became of its messages is.
            self._loop.call_soon(recipient, _returned() if in_order and number else error, None)
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(error)


def _returned() -> MessageReturnedError:
    return MessageReturnedError(
        "the paglet has left this process, or was to do something else, before it handled the message"
    )
