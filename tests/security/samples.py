"""Paglets that attacks are tried with; a module of its own, because their processes import it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from paglets.core.agent import NOT_HANDLED, Paglet, PagletState

if TYPE_CHECKING:
    from paglets.core.messages import Message


@dataclass
class QuietState(PagletState):
    """Something to be sent about."""

    count: int = 0
    notes: list[str] = field(default_factory=list[str])


class Quiet(Paglet[QuietState]):
    """Counts, and tells what a message looked like when it came."""

    State = QuietState

    def handle_message(self, message: Message) -> Any:
        match message.kind:
            case "add":
                self.state.count += 1
                return self.state.count
            case "echo":
                return {"sender": message.sender, "args": message.args, "arg": message.arg}
            case _:
                return NOT_HANDLED


class NotAPaglet:
    """What a header may name all the same."""
