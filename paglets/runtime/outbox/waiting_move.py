"""One paglet in the outbox, waiting to be moved to a host that is away, as a state machine without I/O.

::

             Present             Refused, not too often; Absent
    REACHING ──────▶ MOVING ──────────────────────────────┐
     ▲   │ Absent      │ │ └─ InDoubt ─▶ IN_DOUBT ─ Back ─┤
     │   └─────────────┼─┼─────────────▶ PAUSING ◀────────┘
     │        Due      │ │                │    ▲ NotWritten
     └─────────────────┼─┼────────────────┘    │
                       │ └─ too often ──▶ GIVING_BACK ──Written──▶ OVER
         its time is over, when it is about to try ┘                 ▲
                       └────── Gone, at any time ────────────────────┘

The move itself is a transfer with a machine of its own (``paglets.runtime.transfers.source``); this one says when it is
begun. What is durable is in the paglet's record, so ``Gone`` is learnt by looking there. ``docs/outbox.md`` says why.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import NamedTuple

from paglets.runtime.outbox.machine import FIRST_PAUSE, LONGEST_PAUSE

MAX_REFUSALS = 10
"""So often in a row a host that is there may refuse it, before it is given back."""
EXPIRED = "its target was not back in time"


class Stage(IntEnum):
    """What it waits for."""

    REACHING = 0
    """Whether its target is there, and takes paglets in."""
    MOVING = 1
    """The outcome of the transfer."""
    IN_DOUBT = 2
    """The verdict on a transfer whose time is over."""
    PAUSING = 3
    """A timer, or news of a host."""
    GIVING_BACK = 4
    """The commit that takes it out of the outbox again."""
    OVER = 5
    """Nothing: it does not wait any more."""


@dataclass(frozen=True, slots=True)
class WaitingMove:
    """What is known of it. Replaced whole by each step."""

    expires: float
    """When its time is over, by the clock of the host's running life."""
    stage: Stage = Stage.REACHING
    pause: float = FIRST_PAUSE
    """How long the next pause is."""
    patience: int = MAX_REFUSALS
    refusals: int = 0
    reason: str = ""
    """Why it is still here."""


# --- events ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Due:
    """The pause is over, or a host was heard from."""


@dataclass(frozen=True, slots=True)
class Present:
    """The target is there."""


@dataclass(frozen=True, slots=True)
class Absent:
    """The target is not there, or takes nothing in for now."""

    reason: str


@dataclass(frozen=True, slots=True)
class Refused:
    """It was tried, and durably did not move, although the target is there."""

    reason: str


@dataclass(frozen=True, slots=True)
class InDoubt:
    """It was tried, and whether it has moved is not known in time."""

    reason: str


@dataclass(frozen=True, slots=True)
class Back:
    """The transfer that was in doubt is settled: it has not moved, and waits as before."""


@dataclass(frozen=True, slots=True)
class Gone:
    """It does not wait any more: it has moved, or was taken out by somebody."""


@dataclass(frozen=True, slots=True)
class Written:
    """It is durably out of the outbox."""


@dataclass(frozen=True, slots=True)
class NotWritten:
    """The store did not take the commit."""

    reason: str


Event = Due | Present | Absent | Refused | InDoubt | Back | Gone | Written | NotWritten


# --- effects -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reach:
    """See whether the target is there: ``Present`` or ``Absent``; ``Gone`` if it waits no more."""


@dataclass(frozen=True, slots=True)
class Move:
    """Begin a transfer, if it still waits: ``Gone``, ``Absent``, ``Refused`` or ``InDoubt``."""


@dataclass(frozen=True, slots=True)
class AwaitVerdict:
    """Wait until the transfer is settled, however long that takes: ``Back`` or ``Gone``."""


@dataclass(frozen=True, slots=True)
class Pause:
    """``Due`` in so many seconds, or, with ``heeds_news``, as soon as a host is heard from."""

    seconds: float
    heeds_news: bool = True


@dataclass(frozen=True, slots=True)
class GiveBack:
    """Take it out of the outbox, durably: ``Written``, ``NotWritten``, or ``Gone`` if it waits no more."""

    reason: str


Effect = Reach | Move | AwaitVerdict | Pause | GiveBack


class Step(NamedTuple):
    """The state after an event, and the one thing to do now, if any."""

    move: WaitingMove
    effect: Effect | None = None


def begin(expires: float, now: float, *, patience: int = MAX_REFUSALS) -> Step:
    """It has just been put into the outbox, or is found there after a restart."""
    return _try(WaitingMove(expires, patience=patience), now)


def step(move: WaitingMove, event: Event, now: float) -> Step:
    """What follows from an event. One that comes at another time changes nothing."""
    after = Step(move)
    match event:
        case Gone():
            after = Step(replace(move, stage=Stage.OVER))
        case Due() if move.stage is Stage.PAUSING:
            after = _try(move, now)
        case Present() if move.stage is Stage.REACHING:
            pause = move.pause if move.refusals else FIRST_PAUSE
            after = Step(replace(move, stage=Stage.MOVING, pause=pause), Move())
        case Absent(reason) if move.stage in {Stage.REACHING, Stage.MOVING}:
            after = _pause(replace(move, reason=reason, refusals=0), now)
        case Refused(reason) if move.stage is Stage.MOVING:
            after = _refused(replace(move, reason=reason, refusals=move.refusals + 1), now)
        case InDoubt(reason) if move.stage is Stage.MOVING:
            after = Step(replace(move, stage=Stage.IN_DOUBT, reason=reason), AwaitVerdict())
        case Back() if move.stage is Stage.IN_DOUBT:
            after = _pause(move, now)
        case NotWritten(reason) if move.stage is Stage.GIVING_BACK:
            after = _pause(replace(move, reason=reason), now)
        case Written() if move.stage is Stage.GIVING_BACK:
            after = Step(replace(move, stage=Stage.OVER))
        case _:
            pass
    return after


def _try(move: WaitingMove, now: float) -> Step:
    if move.expires <= now:
        return _give_back(move, f"{EXPIRED}: {move.reason}" if move.reason else EXPIRED)
    if move.refusals >= move.patience:  # the store did not take it at first
        return _give_back(move, move.reason)
    return Step(replace(move, stage=Stage.REACHING), Reach())


def _refused(move: WaitingMove, now: float) -> Step:
    return _give_back(move, move.reason) if move.refusals >= move.patience else _pause(move, now)


def _give_back(move: WaitingMove, reason: str) -> Step:
    return Step(replace(move, stage=Stage.GIVING_BACK, reason=reason), GiveBack(reason))


def _pause(move: WaitingMove, now: float) -> Step:
    """Wait before the next try, but not beyond its time."""
    left = move.expires - now
    seconds = (
        min(move.pause, left) if left > 0 else move.pause
    )  # past its time: only the store was in the way
    longer = min(LONGEST_PAUSE, move.pause * 2)
    return Step(
        replace(move, stage=Stage.PAUSING, pause=longer), Pause(seconds, heeds_news=not move.refusals)
    )
