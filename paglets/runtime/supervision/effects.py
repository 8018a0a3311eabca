"""What the supervision of a paglet wants done."""

from __future__ import annotations

import msgspec


class StartAfter(msgspec.Struct, frozen=True):
    """Start it again from its checkpoint in ``delay`` seconds: tell ``TimerEnded(number)`` then, and do as it says."""

    number: int
    delay: float
    attempt: int
    """Crashes within the window of its policy, this one included; 0: the crash was not its own."""
    why: str


class CancelTimer(msgspec.Struct, frozen=True):
    """Nobody waits for the pause any more."""


class Start(msgspec.Struct, frozen=True):
    """Start its next life now."""


class ReportRestarted(msgspec.Struct, frozen=True):
    """It runs again by itself."""

    attempt: int
    delay: float
    why: str


class GiveUp(msgspec.Struct, frozen=True):
    """Mark it as failed, and tell those who wait for it."""

    why: str
    crashes: int
    """How many within the window of its policy."""


Effect = StartAfter | CancelTimer | Start | ReportRestarted | GiveUp
