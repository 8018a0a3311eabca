"""What the supervision of a paglet wants done."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StartAfter:
    """Start it again from its checkpoint in ``delay`` seconds: tell ``TimerEnded(number)`` then, and do as it says."""

    number: int
    delay: float
    attempt: int
    """Crashes within the window of its policy, this one included; 0: the crash was not its own."""
    why: str


@dataclass(frozen=True, slots=True)
class CancelTimer:
    """Nobody waits for the pause any more."""


@dataclass(frozen=True, slots=True)
class Start:
    """Start its next life now."""


@dataclass(frozen=True, slots=True)
class ReportRestarted:
    """It runs again by itself."""

    attempt: int
    delay: float
    why: str


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Mark it as failed, and tell those who wait for it."""

    why: str
    crashes: int
    """How many within the window of its policy."""


Effect = StartAfter | CancelTimer | Start | ReportRestarted | GiveUp
