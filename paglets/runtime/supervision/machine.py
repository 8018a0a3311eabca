"""What follows the crashes of one paglet, as a machine.

::

                        crashed, restarts left                  timer
      WELL, STARTING ────────────────────────────▶ WAITING ───────────────▶ STARTING
        ▲    │ └──── lost: at once, or soon ────────▲ │                        ▲ │
        │    │                                        └──── activate asked ────┤ │
        │    │ crashed, no restart left                    (a fresh window)    │ │
        │    └────────────────────────────▶ FAILED ──────── activate asked ────┘ │
        └──────────────────────────── recovered ─────────────────────────────────┘
      any ──── disposed, moved, deactivated, host stopped ────▶ OVER

The rules are in ``docs/processes.md``. ``step`` changes nothing in place and does no I/O; an event that a stage
has no use for (it came late, or twice) leaves the watch as it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import NamedTuple

from paglets.core.policies import RestartPolicy
from paglets.runtime.supervision import effects as do
from paglets.runtime.supervision import events as on

LONGEST_LOSS_DELAY = 10.0
"""Seconds; bounds the pause after the host's means of making processes went down again and again."""
_FIRST_LOSS_DELAY = 0.1


class Stage(StrEnum):
    """How a paglet is, as its supervision knows."""

    WELL = "well"
    WAITING = "waiting"
    """Its process is gone; it is started again when the pause is over."""
    STARTING = "starting"
    """Its next life is being begun."""
    FAILED = "failed"
    """It stays down until it is activated, or its host starts again."""
    OVER = "over"
    """There is nothing to supervise any more: it was parked, has left, or the host stops."""


@dataclass(frozen=True, slots=True)
class Watch:
    """One paglet, as its supervision sees it. Changed by ``step`` only."""

    stage: Stage = Stage.WELL
    policy: RestartPolicy = field(default_factory=RestartPolicy)
    """As its last process said."""
    crashes: tuple[float, ...] = ()
    """When it crashed, oldest first: those within the window of its policy at the last one."""
    losses: int = 0
    """How often in a row it lost its process through no fault of its own, before it was well again."""
    timer: int = 0
    """The number of the last pause."""
    restart: do.StartAfter | None = None
    """What it is being restarted for; None when somebody asked for the start."""


class Step(NamedTuple):
    """The watch after an event, and what to do now, in this order."""

    watch: Watch
    effects: tuple[do.Effect, ...] = ()


def step(watch: Watch, event: on.Event, now: float) -> Step:
    """What ``event``, at ``now`` (seconds of a clock that never goes back), makes of ``watch``."""
    match event:
        case _ if watch.stage is Stage.OVER:
            return Step(watch)
        case on.Disposed() | on.Moved() | on.Deactivated() | on.HostStopped():
            cancel = (do.CancelTimer(),) if watch.stage is Stage.WAITING else ()
            return Step(replace(watch, stage=Stage.OVER, restart=None), cancel)
        case on.Recovered():
            return _recovered(watch)
        case _ if watch.stage in {Stage.WELL, Stage.STARTING}:
            return _up(watch, event, now)
        case _:
            return _down(watch, event)


def _up(watch: Watch, event: on.Event, now: float) -> Step:
    match event:
        case on.Crashed(moving=False):
            return _crashed(watch, event, now)
        case on.Lost(moving=False):
            return _lost(watch, event)
        case _:
            return Step(watch)


def _down(watch: Watch, event: on.Event) -> Step:
    waiting = watch.stage is Stage.WAITING
    match event:
        case on.TimerEnded(number) if waiting and number == watch.timer:
            return Step(replace(watch, stage=Stage.STARTING), (do.Start(),))
        case on.ActivateAsked():
            asked = replace(watch, stage=Stage.STARTING, crashes=(), losses=0, restart=None)
            return Step(asked, (do.CancelTimer(),) if waiting else ())
        case _:
            return Step(watch)


def _crashed(watch: Watch, event: on.Crashed, now: float) -> Step:
    policy = event.policy
    crashes = (*(at for at in watch.crashes if at > now - policy.window), now)
    watch = replace(watch, policy=policy, crashes=crashes, losses=0)
    delay = policy.delay(len(crashes))
    if delay is None:
        failed = replace(watch, stage=Stage.FAILED, restart=None)
        return Step(failed, (do.GiveUp(event.why, len(crashes)),))
    return _wait(watch, delay, len(crashes), event.why)


def _lost(watch: Watch, event: on.Lost) -> Step:
    delay = 0.0
    if watch.losses:
        delay = min(LONGEST_LOSS_DELAY, _FIRST_LOSS_DELAY * 2.0 ** min(watch.losses - 1, 16))
    return _wait(replace(watch, losses=watch.losses + 1), delay, 0, event.why)


def _wait(watch: Watch, delay: float, attempt: int, why: str) -> Step:
    restart = do.StartAfter(watch.timer + 1, delay, attempt, why)
    waiting = replace(watch, stage=Stage.WAITING, timer=restart.number, restart=restart)
    return Step(waiting, (restart,))


def _recovered(watch: Watch) -> Step:
    """It runs, whoever began that life: a move that came back begins one, too."""
    told: tuple[do.Effect, ...] = ()
    if watch.stage is Stage.STARTING and watch.restart is not None:
        told = (do.ReportRestarted(watch.restart.attempt, watch.restart.delay, watch.restart.why),)
    if watch.stage is Stage.WAITING:
        told = (do.CancelTimer(),)
    return Step(replace(watch, stage=Stage.WELL, losses=0, restart=None), told)
