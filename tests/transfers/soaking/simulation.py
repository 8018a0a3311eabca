"""Many walks, one after the other, each from a seed of its own: what was done, and what it did to any promise.

``python -m tests.transfers.soaking --moves 1000000 --seed 1``, from the repository's root, does the same. A walk that
broke a promise is told with its seed, and ``--replay SEED`` walks it again and tells each step.
"""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from typing import TYPE_CHECKING

from tests.transfers.exploring.world import BrokenPromiseError
from tests.transfers.soaking.walk import SCOPE, Walk

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.transfers.exploring.scope import Scope

MOVES_OF_A_WALK = 1000
OPERATIONS = {
    "dispatch": "dispatch",
    "clone": "clone",
    "obey": "retract",
    "move_here": "same host",
    "park": "deactivate",
    "activate": "activate",
    "dispose": "dispose",
    "accept": "queued message",
    "checkpoint": "checkpoint",
    "queue": "queued dispatch",
    "adopt": "adoption",
    "adopt_copy": "adoption out of quarantine",
    "discard_copy": "copy dropped",
    "restore": "restored store",
    "accept_copy": "accepted store",
}
"""By the name of the step that begins them."""


@dataclass
class Broken:
    """A walk that broke a promise."""

    seed: int
    promise: str
    history: tuple[str, ...]
    """The last steps, oldest first."""

    def __str__(self) -> str:
        steps = "\n".join(f"  {label}" for label in self.history)
        return f"seed {self.seed}: {self.promise}, after\n{steps}"


@dataclass
class Tally:
    """What a simulation came to."""

    moves: int = 0
    steps: Counter[str] = field(default_factory=Counter[str])
    """How often each was taken, by `name_of`."""
    operations: Counter[str] = field(default_factory=Counter[str])
    faults: Counter[str] = field(default_factory=Counter[str])
    lost: int = 0
    """Walks in which a paglet or an accepted message was lost."""
    doubled: int = 0
    """Walks in which a paglet was twice, or a transfer was accepted twice."""
    broken: list[Broken] = field(default_factory=list[Broken])
    """All walks in which a promise was broken, those two and any other."""

    def add(self, other: Tally) -> None:
        """Count what another simulation came to, too."""
        self.moves += other.moves
        self.steps += other.steps
        self.operations += other.operations
        self.faults += other.faults
        self.lost += other.lost
        self.doubled += other.doubled
        self.broken += other.broken


def simulate(moves: int, seed: int, *, processes: int = 1) -> Tally:
    """Walk until at least ``moves`` moves were made, from ``seed`` and those after it, in so many processes.

    The same arguments give the same tally.
    """
    walks = -(-moves // MOVES_OF_A_WALK)
    tally = Tally()
    if processes == 1:
        for number in range(seed, seed + walks):
            tally.add(walk(number))
        return tally
    # Not by fork: whoever calls this may have threads.
    pool = ProcessPoolExecutor(processes, mp_context=get_context("spawn"))
    try:
        for walked in pool.map(walk, range(seed, seed + walks), chunksize=4):
            tally.add(walked)
    finally:
        pool.shutdown(
            cancel_futures=True
        )  # whoever is timed out does not wait for the walks that were yet to come
    return tally


def walk(
    seed: int,
    moves: int = MOVES_OF_A_WALK,
    scope: Scope = SCOPE,
    *,
    told: Callable[[str], None] | None = None,
) -> Tally:
    """One walk; ``told``: of each step."""
    walked = Walk(seed, scope, told=told)
    tally = Tally()
    try:
        walked.go(moves)
    except BrokenPromiseError as error:
        promise = str(error)
        tally.broken.append(Broken(seed, promise, tuple(walked.history)))
        tally.lost += promise.startswith("I2") or promise.endswith("is lost")
        tally.doubled += promise.startswith(("I1", "I6"))
    tally.moves = walked.moves
    tally.steps = walked.taken
    tally.faults = walked.faults
    for step, name in OPERATIONS.items():
        tally.operations[name] = walked.counts[step]
    return tally
