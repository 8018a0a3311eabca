"""What the hosts have acknowledged, as those who asked them write it down; the count is held against it."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class Outcome(StrEnum):
    """What came of asking for something."""

    DONE = "done"
    REFUSED = "refused"
    """A ``TransferError``: it did not move, durably."""
    AWAY = "away"
    """There was no connection to the host that was asked, so it did not happen."""
    UNKNOWN = "unknown"
    """Nobody answered, or not in time, or something else went wrong: it may have happened."""


class Standing(StrEnum):
    """Whether a paglet has to be there."""

    MAYBE = "maybe"
    """It was asked for, or asked to be disposed of, and nobody answered."""
    THERE = "there"
    GONE = "gone"


@dataclass
class Account:
    """One paglet: what was acknowledged, and what may have happened besides."""

    agent_id: str
    kind: str
    standing: Standing = Standing.MAYBE
    arrivals: int = 0
    """Acknowledged moves that ran ``on_arrival``."""
    hops: int = 0
    """Acknowledged moves and activations: each one is an epoch."""
    maybe_arrivals: int = 0
    """Moves that may have happened besides: their number in the state may be so much higher."""
    saved: int = 0
    """The highest acknowledged count."""
    asked_to_save: int = 0
    notes: dict[int, str] = field(default_factory=dict[int, str])
    """Numbers of accepted notes, and how each was accepted."""
    maybe_notes: set[int] = field(default_factory=set[int])
    resent_notes: set[int] = field(default_factory=set[int])
    """Notes whose sender may have been asked more than once to send them: the request waited in a durable queue,
    and was handled again where its process had ended in the middle."""
    maybe_clones: int = 0
    """Clones that it may have, besides those that were acknowledged."""
    packed: bool = False
    """Whether it has acknowledged that it has a file."""


class Books:
    """All accounts, and how often what was asked for, with which outcome.

    All of it is in a diary, too, with the time of the hosts' logs, for whoever looks for what went wrong.
    """

    def __init__(self, diary: Path) -> None:
        self._diary = diary.open("w", buffering=1)
        self.accounts: dict[str, Account] = {}
        self.asked: Counter[tuple[str, str]] = Counter()
        """By operation and outcome."""
        self._lock = threading.Lock()

    def open(self, agent_id: str, kind: str, standing: Standing) -> Account:
        """A new account."""
        account = Account(agent_id, kind, standing)
        with self._lock:
            self.accounts[agent_id] = account
        return account

    def count(self, operation: str, outcome: Outcome, about: str) -> None:
        """Something was asked for, and that came of it; ``about`` is for the diary."""
        with self._lock:
            self.asked[operation, outcome.value] += 1
        self.note(f"{operation}: {about}: {outcome.value}")

    def note(self, line: str) -> None:
        """Write a line into the diary."""
        now = time.time()
        stamp = f"{time.strftime('%H:%M:%S', time.localtime(now))}.{int(now % 1 * 1000):03}"
        with self._lock:
            self._diary.write(f"{stamp} {line}\n")

    def close(self) -> None:
        """Close the diary."""
        self._diary.close()

    def moves(self) -> int:
        """Acknowledged moves so far."""
        with self._lock:
            return sum(n for (operation, outcome), n in self.asked.items()
                       if operation in MOVES and outcome == Outcome.DONE)  # fmt: skip


MOVES = frozenset(
    {"dispatch", "dispatch, from its handler", "tour", "retract", "move of a parked one", "move to the same host",
     "dispatch, to be parked", "clone to another host", "queued dispatch", "dispatch, queued if need be"}
)  # fmt: skip
"""The operations that are moves, if they are done."""
