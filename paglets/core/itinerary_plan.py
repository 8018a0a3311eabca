"""Where a paglet still has to go, and what it does when it does not get there.

::

    next ──moved──> next stop ... ──none left──> completed
     │ TransferError
     ├─ RAISE ──> the caller's; the plan is as it was
     ├─ RETRY ──> parked until ``retry_at``, then next again; after the last try SKIP or END
     ├─ SKIP ───> skipped_destinations, then the next stop
     └─ END ────> ended, completed
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from paglets.core.deactivation import DeactivationPolicy
from paglets.core.errors import HostError, TransferError, TransferInDoubtError
from paglets.core.unreachable import UnreachableAction, UnreachablePolicy

if TYPE_CHECKING:
    from paglets.remote.proxy import PagletProxy

PARKED_BY_ITINERARY = "itinerary"
"""Why a paglet is parked that waits for its next stop."""


class Traveller(Protocol):
    """What a plan moves."""

    def dispatch(self, target: str, /) -> PagletProxy:
        """Move to another host."""
        ...


@runtime_checkable
class _Parkable(Protocol):
    def deactivate(self, *, reason: str, policy: DeactivationPolicy) -> PagletProxy: ...


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
    # By keyword only, so that the fields of subclasses come right behind those above.
    unreachable: UnreachablePolicy = field(default_factory=UnreachablePolicy, kw_only=True)
    """What follows when the next destination cannot be reached."""
    skipped_destinations: list[str] = field(default_factory=list[str], kw_only=True)
    """Destinations that were left out because they could not be reached, in order."""
    failed_tries: int = field(default=0, kw_only=True)
    """How often the next destination could not be reached so far."""
    retry_at: float | None = field(default=None, kw_only=True)
    """When it is tried again (seconds since the epoch); None when the plan waits for nothing."""
    ended: bool = field(default=False, kw_only=True)
    """A stop could not be reached, and the policy says that this is the end. Adding a destination undoes it."""
    leg_from: str = field(default="", kw_only=True)
    """Name of the host that the paglet left for its ``current_location``; empty when it is known to be there."""

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
        self.completed = self.ended = False
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
        if i == self.current_index:
            self._stop_waiting()
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
        if self.ended:
            return None
        if self.current_index < len(self.destinations):
            return self.destinations[self.current_index]
        return self.destinations[0] if self.circular and self.destinations else None

    def seconds_until_retry(self) -> float:
        """How long until the next destination is tried again; 0 when that is due, or the plan does not wait."""
        return 0.0 if self.retry_at is None else max(0.0, self.retry_at - time.time())

    def dispatch_next(self, agent: Traveller) -> PagletProxy | None:
        """Move the paglet to its next destination; None, and ``completed``, when there is none.

        The plan advances first, so that the copy that arrives knows where it is. If the paglet did not move
        after all (``TransferError``), the plan is as it was, and its policy says what follows. ``RAISE``: the
        error; call this again to retry, or ``skip_next()`` to give that one up. ``RETRY``: the paglet is parked
        until the next try is due, and the proxy is returned; as after a move there is nothing more to do. Who
        cannot be parked gets the error. ``SKIP``: the next one is tried; the error when the whole round of a
        circular plan has failed. ``END``: None.
        """
        tries_left = len(self.destinations)
        while (dest := self.next_destination()) is not None:
            tries_left -= 1
            try:
                return self._go(agent, dest)
            except TransferInDoubtError:
                raise
            except TransferError:
                action = self._after_failure()
                if action is UnreachableAction.RETRY and isinstance(agent, _Parkable):
                    return self._park(agent)
                if action in {UnreachableAction.RAISE, UnreachableAction.RETRY}:
                    raise
                if action is UnreachableAction.END:
                    self.ended = True
                    break
                self.skipped_destinations.append(dest)
                self._step()
                if self.circular and tries_left <= 0:
                    raise
        self._stop_waiting()
        self.completed = True
        return None

    def take_back_leg(self, here: str) -> bool:
        """The paglet is, after a restart, on the host of that name: if it left there last, it never did.

        The stop that it was on its way to is the next one again, and due now. Whether there was one.
        """
        took_back = bool(self.leg_from) and self.leg_from == here and self.current_index > 0
        self.leg_from = ""
        if took_back:
            self.current_index -= 1
            self.visited_destinations.pop()
            self.current_location = self.visited_destinations[-1] if self.visited_destinations else None
            if self.unreachable.action is not UnreachableAction.RAISE:
                self.retry_at = time.time()
        return took_back

    def _go(self, agent: Traveller, dest: str) -> PagletProxy:
        before = (
            self.current_index,
            self.current_location,
            self.loop_count,
            self.failed_tries,
            self.retry_at,
        )
        self._step()
        self.current_location = dest
        self.visited_destinations.append(dest)
        self.leg_from = _host_of(agent)
        try:
            return agent.dispatch(dest)
        except BaseException:
            self.current_index, self.current_location, self.loop_count, self.failed_tries, self.retry_at = (
                before
            )
            self.visited_destinations.pop()
            self.leg_from = ""
            raise

    def _after_failure(self) -> UnreachableAction:
        """What the policy says now. A try before its time does not count."""
        policy = self.unreachable
        if policy.action is not UnreachableAction.RETRY:
            return policy.action
        if self.retry_at is None or time.time() >= self.retry_at:
            self.failed_tries += 1
            self.retry_at = time.time() + policy.retry_interval
        return UnreachableAction.RETRY if self.failed_tries <= policy.retries else policy.afterwards

    def _park(self, agent: _Parkable) -> PagletProxy:
        return agent.deactivate(
            reason=PARKED_BY_ITINERARY, policy=DeactivationPolicy(activate_at=self.retry_at)
        )

    def _stop_waiting(self) -> None:
        self.failed_tries = 0
        self.retry_at = None

    def _step(self) -> None:
        if self.current_index >= len(self.destinations):
            self.current_index = 0
            self.loop_count += 1
        self.current_index += 1
        self._stop_waiting()

    def _find(self, dest: str) -> int | None:
        """Where a destination comes next; where it was when it does not; None when it is not in the plan."""
        indexes = [index for index, each in enumerate(self.destinations) if each == dest]
        ahead = [index for index in indexes if index >= self.current_index]
        return next(iter(ahead or indexes), None)

    def _forget(self, dest: str) -> None:
        """Called when a destination is in the plan no more."""


def _host_of(agent: object) -> str:
    """The name of the host that it is on; empty when that is not known."""
    try:
        name: object = getattr(getattr(agent, "context", None), "name", "")
    except HostError:
        return ""
    return name if isinstance(name, str) else ""
