"""Counts what it is told to count, and can be copied to count on from there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from paglets.core.agent import Paglet, PagletState

if TYPE_CHECKING:
    from paglets.core.events import CloneEvent
    from paglets.core.messages import Message


@dataclass
class Tally(PagletState):
    """All that travels."""

    counts: dict[str, int] = field(default_factory=dict[str, int])
    copied_from: str = ""


class Counter(Paglet[Tally]):
    """Messages: ``count {"what": name, "by": 1}`` answers the new number, ``total`` the sum of all."""

    State = Tally

    def on_clone(self, event: CloneEvent) -> None:
        self.state.copied_from = event.source_agent_id

    def handle_message(self, message: Message) -> Any:
        if message.kind == "count":
            what = message.get_arg("what")
            self.state.counts[what] = self.state.counts.get(what, 0) + message.get_arg("by", 1)
            return self.state.counts[what]
        if message.kind == "total":
            return sum(self.state.counts.values())
        return self.not_handled()
