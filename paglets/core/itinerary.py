"""Plans that travel in a paglet's state, what it does at each stop, and the mixin that acts by them.

::

    class Tourist(ItineraryAgentMixin, Paglet[TourState]):   # TourState has a field ``itinerary``
        State = TourState

        def run(self):
            if self.resume_itinerary():
                return                      # it was waiting for a host that was away
            self.look_around()
            self.go_to_next_destination()

        def on_itinerary_completed(self): ...
"""

from __future__ import annotations

import operator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from paglets.core.itinerary_plan import ItineraryPlan, Traveller
from paglets.core.unreachable import UnreachableAction, UnreachablePolicy

if TYPE_CHECKING:
    from collections.abc import Callable

    from paglets.core.context import PagletContext
    from paglets.core.events import PersistencyEvent
    from paglets.remote.proxy import PagletProxy

__all__ = [
    "EXECUTE_ON_ARRIVAL", "EXECUTE_ON_DEFAULT", "EXECUTE_ON_DISPATCH", "EXECUTE_ON_REVERTING",
    "ItineraryAgentMixin", "ItineraryPlan", "ItineraryTask", "TaskItineraryPlan", "UnreachableAction",
    "UnreachablePolicy",
]  # fmt: skip

EXECUTE_ON_ARRIVAL = "arrival"
EXECUTE_ON_DISPATCH = "dispatch"
EXECUTE_ON_REVERTING = "reverting"
EXECUTE_ON_DEFAULT = "default"
_EXECUTIONS = (EXECUTE_ON_ARRIVAL, EXECUTE_ON_DISPATCH, EXECUTE_ON_REVERTING, EXECUTE_ON_DEFAULT)


@dataclass(slots=True)
class ItineraryTask:
    """Something to do, by name. ``execution`` says when: on arrival, dispatch, reverting, or by default."""

    name: str
    execution: str = EXECUTE_ON_ARRIVAL
    args: dict[str, Any] = field(default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        if self.execution not in _EXECUTIONS:
            raise ValueError(f"execution must be one of: {', '.join(_EXECUTIONS)}; not {self.execution!r}")


@dataclass(slots=True)
class TaskItineraryPlan(ItineraryPlan):
    """A plan with tasks for single destinations, and tasks for all of them.

    Default tasks, and tasks of a destination that are ``EXECUTE_ON_DEFAULT``, belong to the phases that the
    three flags name.
    """

    destination_tasks: dict[str, list[ItineraryTask]] = field(default_factory=dict[str, list[ItineraryTask]])
    default_tasks: list[ItineraryTask] = field(default_factory=list[ItineraryTask])
    execute_default_on_arrival: bool = True
    execute_default_on_dispatch: bool = False
    execute_default_on_reverting: bool = False

    def add_default_task(self, t: ItineraryTask) -> bool:
        """Add a task for every destination; only one that is ``EXECUTE_ON_DEFAULT``, and only once."""
        if not self.mutable or t.execution != EXECUTE_ON_DEFAULT or t in self.default_tasks:
            return False
        self.default_tasks.append(t)
        return True

    def remove_default_task(self, t: ItineraryTask) -> bool:
        """Remove a task for every destination."""
        if not self.mutable or t not in self.default_tasks:
            return False
        self.default_tasks.remove(t)
        return True

    def add_task_for_destination(self, dest: str, t: ItineraryTask) -> bool:
        """Add a task for a destination of the plan."""
        if not self.mutable or dest not in self.destinations:
            return False
        self.destination_tasks.setdefault(dest, []).append(t)
        return True

    def add_next_destination_with_task(self, dest: str, t: ItineraryTask) -> bool:
        """Add a destination at the end, and a task for it."""
        return self.add_next_destination(dest) and self.add_task_for_destination(dest, t)

    def remove_task_for_destination(self, dest: str, t: ItineraryTask) -> bool:
        """Remove one task of a destination."""
        tasks = self.destination_tasks.get(dest, [])
        if not self.mutable or t not in tasks:
            return False
        tasks.remove(t)
        if not tasks:
            del self.destination_tasks[dest]
        return True

    def remove_all_tasks_for_destination(self, dest: str) -> bool:
        """Remove the tasks of a destination; False when it has none."""
        return self.mutable and self.destination_tasks.pop(dest, None) is not None

    def get_tasks_for_destination(self, dest: str) -> list[ItineraryTask]:
        """A copy of the destination's own tasks."""
        return list(self.destination_tasks.get(dest, []))

    def tasks_for_phase(self, dest: str | None, phase: str) -> list[ItineraryTask]:
        """What there is to do at a destination in a phase: default tasks first, then the destination's."""
        by_default = {
            EXECUTE_ON_ARRIVAL: self.execute_default_on_arrival,
            EXECUTE_ON_DISPATCH: self.execute_default_on_dispatch,
            EXECUTE_ON_REVERTING: self.execute_default_on_reverting,
            EXECUTE_ON_DEFAULT: True,
        }.get(phase, False)
        wanted = {phase, EXECUTE_ON_DEFAULT} if by_default else {phase}
        own = [] if dest is None else self.destination_tasks.get(dest, [])
        return [*(self.default_tasks if by_default else ()), *(t for t in own if t.execution in wanted)]

    def _forget(self, dest: str) -> None:
        self.destination_tasks.pop(dest, None)


class _ItineraryAgent(Traveller, Protocol):
    @property
    def context(self) -> PagletContext: ...
    def get_itinerary(self) -> ItineraryPlan: ...
    def go_to_next_destination(self) -> PagletProxy | None: ...
    def resume_itinerary(self) -> bool: ...
    def on_itinerary_completed(self) -> None: ...
    def wait_state(self, predicate: Callable[[], object], /, timeout: float | None = None) -> bool: ...


class ItineraryAgentMixin:
    """For a paglet whose state holds its plan."""

    itinerary_attr = "itinerary"
    """Name of the state's field that holds the plan."""

    def get_itinerary(self) -> ItineraryPlan:
        """The plan in the paglet's state."""
        plan: ItineraryPlan = operator.attrgetter(f"state.{self.itinerary_attr}")(self)
        return plan

    def go_to_next_destination(self: _ItineraryAgent) -> PagletProxy | None:
        """Move on along the plan; None when it is completed. See ``ItineraryPlan.dispatch_next``."""
        moved = self.get_itinerary().dispatch_next(self)
        if moved is None:
            self.on_itinerary_completed()
        return moved

    def on_itinerary_completed(self) -> None:
        """Called when ``go_to_next_destination`` found nothing left to go to. Does nothing by default."""

    def resume_itinerary(self: _ItineraryAgent) -> bool:
        """Go on with a plan that waits for a host that was away; False when it does not wait.

        To be called first in ``run()``, which follows each activation. Woken before its time, the paglet stays
        awake and waits here, so that it can answer what woke it. When this returns True, the paglet is on its
        way, parked again, or at the end of its plan (see ``on_itinerary_completed``).
        """
        plan = self.get_itinerary()
        plan.leg_from = ""  # it has arrived, or else on_activation has taken the leg back
        if plan.retry_at is None:
            return False
        while (left := plan.seconds_until_retry()) > 0:
            self.wait_state(lambda: plan.retry_at is None, left)
        self.go_to_next_destination()
        return True

    def run(self: _ItineraryAgent) -> None:
        """Go on with a plan that waits, or else do what the classes behind this one do.

        An override calls ``resume_itinerary()`` first.
        """
        if not self.resume_itinerary() and (behind := _behind(self, "run")) is not None:
            behind()

    def on_activation(self: _ItineraryAgent, event: PersistencyEvent) -> None:
        """Take back a move that never happened. An override calls ``super().on_activation(event)``."""
        if event.reason == "recovered":
            self.get_itinerary().take_back_leg(event.host_name)
        if (behind := _behind(self, "on_activation")) is not None:
            behind(event)

    def execute_itinerary_tasks(self, phase: str, event: Any = None) -> list[Any]:
        """Execute what the plan has for this phase where the paglet is; the results, in order."""
        plan = self.get_itinerary()
        if not isinstance(plan, TaskItineraryPlan):
            return []
        tasks = plan.tasks_for_phase(plan.get_current_location(), phase)
        return [self.execute_itinerary_task(task, phase, event) for task in tasks]

    def execute_itinerary_task(self, task: ItineraryTask, phase: str, event: Any = None) -> Any:
        """Do one task. ``NotImplementedError`` unless overridden."""
        del event
        raise NotImplementedError(
            f"{type(self).__qualname__} has no execute_itinerary_task for {task.name!r} on {phase}"
        )


def _behind(agent: Any, method: str) -> Callable[..., None] | None:
    """The method as the classes behind the mixin have it."""
    return getattr(super(ItineraryAgentMixin, agent), method, None)
