"""Paglets for the tests of draining. A module of its own, because their processes import it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from paglets.core.agent import Paglet, PagletState

if TYPE_CHECKING:
    from paglets.core.events import MobilityEvent
    from paglets.core.messages import Message


@dataclass
class Count(PagletState):
    count: int = 0


class Counter(Paglet[Count]):
    """Counts what it is sent."""

    State = Count

    def handle_message(self, message: Message) -> Any:
        self.state.count += 1
        return self.state.count


class Stubborn(Counter):
    """Does not want to go."""

    def on_dispatching(self, event: MobilityEvent) -> None:
        raise RuntimeError("I live here")


class Seasick(Counter):
    """Arrives, and feels unwell."""

    def on_arrival(self, event: MobilityEvent) -> None:
        raise RuntimeError("the ground moves")
