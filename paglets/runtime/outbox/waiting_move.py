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

from enum import IntEnum
from typing import NamedTuple

import msgspec

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


class WaitingMove(msgspec.Struct, frozen=True):
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


class Due(msgspec.Struct, frozen=True):
    """The pause is over, or a host was heard from."""


class Present(msgspec.Struct, frozen=True):
    """The target is there."""


class Absent(msgspec.Struct, frozen=True):
    """The target is not there, or takes nothing in for now."""

    reason: str


class Refused(msgspec.Struct, frozen=True):
    """It was tried, and durably did not move, although the target is there."""

    reason: str


class InDoubt(msgspec.Struct, frozen=True):
    """It was tried, and whether it has moved is not known in time."""

    reason: str


class Back(msgspec.Struct, frozen=True):
    """The transfer that was in doubt is settled: it has not moved, and waits as before."""


class Gone(msgspec.Struct, frozen=True):
    """It does not wait any more: it has moved, or was taken out by somebody."""


class Written(msgspec.Struct, frozen=True):
    """It is durably out of the outbox."""


class NotWritten(msgspec.Struct, frozen=True):
    """The store did not take the commit."""

    reason: str


Event = Due | Present | Absent | Refused | InDoubt | Back | Gone | Written | NotWritten


# --- effects -----------------------------------------------------------------------------------------------


class Reach(msgspec.Struct, frozen=True):
    """See whether the target is there: ``Present`` or ``Absent``; ``Gone`` if it waits no more."""


class Move(msgspec.Struct, frozen=True):
    """Begin a transfer, if it still waits: ``Gone``, ``Absent``, ``Refused`` or ``InDoubt``."""


class AwaitVerdict(msgspec.Struct, frozen=True):
    """Wait until the transfer is settled, however long that takes: ``Back`` or ``Gone``."""


class Pause(msgspec.Struct, frozen=True):
    """``Due`` in so many seconds, or, with ``heeds_news``, as soon as a host is heard from."""

    seconds: float
    heeds_news: bool = True


class GiveBack(msgspec.Struct, frozen=True):
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
            after = Step(msgspec.structs.replace(move, stage=Stage.OVER))
        case Due() if move.stage is Stage.PAUSING:
            after = _try(move, now)
        case Present() if move.stage is Stage.REACHING:
            pause = move.pause if move.refusals else FIRST_PAUSE
            after = Step(msgspec.structs.replace(move, stage=Stage.MOVING, pause=pause), Move())
        case Absent(reason) if move.stage in {Stage.REACHING, Stage.MOVING}:
            after = _pause(msgspec.structs.replace(move, reason=reason, refusals=0), now)
        case Refused(reason) if move.stage is Stage.MOVING:
            after = _refused(msgspec.structs.replace(move, reason=reason, refusals=move.refusals + 1), now)
        case InDoubt(reason) if move.stage is Stage.MOVING:
            after = Step(msgspec.structs.replace(move, stage=Stage.IN_DOUBT, reason=reason), AwaitVerdict())
        case Back() if move.stage is Stage.IN_DOUBT:
            after = _pause(move, now)
        case NotWritten(reason) if move.stage is Stage.GIVING_BACK:
            after = _pause(msgspec.structs.replace(move, reason=reason), now)
        case Written() if move.stage is Stage.GIVING_BACK:
            after = Step(msgspec.structs.replace(move, stage=Stage.OVER))
        case _:
            pass
    return after


def _try(move: WaitingMove, now: float) -> Step:
    if move.expires <= now:
        return _give_back(move, f"{EXPIRED}: {move.reason}" if move.reason else EXPIRED)
    if move.refusals >= move.patience:  # the store did not take it at first
        return _give_back(move, move.reason)
    return Step(msgspec.structs.replace(move, stage=Stage.REACHING), Reach())


def _refused(move: WaitingMove, now: float) -> Step:
    return _give_back(move, move.reason) if move.refusals >= move.patience else _pause(move, now)


def _give_back(move: WaitingMove, reason: str) -> Step:
    return Step(msgspec.structs.replace(move, stage=Stage.GIVING_BACK, reason=reason), GiveBack(reason))


def _pause(move: WaitingMove, now: float) -> Step:
    """Wait before the next try, but not beyond its time."""
    left = move.expires - now
    seconds = (
        min(move.pause, left) if left > 0 else move.pause
    )  # past its time: only the store was in the way
    longer = min(LONGEST_PAUSE, move.pause * 2)
    return Step(
        msgspec.structs.replace(move, stage=Stage.PAUSING, pause=longer),
        Pause(seconds, heeds_news=not move.refusals),
    )
