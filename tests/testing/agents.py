"""Paglets for the tests of the test kit."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from paglets.core.agent import Paglet, PagletState
from paglets.testing import points

if TYPE_CHECKING:
    from paglets.core.events import MobilityEvent
    from paglets.core.messages import Message


@dataclass
class CounterState(PagletState):
    count: int = 0
    places: list[str] = field(default_factory=list[str])


class Counter(Paglet[CounterState]):
    """Counts, and may be held while it does; it knows where it has been."""

    State = CounterState

    def on_arrival(self, event: MobilityEvent) -> None:
        self.state.places.append(event.host_name)

    def handle_message(self, message: Message) -> object:
        if message.kind == "add":
            points.here().at("adding")
            self.state.count += 1
            self.checkpoint()
        return self.state.count
