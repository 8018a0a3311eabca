"""One lane of the outbox - the messages of one sender for one receiver, in order - as a state machine without I/O.

::

              Kept                 Numbered             Heard ACCEPTED, REFUSED
     IDLE ──────────▶ REACHING ──────────────▶ SENDING ───────────────────────────▶ SETTLING
      ▲                ▲  │  ▲                  │   │                                  │  ▲
      │            Due │  │  └── Heard CLOSED ──┘   │ Silent, Heard LATER              │  │ its time
      │                │  ▼ Silent                 ▼                                  │  │ is over
      │               PAUSING ◀──────────────────────────────── NotWritten ────────────┤  │
      │                └───────────────────────────────────────────────────────────────┼──┘
      └──────────────────────────────── Settled: the next, if there is one ────────────┘

Only the first message of a lane is ever under way. Its number is durable before it leaves; it leaves the outbox
only by a final answer, or when its time is over. ``docs/outbox.md`` says why.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import msgspec

from paglets.persistence.outbox_rules import Answer

FIRST_PAUSE, LONGEST_PAUSE = 0.25, 30.0
"""Bounds of the pause before a host that was away is tried again, in seconds; it doubles from try to try."""


class Stage(IntEnum):
    """What the lane waits for."""

    IDLE = 0
    """Nothing: there is no message."""
    REACHING = 1
    """The receiver's host is dialled, and the message gets its number there."""
    SENDING = 2
    """The host's answer."""
    SETTLING = 3
    """The commit that takes the message out of the outbox."""
    PAUSING = 4
    """A timer, or news of the host."""


class Waiting(msgspec.Struct, frozen=True):
    """One message of the lane."""

    position: int
    expires: float
    """When its time is over, by the clock of the host's running life."""
    number: int = 0
    """0: it has never left. Otherwise it may have."""


class Lane(msgspec.Struct, frozen=True):
    """What is known of a lane. Replaced whole by each step."""

    waiting: tuple[Waiting, ...] = ()
    """In order; the first is the one that is dealt with."""
    stage: Stage = Stage.IDLE
    pause: float = FIRST_PAUSE
    """How long the next pause is."""


# --- events ------------------------------------------------------------------------------------------------


class Kept(msgspec.Struct, frozen=True):
    """A message was durably accepted for this lane."""

    message: Waiting


class Due(msgspec.Struct, frozen=True):
    """The pause is over, or the host was heard from."""


class Numbered(msgspec.Struct, frozen=True):
    """The host was reached, and the message's number is durable."""

    position: int
    number: int


class Silent(msgspec.Struct, frozen=True):
    """The host was not reached, or gave no answer."""

    position: int


class Heard(msgspec.Struct, frozen=True):
    """The host has answered the message of that number."""

    number: int
    answer: Answer
    reason: str = ""
    above: int = 0


class Settled(msgspec.Struct, frozen=True):
    """The message is durably out of the outbox, or was found to be."""

    position: int


class NotWritten(msgspec.Struct, frozen=True):
    """The store did not take a commit that was asked for."""

    position: int


Event = Kept | Due | Numbered | Silent | Heard | Settled | NotWritten


# --- effects -----------------------------------------------------------------------------------------------


class Reach(msgspec.Struct, frozen=True):
    """Dial the host; when it is there, give the message a number greater than ``above``: ``Numbered``."""

    position: int
    above: int = 0


class Send(msgspec.Struct, frozen=True):
    """Send the message under its number, with the floor: ``Heard`` or ``Silent``."""

    position: int
    number: int


class WriteSettled(msgspec.Struct, frozen=True):
    """Take the message out of the outbox, durably: ``Settled`` or ``NotWritten``."""

    position: int


class WriteDead(msgspec.Struct, frozen=True):
    """Make a dead letter of the message, durably: ``Settled`` or ``NotWritten``."""

    position: int
    reason: str
    in_doubt: bool


class Pause(msgspec.Struct, frozen=True):
    """``Due`` in so many seconds, or as soon as the host is heard from."""

    seconds: float


Effect = Reach | Send | WriteSettled | WriteDead | Pause

_TRYING = frozenset({Stage.REACHING, Stage.SENDING, Stage.SETTLING})
EXPIRED = "its time was over before the host was back"
EXPIRED_IN_DOUBT = "its time was over before the host said whether it has it"


class Step(NamedTuple):
    """The lane after an event, and what is to be done now; one thing at most."""

    lane: Lane
    effect: Effect | None = None


def resume(waiting: tuple[Waiting, ...], now: float) -> Step:
    """Go on with what the host's earlier life has left in the outbox."""
    return _begin(Lane(waiting), now)


def step(lane: Lane, event: Event, now: float) -> Step:
    """What follows from an event. One that is about another message, or comes at another time, changes nothing."""
    if isinstance(event, Kept):
        longer = msgspec.structs.replace(lane, waiting=(*lane.waiting, event.message))
        return _begin(longer, now) if lane.stage is Stage.IDLE else Step(longer)
    return _told(lane, lane.waiting[0], event, now) if lane.waiting else Step(lane)


def _told(lane: Lane, first: Waiting, event: Event, now: float) -> Step:
    after = Step(lane)
    match event:
        case Due() if lane.stage is Stage.PAUSING:
            after = _begin(lane, now)
        case Numbered(first.position, number) if lane.stage is Stage.REACHING:
            numbered = msgspec.structs.replace(first, number=number)
            sending = msgspec.structs.replace(
                lane, waiting=(numbered, *lane.waiting[1:]), stage=Stage.SENDING
            )
            after = Step(sending, Send(first.position, number))
        case Heard(first.number) if lane.stage is Stage.SENDING:
            after = _heard(lane, event, now)
        case Settled(first.position) if lane.stage in _TRYING:
            after = _begin(Lane(lane.waiting[1:]), now)
        case Silent(first.position) | NotWritten(first.position) if lane.stage in _TRYING:
            after = _pause(lane, now)
        case _:
            pass
    return after


def _begin(lane: Lane, now: float) -> Step:
    """Deal with the first message, if there is one."""
    if not lane.waiting:
        return Step(msgspec.structs.replace(lane, stage=Stage.IDLE, pause=FIRST_PAUSE))
    first = lane.waiting[0]
    if first.expires <= now:
        in_doubt = first.number > 0
        dead = WriteDead(first.position, EXPIRED_IN_DOUBT if in_doubt else EXPIRED, in_doubt)
        return Step(msgspec.structs.replace(lane, stage=Stage.SETTLING), dead)
    return Step(msgspec.structs.replace(lane, stage=Stage.REACHING), Reach(first.position))


def _heard(lane: Lane, event: Heard, now: float) -> Step:
    first = lane.waiting[0]
    settling = msgspec.structs.replace(lane, stage=Stage.SETTLING)
    match event.answer:
        case Answer.ACCEPTED:
            return Step(settling, WriteSettled(first.position))
        case Answer.REFUSED:
            return Step(settling, WriteDead(first.position, event.reason, in_doubt=False))
        case Answer.CLOSED:
            return Step(
                msgspec.structs.replace(lane, stage=Stage.REACHING),
                Reach(first.position, max(event.above, first.number)),
            )
        case Answer.LATER:
            return _pause(lane, now)


def _pause(lane: Lane, now: float) -> Step:
    """Wait before the next try, but not beyond the first message's time."""
    seconds = max(0.0, min(lane.pause, lane.waiting[0].expires - now))
    longer = min(LONGEST_PAUSE, lane.pause * 2)
    return Step(msgspec.structs.replace(lane, stage=Stage.PAUSING, pause=longer), Pause(seconds))
