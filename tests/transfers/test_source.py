"""The source machine by itself: timing, and the turns that the explorations leave out."""

from __future__ import annotations

import math

import pytest

from paglets.core.incarnation import Incarnation, TransferId
from paglets.persistence.records import MoveKind, Outcome, Outgoing, Phase
from paglets.runtime.transfers import effects as do
from paglets.runtime.transfers import events as on
from paglets.runtime.transfers.source import END_GRACE, LONGEST_ASK_DELAY, ask_delay, begin, resume, step
from paglets.runtime.transfers.source_move import SourceMove, Stage, Step

AT_TARGET = Incarnation(epoch=2)
TIMEOUT = 10.0
ARRIVED = on.VerdictReceived(Outcome.ARRIVED, AT_TARGET)
FENCED = on.VerdictReceived(Outcome.FENCED, AT_TARGET, "quota")


def leaving(kind: MoveKind = MoveKind.DISPATCH, was: Phase = Phase.ACTIVE) -> Outgoing:
    return Outgoing(TransferId("A", 1), kind, "B", "", "", AT_TARGET, was, b"", 0.0, TIMEOUT)


def play(first: Step, *happens: on.Event | tuple[on.Event, float]) -> Step:
    """The step that the last of the events makes; each at time 0 unless it says otherwise."""
    taken = first
    for item in happens:
        event, now = item if isinstance(item, tuple) else (item, 0.0)
        taken = step(taken.move, event, now)
    return taken


def begun(kind: MoveKind = MoveKind.DISPATCH, was: Phase = Phase.ACTIVE) -> Step:
    return begin("p", leaving(kind, was), now=0.0)


def sent(kind: MoveKind = MoveKind.DISPATCH, was: Phase = Phase.ACTIVE) -> Step:
    return play(begun(kind, was), on.PreparedWritten(), on.PayloadSent())


@pytest.mark.parametrize(
    "order", [(on.PreparedWritten(), on.PayloadSent()), (on.PayloadSent(), on.PreparedWritten())]
)
def test_the_trailer_leaves_when_prepared_is_durable_and_the_payload_is_sent(
    order: tuple[on.Event, ...],
) -> None:
    started = begun()
    assert started.effects == (do.WritePrepared(), do.StartStream())
    half = play(started, order[0])
    assert half.effects == ()
    whole = play(half, order[1])
    assert whole.effects == (do.SendTrailer(), do.Ask(after=TIMEOUT / 2))


def test_a_clone_is_journaled_before_its_first_byte_leaves() -> None:
    started = begun(MoveKind.CLONE)
    assert started.effects == (do.WritePrepared(),)
    assert play(started, on.PreparedWritten()).effects == (do.StartStream(),)


def test_a_move_that_arrives_ends_the_old_process_and_forwards_what_waited() -> None:
    settled = play(sent(), ARRIVED, on.SettlementWritten())
    assert settled.effects == (do.ForwardMessages(), do.EndProcess(END_GRACE), do.ReportMoved())
    assert settled.move.settled


def test_a_paglet_that_came_home_first_has_moved_all_the_same() -> None:
    settled = play(sent(), ARRIVED, on.SettlementRefused("newer life here", overtaken=True))
    assert settled.effects == (do.EndProcess(END_GRACE), do.ReportMoved())


@pytest.mark.parametrize(
    "why", [on.Refused("no room"), on.StreamLost("reset"), on.StopWanted("host stops"), on.DeadlinePassed()]
)
def test_before_the_trailer_the_source_takes_the_move_back_by_itself(why: on.Event) -> None:
    waiting = play(begun(), why)
    assert waiting.effects == (do.CloseStream(),)
    assert waiting.move.stage is Stage.STOPPING
    aborting = play(waiting, on.PreparedWritten())
    assert aborting.effects == (do.WriteAbort(process_alive=True),)
    done = play(aborting, on.AbortWritten())
    assert done.effects[0] == do.ResumeProcess()
    assert isinstance(done.effects[1], do.ReportFailed)
    assert done.move.settled


@pytest.mark.parametrize("why", [on.Refused("no room"), on.StreamLost("reset"), on.StopWanted("host stops")])
def test_after_the_trailer_only_a_signed_verdict_settles(why: on.Event) -> None:
    after = play(sent(), why)
    assert after.move.stage is Stage.SENT
    assert all(isinstance(effect, do.Ask) for effect in after.effects)


def test_fenced_in_time_the_process_goes_on() -> None:
    fencing = play(sent(), FENCED)
    assert fencing.effects == (do.WriteFenced(process_alive=True),)
    assert play(fencing, on.SettlementWritten()).effects == (do.ResumeProcess(), do.ReportFailed("quota"))


def test_past_the_deadline_the_process_is_ended_and_never_returned_into() -> None:
    late = play(sent(), (on.DeadlinePassed(), TIMEOUT))
    assert do.EndProcess(grace=0.0) in late.effects
    assert any(isinstance(effect, do.ReportInDoubt) for effect in late.effects)
    fencing = play(late, FENCED)
    assert fencing.effects == (do.WriteFenced(process_alive=False),)
    assert play(fencing, on.SettlementWritten()).effects == (do.RestartProcess(), do.ReportFailed("quota"))


def test_a_process_that_died_while_its_abort_was_written_is_recovered() -> None:
    aborting = play(begun(), on.PreparedWritten(), on.StreamLost("reset"))
    done = play(aborting, on.ProcessEnded(), on.AbortWritten())
    assert done.effects[0] == do.RecoverProcess()


def test_a_clone_and_a_parked_paglet_have_no_process_to_end_or_to_resume() -> None:
    for kind, was in ((MoveKind.CLONE, Phase.ACTIVE), (MoveKind.DISPATCH, Phase.INACTIVE)):
        late = play(sent(kind, was), (on.DeadlinePassed(), TIMEOUT))
        assert not any(isinstance(effect, do.EndProcess) for effect in late.effects)
        assert play(late, FENCED, on.SettlementWritten()).effects == (do.ReportFailed("quota"),)
        assert play(sent(kind, was), ARRIVED, on.SettlementWritten()).effects == (
            do.ForwardMessages(),
            do.ReportMoved(),
        )


def test_after_a_restart_it_asks_until_it_is_answered_with_growing_pauses() -> None:
    taken_up = resume("p", leaving())
    assert taken_up.effects[-1] == do.Ask(after=0.0)
    assert taken_up.move.deadline == math.inf
    move, pauses = taken_up.move, list[float]()
    for _ in range(12):
        asked = step(move, on.AskFailed("unreachable"), 1e6)
        move = asked.move
        pauses += [effect.after for effect in asked.effects if isinstance(effect, do.Ask)]
    assert pauses == sorted(pauses)
    assert pauses[0] < 1.0
    assert pauses[-1] == LONGEST_ASK_DELAY
    seen = step(move, on.TargetSeen(), 1e6)
    assert seen.effects == (do.Ask(after=0.0),)
    assert ask_delay(10_000) == LONGEST_ASK_DELAY


def test_a_target_that_is_heard_while_its_answer_is_awaited_is_not_asked_early() -> None:
    """Asking would make FENCED of an envelope that the target is about to accept."""
    assert play(sent(), on.TargetSeen()).effects == ()


@pytest.mark.parametrize(
    "word", [on.ClosedReceived(7), on.VerdictReceived(Outcome.ARRIVED, Incarnation(epoch=9))]
)
def test_a_target_that_remembers_otherwise_parks_the_move_for_an_operator(word: on.Event) -> None:
    parked = play(sent(), word)
    assert parked.move.stage is Stage.PARKED
    assert not parked.move.settled
    assert isinstance(parked.effects[-1], do.ReportParked)
    assert play(parked, FENCED).effects == ()


def test_a_full_disk_while_settling_means_to_ask_and_to_write_again() -> None:
    full = play(sent(), ARRIVED, on.SettlementRefused("disk full", overtaken=False))
    assert isinstance(full.effects[0], do.Ask)
    assert play(full, ARRIVED, on.SettlementWritten()).move.stage is Stage.MOVED


def test_a_full_disk_at_the_abort_leaves_it_to_the_target_and_to_the_deadline() -> None:
    aborting = play(begun(), on.PreparedWritten(), (on.DeadlinePassed(), TIMEOUT))
    refused = play(aborting, (on.AbortRefused("disk full"), TIMEOUT))
    assert do.EndProcess(grace=0.0) in refused.effects
    assert isinstance(refused.effects[-1], do.Ask)
    assert play(refused, FENCED).effects == (do.WriteFenced(process_alive=False),)


def test_a_store_that_cannot_say_whether_it_wrote_prepared_keeps_the_transfer_open() -> None:
    for before in ((), (on.StreamLost("reset"),)):
        unknown = play(begun(), *before, on.PreparedUnknown("sync failed"))
        assert unknown.move.stage is Stage.SENT
        assert not unknown.move.settled
        assert isinstance(unknown.effects[-1], do.Ask)
        assert do.SendTrailer() not in unknown.effects


def test_a_prepared_that_was_refused_means_that_nothing_happened() -> None:
    refused = play(begun(), on.PreparedRefused("disk full"))
    assert refused.effects == (do.CloseStream(), do.ResumeProcess(), do.ReportFailed("disk full"))


ALL_EVENTS: list[on.Event] = [
    on.PreparedWritten(),
    on.PreparedRefused("r"),
    on.PreparedUnknown("r"),
    on.PayloadSent(),
    on.Refused("r"),
    on.StreamLost("r"),
    on.StopWanted("r"),
    on.AbortWritten(),
    on.AbortRefused("r"),
    ARRIVED,
    FENCED,
    on.ClosedReceived(9),
    on.AskFailed("r"),
    on.TargetSeen(),
    on.DeadlinePassed(),
    on.ProcessEnded(),
    on.SettlementWritten(),
    on.SettlementRefused("r", overtaken=True),
    on.SettlementRefused("r", overtaken=False),
    on.CameHome(),
    on.AdoptionWanted(),
    on.AdoptionWritten(),
    on.AdoptionRefused("r"),
    on.GaveWay(abandoned=True),
    on.GaveWay(abandoned=False),
]


def in_doubt(kind: MoveKind = MoveKind.DISPATCH, was: Phase = Phase.ACTIVE) -> Step:
    return resume("p", leaving(kind, was))


def test_what_is_in_doubt_can_be_adopted_and_starts_again_once_that_is_durable() -> None:
    wanted = play(in_doubt(), on.AdoptionWanted())
    assert wanted.effects == (do.WriteAdopted(),)
    done = play(wanted, ARRIVED, FENCED, on.AdoptionWritten())
    assert done.effects == (do.RestartProcess(), do.ReportAdopted())
    assert done.move.over
    assert not done.move.settled, "its transfer stays open, abandoned"
    parked = play(in_doubt(was=Phase.INACTIVE), on.AdoptionWanted(), on.AdoptionWritten())
    assert parked.effects == (do.ReportAdopted(),)


def test_what_asking_cannot_settle_can_be_adopted_too() -> None:
    closed = play(in_doubt(), on.ClosedReceived(9))
    assert closed.move.stage is Stage.PARKED
    assert play(closed, on.AdoptionWanted()).effects == (do.WriteAdopted(),)


@pytest.mark.parametrize("first", [begun(), sent(), in_doubt(MoveKind.CLONE), play(in_doubt(), ARRIVED)])
def test_what_is_not_in_doubt_and_clones_cannot_be_adopted(first: Step) -> None:
    refused = play(first, on.AdoptionWanted())
    assert [type(effect) for effect in refused.effects] == [do.RefuseAdoption]
    assert refused.move == first.move


def test_an_adoption_that_could_not_be_written_is_refused_and_the_target_asked_on() -> None:
    failed = play(in_doubt(), on.AdoptionWanted(), on.AdoptionRefused("disk full"))
    assert [type(effect) for effect in failed.effects] == [do.RefuseAdoption, do.Ask]
    assert failed.move.stage is Stage.SENT


@pytest.mark.parametrize("abandoned", [True, False])
def test_a_move_whose_copy_gave_way_ends_its_process_and_keeps_an_abandoned_transfer_open(
    abandoned: bool,
) -> None:
    over = play(sent(), on.GaveWay(abandoned=abandoned))
    assert over.effects == (do.CloseStream(), do.EndProcess(0.0), do.ReportGaveWay())
    assert over.move.over
    assert over.move.settled is not abandoned


def test_a_paglet_that_is_home_again_ends_an_adoption_that_comes_too_late() -> None:
    home = play(in_doubt(), on.AdoptionWanted(), on.CameHome())
    assert home.move.stage is Stage.MOVED
    parked = play(in_doubt(), on.ClosedReceived(9), on.CameHome())
    assert parked.effects == (do.WriteArrived(),)


@pytest.mark.parametrize("overtaken", [True, False])
def test_a_paglet_that_comes_home_while_a_forgetful_target_is_believed_has_moved(overtaken: bool) -> None:
    """A walk found its move parked for good, and the paglet, which is here, not started again after a crash."""
    home = play(in_doubt(), FENCED, on.CameHome(), on.SettlementRefused("newer life here", overtaken))
    assert home.move.stage is Stage.MOVED
    assert home.effects == (do.ReportMoved(),)


def test_no_event_at_any_time_makes_an_ended_move_do_anything() -> None:
    seen: set[SourceMove] = set()
    waiting = [begun().move, begun(MoveKind.CLONE).move, resume("p", leaving()).move]
    while waiting:
        move = waiting.pop()
        if move in seen or move.failed_asks > 3:
            continue
        seen.add(move)
        for event in ALL_EVENTS:
            for now in (0.0, TIMEOUT):
                after = step(move, event, now)
                if move.over:
                    assert after.effects == () or isinstance(event, on.AdoptionWanted)
                    assert after.move.stage is move.stage
                waiting.append(after.move)
    assert {move.stage for move in seen} == set(Stage)
