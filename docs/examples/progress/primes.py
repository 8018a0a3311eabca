"""A long computation as a task: started once, asked as often as one likes, and not lost with its host."""

from __future__ import annotations

from dataclasses import dataclass, field

from paglets.patterns.tasks import TaskPaglet, TaskState


@dataclass
class Count:
    """What to do: count the primes below ``limit``."""

    limit: int = 1000


@dataclass
class Primes:
    """What came of it."""

    limit: int = 0
    primes: int = 0


@dataclass
class Progress(TaskState):
    """The task's state; the two fields below are how far it is."""

    reached: int = 1
    found: list[int] = field(default_factory=list[int])


class PrimeCounter(TaskPaglet[Count, Primes, Progress]):
    """Goes on where it was when it was interrupted: its progress is in its state."""

    State = Progress
    Request = Count
    Result = Primes

    def run_task(self, request: Count) -> Primes:
        while self.state.reached < request.limit - 1:
            with self.locked_state() as state:
                state.reached += 1
                if all(state.reached % prime for prime in state.found if prime * prime <= state.reached):
                    state.found.append(state.reached)
            if self.state.reached % 10_000 == 0:
                self.checkpoint()
        return Primes(request.limit, len(self.state.found))
