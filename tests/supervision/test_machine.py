"""The supervision of one paglet, explored: every sequence of events up to a bound, and long random ones."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paglets.core.policies import RestartPolicy
from paglets.runtime.supervision import effects as do
from paglets.runtime.supervision import events as on
from paglets.runtime.supervision.machine import LONGEST_LOSS_DELAY, Stage, Watch, step

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

POLICY = RestartPolicy(max_restarts=2, window=10.0, backoff=1.0, max_backoff=4.0)
ENDS: tuple[on.Event, ...] = (on.Disposed(), on.Moved(), on.Deactivated(), on.HostStopped())


@dataclass
class World:
    """A paglet and the shell around its machine, as far as the machine can tell; checks every step."""

    watch: Watch = field(default_factory=Watch)
    now: float = 0.0
    taken: set[tuple[Stage, type[on.Event]]] = field(default_factory=set[tuple[Stage, type[on.Event]]])
    """What it was told, and in which stage; shared by its copies."""
    asked: set[type[do.Effect]] = field(default_factory=set[type[do.Effect]])
    """What it asked for; shared by its copies."""
    armed: int | None = None
    """The number of the timer that runs."""
    crashes: list[float] = field(default_factory=list[float])
    """Since somebody last asked for it while it was down."""
    starts: int = 0
    given_up: int = 0

    def tell(self, event: on.Event, *, policy: RestartPolicy = POLICY) -> tuple[do.Effect, ...]:
        before = self.watch
        self.watch, effects = step(before, event, self.now)
        self.taken.add((before.stage, type(event)))
        self.asked.update(type(effect) for effect in effects)
        if self.counts(before, event):
            self.crashes.append(self.now)
        if isinstance(event, on.ActivateAsked) and before.stage in {Stage.WAITING, Stage.FAILED}:
            self.crashes.clear()
        for effect in effects:
            self.done(effect, before, policy)
        self.check(before, event, effects)
        return effects

    @staticmethod
    def counts(before: Watch, event: on.Event) -> bool:
        return (
            isinstance(event, on.Crashed)
            and not event.moving
            and before.stage in {Stage.WELL, Stage.STARTING}
        )

    def done(self, effect: do.Effect, before: Watch, policy: RestartPolicy) -> None:
        recent = [at for at in self.crashes if at > self.now - policy.window]
        match effect:
            case do.StartAfter(number, delay, attempt):
                assert self.armed is None, "one timer at a time"
                self.armed = number
                if attempt:
                    assert attempt == len(recent) <= policy.max_restarts
                    assert delay == min(policy.max_backoff, policy.backoff * 2 ** (attempt - 1))
                else:
                    assert 0 <= delay <= LONGEST_LOSS_DELAY
            case do.CancelTimer():
                assert self.armed is not None
                self.armed = None
            case do.Start():
                assert before.stage is Stage.WAITING
                self.starts += 1
            case do.GiveUp(_, crashes):
                assert crashes == len(recent) > (policy.max_restarts if policy.delay(1) is not None else 0)
                self.given_up += 1
            case do.ReportRestarted():
                assert before.stage is Stage.STARTING

    def check(self, before: Watch, event: on.Event, effects: Sequence[do.Effect]) -> None:
        stage = self.watch.stage
        assert (self.armed is not None) == (stage is Stage.WAITING), "it waits exactly while a timer runs"
        if before.stage is Stage.OVER:
            assert not effects
            assert self.watch == before
        if isinstance(event, ENDS_TYPES):
            assert stage is Stage.OVER
        if getattr(event, "moving", False):
            assert self.watch == before, "a move says itself what the end of its process means"
        if stage is Stage.FAILED and before.stage is not Stage.FAILED:
            assert any(isinstance(each, do.GiveUp) for each in effects), "never silently"

    def fire(self) -> tuple[do.Effect, ...]:
        """The timer that runs ends."""
        assert self.armed is not None
        number, self.armed = self.armed, None
        assert self.watch.restart is not None
        self.now += self.watch.restart.delay
        return self.tell(on.TimerEnded(number))

    def copy(self) -> World:
        return replace(self, crashes=list(self.crashes))


ENDS_TYPES = tuple(type(each) for each in ENDS)

MOVES: dict[str, Callable[[World], object]] = {
    "crashed": lambda world: world.tell(on.Crashed("it fell", POLICY)),
    "crashed moving": lambda world: world.tell(on.Crashed("it fell", POLICY, moving=True)),
    "lost": lambda world: world.tell(on.Lost("the zygote died")),
    "lost moving": lambda world: world.tell(on.Lost("the zygote died", moving=True)),
    "recovered": lambda world: world.tell(on.Recovered()),
    "timer": lambda world: world.fire() if world.armed is not None else None,
    "stale timer": lambda world: world.tell(on.TimerEnded(world.watch.timer - 1)),
    "asked": lambda world: world.tell(on.ActivateAsked()),
    "disposed": lambda world: world.tell(on.Disposed()),
    "moved": lambda world: world.tell(on.Moved()),
    "deactivated": lambda world: world.tell(on.Deactivated()),
    "host stopped": lambda world: world.tell(on.HostStopped()),
    "a while": lambda world: setattr(world, "now", world.now + POLICY.window / 2),
}


def _key(world: World) -> tuple[object, ...]:
    """What tells worlds apart: times only as they lie to now, numbers not at all."""
    watch = world.watch
    ages = tuple(world.now - at for at in watch.crashes if at > world.now - POLICY.window)
    restart = watch.restart
    return (
        watch.stage,
        ages,
        min(watch.losses, 9),
        world.armed is None,
        restart and (restart.attempt, restart.delay),
    )


def test_every_sequence_of_events() -> None:
    first = World()
    worlds = {_key(first): first}
    seen = set(worlds)
    for _ in range(9):
        following: dict[tuple[object, ...], World] = {}
        for world, move in itertools.product(worlds.values(), MOVES.values()):
            after = world.copy()
            move(after)
            if (key := _key(after)) not in seen:
                seen.add(key)
                following[key] = after
        worlds = following
    assert {key[0] for key in seen} == set(Stage)
    assert len(seen) > 300
    assert first.taken == set(itertools.product(Stage, get_args(on.Event))), "each event comes in each stage"
    assert first.asked == set(get_args(do.Effect)), "and all that the machine can ask for is asked for"


def test_left_to_itself_it_comes_to_rest() -> None:
    """From wherever crashes and losses lead, timers and starts that succeed lead to WELL; that crash, to FAILED."""
    for moves in itertools.product(("crashed", "lost", "recovered", "timer", "asked", "a while"), repeat=4):
        for ends_well in (True, False):
            world = World()
            for move in moves:
                MOVES[move](world)
            for _ in range(10):
                MOVES["timer"](world)
                if world.watch.stage in {Stage.STARTING, Stage.WELL}:
                    MOVES["recovered" if ends_well else "crashed"](world)
            wanted = {Stage.WELL, Stage.FAILED} if ends_well else {Stage.FAILED}
            assert world.watch.stage in wanted, moves


@given(st.lists(st.sampled_from(sorted(MOVES)), max_size=60))
def test_long_histories(names: list[str]) -> None:
    world = World()
    for name in names:
        MOVES[name](world)
    if "asked" not in names and "a while" not in names:
        assert world.given_up <= 1, "without being asked it is not tried again"


def test_with_never_a_crash_is_final() -> None:
    world = World()
    effects = world.tell(on.Crashed("it fell", RestartPolicy.never()), policy=RestartPolicy.never())
    assert effects == (do.GiveUp("it fell", 1),)
    assert world.watch.stage is Stage.FAILED


@pytest.mark.parametrize("times", [(0.0, 0.0, 0.0), (0.0, 4.0, 9.9)])
def test_restarts_are_used_up_within_the_window(times: tuple[float, ...]) -> None:
    world = World()
    for at in times:
        world.now = at
        world.armed = None
        world.watch = replace(world.watch, stage=Stage.WELL)
        world.tell(on.Crashed("it fell", POLICY))
    assert world.watch.stage is Stage.FAILED
    world.tell(on.ActivateAsked())
    assert world.tell(on.Crashed("again", POLICY)) == (do.StartAfter(3, 1.0, 1, "again"),), "a fresh window"


def test_crashes_out_of_the_window_do_not_count() -> None:
    world = World()
    for at in range(0, 100, 6):
        world.now = float(at)
        effects = world.tell(on.Crashed("it fell", POLICY))
        assert isinstance(effects[0], do.StartAfter)
        world.fire()
        assert world.tell(on.Recovered())


def test_losses_are_not_its_fault_and_slow_down() -> None:
    world = World()
    delays: list[float] = []
    for _ in range(20):
        (effect,) = world.tell(on.Lost("the zygote died"))
        assert isinstance(effect, do.StartAfter)
        assert effect.attempt == 0
        delays.append(effect.delay)
        world.fire()
    assert delays[0] == 0.0
    assert delays == sorted(delays)
    assert delays[-1] == LONGEST_LOSS_DELAY
    assert world.tell(on.Recovered())
    assert world.tell(on.Crashed("now it is", POLICY)) == (do.StartAfter(21, 1.0, 1, "now it is"),)


def test_asked_for_while_it_waits_it_is_started_by_who_asks() -> None:
    world = World()
    world.tell(on.Crashed("it fell", POLICY))
    assert world.tell(on.ActivateAsked()) == (do.CancelTimer(),)
    assert world.tell(on.Recovered()) == (), "that is no restart of its own"
