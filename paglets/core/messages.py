"""Messages, and the handle to one reply that has not come yet."""

from __future__ import annotations

import concurrent.futures
import itertools
import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from paglets.core.reply_sets import ReplySet
from paglets.core.wire_fields import checked

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "CLONE", "DEACTIVATE", "DISPATCH", "DISPOSE", "FUTURE", "MAX_PRIORITY", "MIN_PRIORITY", "NORMAL_PRIORITY",
    "ONEWAY", "REENTRANT_PRIORITY", "REQUEST_PRIORITY", "REVERT", "SYNCHRONOUS", "SYSTEM_PRIORITY",
    "UNQUEUED_PRIORITY", "FutureReply", "Message", "ReplySet",
]  # fmt: skip

SYNCHRONOUS = 0
FUTURE = 1
ONEWAY = 2

MIN_PRIORITY = 1
NORMAL_PRIORITY = 5
MAX_PRIORITY = 10
UNQUEUED_PRIORITY = 0
REENTRANT_PRIORITY = 0xFFFFFFFF
SYSTEM_PRIORITY = REENTRANT_PRIORITY - 1
REQUEST_PRIORITY = SYSTEM_PRIORITY - 1

CLONE = "_clone"
DISPATCH = "_dispatch"
DISPOSE = "_dispose"
DEACTIVATE = "_deactivate"
REVERT = "_revert"
"""Kinds that the runtime itself handles."""


class _Ids:
    """Ids that are never used again: random in each process, and counted from there.

    They tell messages apart and are no secret; drawing each from the system would cost more than the message.
    """

    def __init__(self) -> None:
        self.renew()
        os.register_at_fork(after_in_child=self.renew)

    def renew(self) -> None:
        self._process = os.urandom(10).hex()
        self._numbers = itertools.count()

    def fresh(self) -> str:
        return f"{self._process}{next(self._numbers):012x}"


_fresh_id = _Ids().fresh


@dataclass(slots=True)
class Message:
    """What one paglet says to another: a kind, and arguments by name or a single ``arg``."""

    kind: str
    args: dict[str, Any] = field(default_factory=dict[str, Any])
    arg: Any = None
    sender: str | None = None
    """Agent id of the paglet that sent it. Set by the sender's host; what is written here is replaced."""
    reply_to: str | None = None
    priority: int = NORMAL_PRIORITY
    message_type: int = SYNCHRONOUS
    timestamp: float = field(default_factory=time.time)
    message_id: str = field(default_factory=_fresh_id)
    """Stays the same when a message is forwarded or sent again, so that it is delivered once."""

    def get_arg(self, name: str | None = None, default: Any = None) -> Any:
        """The argument of that name; without a name the single ``arg``; ``default`` when there is none."""
        if name is None:
            return default if self.arg is None else self.arg
        return self.args.get(name, default)

    def set_arg(self, name: str | None, value: Any) -> Message:
        """Set the argument of that name (None: the single ``arg``); returns the message itself."""
        if name is None:
            self.arg = value
        else:
            self.args[name] = value
        return self

    def same_kind(self, kind_or_message: str | Message) -> bool:
        """Whether this message is of that kind, or of the kind of that message."""
        return self.kind == (kind_or_message if isinstance(kind_or_message, str) else kind_or_message.kind)

    def increase_priority(self) -> None:
        """One step up, at most to ``MAX_PRIORITY``; a special priority above that stays as it is."""
        if self.priority < MAX_PRIORITY:
            self.priority = max(MIN_PRIORITY, self.priority + 1)

    def decrease_priority(self) -> None:
        """One step down, at least to ``MIN_PRIORITY``; from a special priority to ``MAX_PRIORITY``."""
        if self.priority > MIN_PRIORITY:
            self.priority = min(MAX_PRIORITY, self.priority - 1)

    def to_wire(self) -> dict[str, Any]:
        """All fields by name; arguments as they are, to be encoded by whoever sends them."""
        return {
            "kind": self.kind,
            "args": dict(self.args),
            "arg": self.arg,
            "sender": self.sender,
            "reply_to": self.reply_to,
            "priority": self.priority,
            "message_type": self.message_type,
            "timestamp": self.timestamp,
            "message_id": self.message_id,
        }

    @classmethod
    def from_wire(cls, payload: Mapping[str, Any]) -> Message:
        """Read what ``to_wire`` wrote. Only ``kind`` has to be there; unknown fields are ignored.

        Raises ``SerializationError`` for a field of the wrong type.
        """
        values = checked(
            "Message",
            payload,
            {
                "kind": str,
                "args": dict,
                "sender": (str, type(None)),
                "reply_to": (str, type(None)),
                "priority": int,
                "message_type": int,
                "timestamp": (float, int),
                "message_id": str,
            },
            required=["kind"],
        )
        if "args" in values:
            values["args"] = dict(values["args"])
        return cls(arg=payload.get("arg"), **values)


class FutureReply:
    """A reply that may still be on its way: what ``send_future`` returns."""

    def __init__(self, future: concurrent.futures.Future[Any]) -> None:
        self.future = future

    def is_available(self) -> bool:
        """Whether the reply, or the error in its place, is there."""
        return self.future.done()

    def wait_for_reply(self, timeout: float | None = None) -> bool:
        """Wait, at most ``timeout`` seconds; whether the reply, or the error in its place, is there."""
        done, _ = concurrent.futures.wait([self.future], timeout)
        return bool(done)

    def get_reply(self, timeout: float | None = None) -> Any:
        """The reply; raises what the handler raised, ``TimeoutError`` when ``timeout`` seconds pass first."""
        return self.future.result(timeout)

    def get_boolean_reply(self, timeout: float | None = None) -> bool:
        """The reply as ``bool()`` makes it."""
        return bool(self.get_reply(timeout))

    def get_int_reply(self, timeout: float | None = None) -> int:
        """The reply as ``int()`` makes it; ``ValueError`` or ``TypeError`` when it cannot."""
        return int(self.get_reply(timeout))

    def get_float_reply(self, timeout: float | None = None) -> float:
        """The reply as ``float()`` makes it; ``ValueError`` or ``TypeError`` when it cannot."""
        return float(self.get_reply(timeout))

    def get_string_reply(self, timeout: float | None = None) -> str:
        """The reply as ``str()`` makes it."""
        return str(self.get_reply(timeout))

    def added_to(self, reply_set: ReplySet) -> None:
        """Tell that set when the reply arrives. ``ReplySet.add_future_reply`` calls this."""
        self.future.add_done_callback(lambda _: reply_set.done(self))
