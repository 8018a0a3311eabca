"""How much a run does."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """One form of the run."""

    name: str
    hosts: tuple[str, ...]
    pilots: int
    moves: int
    """Acknowledged moves of real hosts, at least."""
    faults: int
    """Faults of real hosts, at least."""
    pause: float
    """Seconds between two faults, on average."""
    longest: float
    """Seconds after which the moves have to be done."""
    cli_moves: int
    """Moves of the run that is driven by the command line alone."""
    simulated_moves: int
    pytest_mark: str
    """Which tests of the topics run: an expression for ``pytest -m``."""
    every_topic: bool


FAST = Plan("fast", ("a", "b", "c", "d"), pilots=32, moves=1_000, faults=60, pause=0.6, longest=420.0,
            cli_moves=30, simulated_moves=20_000, pytest_mark="not slow", every_topic=False)  # fmt: skip
FULL = Plan("full", ("a", "b", "c", "d"), pilots=40, moves=10_000, faults=1_000, pause=0.6, longest=2700.0,
            cli_moves=300, simulated_moves=1_000_000, pytest_mark="", every_topic=True)  # fmt: skip
