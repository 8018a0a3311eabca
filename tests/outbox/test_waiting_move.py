"""The machine of one paglet in the outbox, step by step."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from paglets.runtime.outbox import waiting_move as machine
from paglets.runtime.outbox.machine import FIRST_PAUSE, LONGEST_PAUSE
from paglets.runtime.outbox.waiting_move import Stage, WaitingMove, begin, step

EXPIRES = 1000.0


def at(stage: Stage, **known: object) -> WaitingMove:
    return replace(WaitingMove(EXPIRES, stage), **known)


def test_it_dials_moves_and_is_over_when_it_has_gone() -> None:
    begun = begin(EXPIRES, 0.0)
    assert begun.effect == machine.Reach()
    moving = step(begun.move, machine.Present(), 0.0)
    assert (moving.move.stage, moving.effect) == (Stage.MOVING, machine.Move())
    over = step(moving.move, machine.Gone(), 0.0)
    assert (over.move.stage, over.effect) == (Stage.OVER, None)


def test_pauses_grow_while_the_host_is_away_and_end_with_news_of_one() -> None:
    move, pauses = begin(EXPIRES, 0.0).move, list[float]()
    for _ in range(10):
        after = step(move, machine.Absent("away"), 0.0)
        assert isinstance(after.effect, machine.Pause)
        assert after.effect.heeds_news
        pauses.append(after.effect.seconds)
        move = step(after.move, machine.Due(), 0.0).move
    assert pauses[:3] == [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE]
    assert pauses[-1] == LONGEST_PAUSE


def test_no_pause_goes_beyond_its_time() -> None:
    after = step(at(Stage.REACHING, pause=30.0), machine.Absent("away"), EXPIRES - 2.0)
    assert after.effect == machine.Pause(2.0)
    late = step(after.move, machine.Due(), EXPIRES)
    assert late.effect == machine.GiveBack(f"{machine.EXPIRED}: away")


def test_what_is_refused_again_and_again_is_given_back() -> None:
    move = begin(EXPIRES, 0.0).move
    for count in range(1, machine.MAX_REFUSALS):
        move = step(move, machine.Present(), 0.0).move
        after = step(move, machine.Refused("full"), 0.0)
        assert isinstance(after.effect, machine.Pause), count
        assert not after.effect.heeds_news, "other hosts have nothing to do with it"
        move = step(after.move, machine.Due(), 0.0).move
    move = step(move, machine.Present(), 0.0).move
    assert step(move, machine.Refused("full"), 0.0).effect == machine.GiveBack("full")


def test_a_host_that_goes_away_again_starts_the_count_anew() -> None:
    move = at(Stage.MOVING, refusals=machine.MAX_REFUSALS - 1)
    assert step(move, machine.Absent("away"), 0.0).move.refusals == 0


def test_doubt_is_waited_for_however_long_it_lasts() -> None:
    doubtful = step(at(Stage.MOVING), machine.InDoubt("no answer"), 0.0)
    assert doubtful.effect == machine.AwaitVerdict()
    assert step(doubtful.move, machine.Due(), 2 * EXPIRES).effect is None
    back = step(doubtful.move, machine.Back(), 2 * EXPIRES)
    assert isinstance(back.effect, machine.Pause)
    assert isinstance(step(back.move, machine.Due(), 2 * EXPIRES).effect, machine.GiveBack)


def test_a_store_that_takes_nothing_is_tried_again() -> None:
    after = step(at(Stage.GIVING_BACK), machine.NotWritten("disk full"), 2 * EXPIRES)
    assert isinstance(after.effect, machine.Pause)
    assert after.effect.seconds > 0
    again = step(after.move, machine.Due(), 2 * EXPIRES)
    assert isinstance(again.effect, machine.GiveBack)
    assert step(again.move, machine.Written(), 2 * EXPIRES).move.stage is Stage.OVER


@pytest.mark.parametrize(
    "event", [machine.Present(), machine.Absent(""), machine.Refused(""), machine.Back()]
)
def test_an_event_at_another_time_changes_nothing(event: machine.Event) -> None:
    paused = at(Stage.PAUSING)
    assert step(paused, event, 0.0) == machine.Step(paused)
