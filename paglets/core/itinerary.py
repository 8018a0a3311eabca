"""Where a paglet still has to go, and what it does there: plans that travel in its state."""

from __future__ import annotations

import operator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from paglets.remote.proxy import PagletProxy

EXECUTE_ON_ARRIVAL = "arrival"
EXECUTE_ON_DISPATCH = "dispatch"
EXECUTE_ON_REVERTING = "reverting"
EXECUTE_ON_DEFAULT = "default"
_EXECUTIONS = (EXECUTE_ON_ARRIVAL, EXECUTE_ON_DISPATCH, EXECUTE_ON_REVERTING, EXECUTE_ON_DEFAULT)


class Traveller(Protocol):
    """What a plan moves."""

    def dispatch(self, target: str, /) -> PagletProxy:
        """Move to another host."""
        ...


@dataclass(slots=True)
class ItineraryPlan:
    """Destinations (host URLs or mesh names) in order, and how far along them a paglet is.

    Methods that change the route answer False, and change nothing, on an immutable plan, for an unknown
    destination or a bad index.
    """

    destinations: list[str] = field(default_factory=list[str])
    current_index: int = 0
    """Index of the next destination; their number when all have been visited."""
    current_location: str | None = None
    """The destination that was gone to last."""
    visited_destinations: list[str] = field(default_factory=list[str])
    """Every destination gone to, in order."""
    mutable: bool = True
    circular: bool = False
    """After the last destination comes the first again."""
    loop_count: int = 0
    """How often a circular plan has started over."""
    completed: bool = False
    """``dispatch_next`` has found that there is nothing left."""

    def add_next_destination(
        self, dest: str, *, index: int | None = None, after: str | None = None, allow_duplicate: bool = True
    ) -> bool:
        """Add a destination at the end, at ``index``, or right behind the destination ``after``.

        With ``allow_duplicate=False`` one that is in the plan already is not added.
        """
        if not self.mutable or not dest or (index is not None and after is not None):
            return False
        if not allow_duplicate and dest in self.destinations:
            return False
        if after is not None:
            found = self._find(after)
            place = -1 if found is None else found + 1
        else:
            place = len(self.destinations) if index is None else index
        if not 0 <= place <= len(self.destinations):
            return False
        self.destinations.insert(place, dest)
        if place < self.current_index:
            self.current_index += 1
        self.completed = False
        return True

    def add_next_destination_if_not_duplicated(self, dest: str) -> bool:
        """Add a destination at the end, unless it is in the plan already."""
        return self.add_next_destination(dest, allow_duplicate=False)

    def remove_destination(self, dest: str) -> bool:
        """Remove a destination: where it comes next, or where it was when it does not come any more."""
        found = self._find(dest)
        return found is not None and self.remove_destination_at(found)

    def remove_destination_at(self, i: int) -> bool:
        """Remove the destination of that index."""
        if not self.mutable or not 0 <= i < len(self.destinations):
            return False
        dest = self.destinations.pop(i)
        if i < self.current_index:
            self.current_index -= 1
        if dest not in self.destinations:
            self._forget(dest)
        return True

    def set_immutable(self) -> None:
        """Let nobody change the route any more. The paglet still travels along it."""
        self.mutable = False

    def skip_next(self) -> bool:
        """Leave out the next destination; False when there is none."""
        if not self.mutable or self.next_destination() is None:
            return False
        self._step()
        return True

    def get_destination_count(self) -> int:
        """How many destinations the plan has."""
        return len(self.destinations)

    def get_remaining_destination_count(self) -> int:
        """How many are left; of a circular plan, in this round."""
        return max(0, len(self.destinations) - self.current_index)

    def get_destinations(self) -> list[str]:
        """A copy of the destinations, in order."""
        return list(self.destinations)

    def get_first_destination(self) -> str | None:
        """The first destination of the plan; None when it is empty."""
        return self.destinations[0] if self.destinations else None

    def get_last_destination(self) -> str | None:
        """The last destination of the plan; None when it is empty."""
        return self.destinations[-1] if self.destinations else None

    def get_current_location(self) -> str | None:
        """The destination that was gone to last; None before the first."""
        return self.current_location

    def get_loop_count(self) -> int:
        """How often a circular plan has started over."""
        return self.loop_count

    def next_destination(self) -> str | None:
        """Where ``dispatch_next`` would go; None at the end. Changes nothing."""
        if self.current_index < len(self.destinations):
            return self.destinations[self.current_index]
        return self.destinations[0] if self.circular and self.destinations else None

    def dispatch_next(self, agent: Traveller) -> PagletProxy | None:
        """Move the paglet to its next destination; None, and ``completed``, when there is none.

        The plan advances first, so that the copy that arrives knows where it is. If the paglet did not move
        after all, the plan is as it was: call this again to retry, or ``skip_next()`` to give that one up.
        """
        dest = self.next_destination()
        if dest is None:
            self.completed = True
            return None
        before = (self.current_index, self.current_location, self.loop_count)
        self._step()
        self.current_location = dest
        self.visited_destinations.append(dest)
        try:
            return agent.dispatch(dest)
        except BaseException:
            self.current_index, self.current_location, self.loop_count = before
            self.visited_destinations.pop()
            raise

    def _step(self) -> None:
        if self.current_index >= len(self.destinations):
            self.current_index = 0
            self.loop_count += 1
        self.current_index += 1

    def _find(self, dest: str) -> int | None:
        """Where a destination comes next; where it was when it does not; None when it is not in the plan."""
        indexes = [index for index, each in enumerate(self.destinations) if each == dest]
        ahead = [index for index in indexes if index >= self.current_index]
        return next(iter(ahead or indexes), None)

    def _forget(self, dest: str) -> None:
        """Called when a destination is in the plan no more."""


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
    def get_itinerary(self) -> ItineraryPlan: ...


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
        return self.get_itinerary().dispatch_next(self)

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
