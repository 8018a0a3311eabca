"""Paglets that travel along a plan."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from paglets.core.agent import Paglet, PagletState
from paglets.core.itinerary import (
    EXECUTE_ON_ARRIVAL,
    ItineraryAgentMixin,
    ItineraryPlan,
    ItineraryTask,
    TaskItineraryPlan,
)

if TYPE_CHECKING:
    from paglets.core.events import MobilityEvent
    from paglets.core.messages import Message


@dataclass
class TourState(PagletState):
    """Where it goes, and where it was."""

    itinerary: ItineraryPlan = field(default_factory=ItineraryPlan)
    seen: list[str] = field(default_factory=list[str])
    completed: int = 0


class Tourist(ItineraryAgentMixin, Paglet[TourState]):
    """Looks around wherever it arrives, and goes on."""

    State = TourState

    def run(self) -> None:
        if self.resume_itinerary():
            return
        self.state.seen.append(self.context.name)
        self.go_to_next_destination()

    def on_itinerary_completed(self) -> None:
        self.state.completed += 1

    def handle_message(self, message: Message) -> Any:
        if message.kind != "report":
            return self.not_handled()
        plan = self.state.itinerary
        return {
            "seen": self.state.seen,
            "completed": self.state.completed,
            "skipped": plan.skipped_destinations,
            "tries": plan.failed_tries,
            "ended": plan.ended,
        }


@dataclass
class ErrandState(PagletState):
    """What to do where."""

    route: TaskItineraryPlan = field(default_factory=TaskItineraryPlan)
    done: list[str] = field(default_factory=list[str])


class Errands(ItineraryAgentMixin, Paglet[ErrandState]):
    """Moves on from handlers, and works in hooks; its ``run()`` is the mixin's."""

    State = ErrandState
    itinerary_attr = "route"

    def on_arrival(self, event: MobilityEvent) -> None:
        self.execute_itinerary_tasks(EXECUTE_ON_ARRIVAL, event)

    def execute_itinerary_task(self, task: ItineraryTask, phase: str, event: Any = None) -> None:
        self.state.done.append(f"{task.name}@{event.host_name}:{phase}")

    def handle_message(self, message: Message) -> Any:
        match message.kind:
            case "go":
                proxy = self.go_to_next_destination()
                return None if proxy is None else proxy.to_wire()
            case "done":
                return self.state.done
            case _:
                return self.not_handled()
