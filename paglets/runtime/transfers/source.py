"""The source's side of one move as a machine: dispatch, retract and clone, of active and parked paglets.

::

    begin ──▶ STREAMING ──trailer──▶ SENT ──ARRIVED──▶ ARRIVING ──synced──▶ MOVED
                 │                   ▲ │ ▲──────────────── store full ────┘
              stop│          resume ─┘ ├──FENCED───▶ FENCING ──synced──▶ FAILED
                 ▼                     ├──CLOSED───▶ PARKED
                 │                     └──in doubt, or PARKED: an operator adopts──▶ ADOPTING ──synced──▶ ADOPTED
              STOPPING ──PREPARED synced──▶ ABORTING ──synced──▶ FAILED

    any ──a copy of a higher lineage was met──▶ GAVE_WAY

The rules and their reasons are in ``docs/protocol.md``. `step` never changes a move in place and does no
I/O; an event that a stage has no use for (it came late, or twice) leaves the move as it is.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from paglets.persistence.records import MoveKind, Outcome, Phase
from paglets.runtime.transfers import effects as do
from paglets.runtime.transfers import events as on
from paglets.runtime.transfers.source_move import SourceMove, Stage, Step

if TYPE_CHECKING:
    from collections.abc import Callable

    from paglets.persistence.records import Outgoing

END_GRACE = 5.0
"""Seconds that the old process has to end by itself once its paglet has moved."""
FIRST_ASK_DELAY, LONGEST_ASK_DELAY = 0.25, 30.0
"""Bounds of the pause before the target is asked again, in seconds."""


def begin(agent_id: str, outgoing: Outgoing, *, now: float) -> Step:
    """Start a move; the mailbox is paused, the state taken, and the transfer id held open in memory.

    PREPARED is written while the payload streams. A clone is journaled first: its id exists nowhere else.
    """
    active = outgoing.was is Phase.ACTIVE and outgoing.kind is not MoveKind.CLONE
    move = SourceMove(
        agent_id=agent_id,
        transfer_id=outgoing.transfer_id,
        kind=outgoing.kind,
        incarnation=outgoing.incarnation,
        deadline=now + outgoing.timeout,
        stage=Stage.STREAMING,
        has_process=active,
        restarts=active,
    )
    if outgoing.kind is MoveKind.CLONE:
        return Step(move, (do.WritePrepared(),))
    return Step(move, (do.WritePrepared(), do.StartStream()))


def resume(agent_id: str, outgoing: Outgoing) -> Step:
    """Take up a transfer that the journal holds PREPARED after a restart: it is in doubt, so ask."""
    reason = "its host stopped while it was moving"
    move = SourceMove(
        agent_id=agent_id,
        transfer_id=outgoing.transfer_id,
        kind=outgoing.kind,
        incarnation=outgoing.incarnation,
        deadline=math.inf,
        stage=Stage.SENT,
        has_process=False,
        restarts=outgoing.was is Phase.ACTIVE and outgoing.kind is not MoveKind.CLONE,
        prepared=True,
        payload_sent=True,
        in_doubt=True,
        reason=reason,
    )
    return Step(move, (do.ReportInDoubt(reason), do.Ask(after=0.0)))


def step(move: SourceMove, event: on.Event, now: float) -> Step:
    """What ``event``, at ``now``, makes of ``move``, and what is to be done about it."""
    if isinstance(event, on.ProcessEnded):
        return Step(replace(move, has_process=False))
    if isinstance(event, on.AdoptionWanted):
        return _adopt(move)
    if isinstance(event, on.GaveWay):
        return _gave_way(move, event)
    if isinstance(event, on.CameHome):
        return _came_home(move)
    handler = _HANDLERS.get(move.stage)
    return handler(move, event, now) if handler else Step(move)


def ask_delay(failed_asks: int) -> float:
    """Seconds to wait before asking again: doubled each time, within its bounds."""
    return min(LONGEST_ASK_DELAY, FIRST_ASK_DELAY * 2 ** min(failed_asks, 16))


def _streaming(move: SourceMove, event: on.Event, now: float) -> Step:
    match event:
        case on.PreparedWritten() if not move.prepared:
            stream = (do.StartStream(),) if move.kind is MoveKind.CLONE else ()
            return _trailer_if_due(replace(move, prepared=True), stream, now)
        case on.PayloadSent():
            return _trailer_if_due(replace(move, payload_sent=True), (), now)
        case on.PreparedRefused() | on.PreparedUnknown():
            return _not_prepared(move, event, now)
        case on.Refused(reason) | on.StreamLost(reason) | on.StopWanted(reason):
            return _take_back(move, reason)
        case on.DeadlinePassed():
            return _take_back(move, "the ticket's time was over before all of it was sent")
        case _:
            return Step(move)


def _trailer_if_due(move: SourceMove, first: tuple[do.Effect, ...], now: float) -> Step:
    if not (move.prepared and move.payload_sent):
        return Step(move, first)
    # The answer comes on the stream; half of the time that is left is kept for asking, should it not come.
    patience = max(0.0, (move.deadline - now) / 2)
    return Step(replace(move, stage=Stage.SENT), (do.SendTrailer(), do.Ask(after=patience)))


def _take_back(move: SourceMove, reason: str) -> Step:
    move = replace(move, reason=reason)
    if not move.prepared:
        return Step(replace(move, stage=Stage.STOPPING), (do.CloseStream(),))
    then = _abort(move)
    return Step(then.move, (do.CloseStream(), *then.effects))


def _stopping(move: SourceMove, event: on.Event, now: float) -> Step:
    match event:
        case on.PreparedWritten():
            return _abort(replace(move, prepared=True))
        case on.PreparedRefused() | on.PreparedUnknown():
            return _not_prepared(move, event, now)
        case _:
            return Step(move)


def _not_prepared(move: SourceMove, event: on.PreparedRefused | on.PreparedUnknown, now: float) -> Step:
    move = replace(move, reason=move.reason or event.reason)
    if isinstance(event, on.PreparedRefused):
        return _did_not_move(replace(move, wrote_alive=True), (do.CloseStream(),))
    # It may stand in the journal, so the id stays open: a floor that passed it would close the only way
    # to settle it after the restart.
    asking = _ask_again(move, now)
    return Step(asking.move, (do.CloseStream(), *asking.effects))


def _abort(move: SourceMove) -> Step:
    alive = move.has_process
    return Step(replace(move, stage=Stage.ABORTING, wrote_alive=alive), (do.WriteAbort(alive),))


def _aborting(move: SourceMove, event: on.Event, now: float) -> Step:
    match event:
        case on.AbortWritten():
            return _did_not_move(move)
        case on.AbortRefused(reason):
            # PREPARED stands. No trailer left, so the target will fence it: asking settles this, too.
            return _ask_again(replace(move, reason=reason), now)
        case _:
            return Step(move)


def _did_not_move(move: SourceMove, first: tuple[do.Effect, ...] = ()) -> Step:
    effects = list(first)
    if move.restarts:
        if not move.wrote_alive:
            effects.append(do.RestartProcess())
        elif move.has_process:
            effects.append(do.ResumeProcess())
        else:
            effects.append(do.RecoverProcess())
    effects.append(do.ReportFailed(move.reason))
    return Step(replace(move, stage=Stage.FAILED), tuple(effects))


def _sent(move: SourceMove, event: on.Event, now: float) -> Step:
    match event:
        case on.VerdictReceived():
            return _settle(move, event)
        case on.ClosedReceived(floor):
            return _park(move, f"the target has been told that all transfers below {floor} are settled")
        case on.DeadlinePassed():
            return _in_doubt(move)
        case _:
            return _no_answer(move, event, now)


def _no_answer(move: SourceMove, event: on.Event, now: float) -> Step:
    match event:
        case on.Refused() | on.StreamLost():
            return Step(move, (do.Ask(after=0.0),))
        case on.AskFailed(reason):
            return _ask_again(replace(move, reason=reason), now)
        case on.TargetSeen() if move.failed_asks:
            return Step(replace(move, failed_asks=0), (do.Ask(after=0.0),))
        case _:
            return Step(move)


def _settle(move: SourceMove, verdict: on.VerdictReceived) -> Step:
    if verdict.incarnation != move.incarnation:
        return _park(move, f"the target knows this transfer as one of life {verdict.incarnation}")
    if verdict.outcome is Outcome.ARRIVED:
        return Step(replace(move, stage=Stage.ARRIVING), (do.WriteArrived(),))
    alive = move.has_process
    fencing = replace(move, stage=Stage.FENCING, wrote_alive=alive, reason=verdict.reason)
    return Step(fencing, (do.WriteFenced(alive),))


def _ask_again(move: SourceMove, now: float) -> Step:
    delay = ask_delay(move.failed_asks)
    move = replace(move, stage=Stage.SENT, failed_asks=move.failed_asks + 1)
    if now >= move.deadline and not move.in_doubt:
        said = _in_doubt(move)
        return Step(said.move, (*said.effects[:-1], do.Ask(after=delay)))
    return Step(move, (do.Ask(after=delay),))


def _in_doubt(move: SourceMove) -> Step:
    """Stop waiting: the handler that asked for the move is not returned into, its process is ended."""
    if move.in_doubt:
        return Step(move)
    reason = move.reason or "the target has not answered in the ticket's time"
    end = (do.EndProcess(grace=0.0),) if move.has_process else ()
    # From here on the process does not count as alive, however long it takes to die.
    move = replace(move, in_doubt=True, has_process=False)
    return Step(move, (do.CloseStream(), *end, do.ReportInDoubt(reason), do.Ask(after=0.0)))


def _park(move: SourceMove, why: str) -> Step:
    reason = f"{why}: the store of one of the two hosts was restored from a copy"
    end = (do.EndProcess(grace=0.0),) if move.has_process else ()
    parked = replace(move, stage=Stage.PARKED, has_process=False, in_doubt=True, reason=reason)
    return Step(parked, (do.CloseStream(), *end, do.ReportParked(reason)))


def _arriving(move: SourceMove, event: on.Event, now: float) -> Step:
    match event:
        case on.SettlementWritten():
            return _moved(move, (do.ForwardMessages(),))
        case on.SettlementRefused(reason, overtaken):
            if overtaken or move.home:
                # It came home before this host had noted that it had left: the arrival has closed the transfer.
                return _moved(move, ())
            return _ask_again(replace(move, reason=reason), now)
        case _:
            return Step(move)


def _moved(move: SourceMove, first: tuple[do.Effect, ...]) -> Step:
    end = (do.EndProcess(END_GRACE),) if move.has_process else ()
    return Step(replace(move, stage=Stage.MOVED), (*first, *end, do.ReportMoved()))


def _fencing(move: SourceMove, event: on.Event, now: float) -> Step:
    match event:
        case on.SettlementWritten():
            return _did_not_move(move)
        case on.SettlementRefused() if move.home:
            return _moved(move, ())  # a target whose store was restored has forgotten that it had arrived
        case on.SettlementRefused(reason, overtaken=True):
            return _park(move, reason)
        case on.SettlementRefused(reason):
            return _ask_again(replace(move, reason=reason), now)
        case _:
            return Step(move)


def _adopt(move: SourceMove) -> Step:
    if move.stage is not Stage.PARKED and not (move.stage is Stage.SENT and move.in_doubt):
        return Step(move, (do.RefuseAdoption("its move is not in doubt"),))
    if move.kind is MoveKind.CLONE:
        return Step(move, (do.RefuseAdoption("it is a clone that may never have existed"),))
    return Step(replace(move, stage=Stage.ADOPTING), (do.WriteAdopted(),))


def _adopting(move: SourceMove, event: on.Event, now: float) -> Step:
    match event:
        case on.AdoptionWritten():
            adopted = replace(move, stage=Stage.ADOPTED)
            restart = (do.RestartProcess(),) if move.restarts else ()
            return Step(adopted, (*restart, do.ReportAdopted()))
        case on.AdoptionRefused(reason):
            # One that was parked is told CLOSED again.
            refused = do.RefuseAdoption(reason)
            asking = _ask_again(replace(move, reason=reason), now)
            return Step(asking.move, (refused, *asking.effects))
        case _:
            return Step(move)


def _gave_way(move: SourceMove, event: on.GaveWay) -> Step:
    if move.over:
        return Step(move)
    end = (do.EndProcess(grace=0.0),) if move.has_process else ()
    over = replace(move, stage=Stage.GAVE_WAY, has_process=False, prepared=event.abandoned)
    return Step(over, (do.CloseStream(), *end, do.ReportGaveWay()))


def _came_home(move: SourceMove) -> Step:
    # To ask would be too late: the floor may pass the transfer now. The write finds itself overtaken.
    match move.stage:
        case Stage.SENT | Stage.PARKED:
            return Step(replace(move, stage=Stage.ARRIVING, home=True), (do.WriteArrived(),))
        case Stage.ADOPTING:
            return _moved(move, ())
        case _:
            return Step(move if move.over else replace(move, home=True))


_HANDLERS: dict[Stage, Callable[[SourceMove, on.Event, float], Step]] = {
    Stage.STREAMING: _streaming,
    Stage.STOPPING: _stopping,
    Stage.ABORTING: _aborting,
    Stage.SENT: _sent,
    Stage.ARRIVING: _arriving,
    Stage.FENCING: _fencing,
    Stage.ADOPTING: _adopting,
}
