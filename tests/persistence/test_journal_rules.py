"""Each rule of the journal by itself: what it writes, and what makes it refuse without writing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from msgspec.structs import replace

from paglets.core.incarnation import Incarnation, Lineage, TransferId
from paglets.persistence.journal import (
    arrivals,
    counters,
    forgetting,
    lifecycle,
    moves,
    peers,
    queues,
)
from paglets.persistence.journal.arrivals import Closed, Crossing, Decided, Unsure
from paglets.persistence.journal.conflict import JournalConflict
from paglets.persistence.journal.peers import Standing
from paglets.persistence.memory import MemoryJournal
from paglets.persistence.records import (
    BlobRef,
    Forward,
    HookKind,
    LastStop,
    MoveKind,
    Outcome,
    Outgoing,
    PagletRecord,
    PeerRecord,
    PendingHook,
    Phase,
    QueuedRecord,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from paglets.persistence.transaction import JournalTransaction

T = TypeVar("T")
HERE, THERE = "here", "there"
FIRST, SECOND, THIRD = Incarnation(epoch=1), Incarnation(epoch=2), Incarnation(epoch=3)
OLD, NEW = BlobRef(b"old", 3), BlobRef(b"new", 3)
MESSAGE = QueuedRecord("m", b"{}", oneway=True, queued_at=0.0)
TRANSFER = TransferId(HERE, 1)


def paglet(phase: Phase = Phase.ACTIVE, incarnation: Incarnation = FIRST, **fields: Any) -> PagletRecord:
    record = PagletRecord("p", HERE, phase, incarnation, "app:P", "app:S", state=OLD)
    return replace(record, **fields)


def outgoing(**fields: Any) -> Outgoing:
    leaving = Outgoing(
        TRANSFER, MoveKind.DISPATCH, THERE, "https://there", "There", SECOND, Phase.ACTIVE, b"h", 0.0, 10.0
    )
    return replace(leaving, **fields)


def journal(*records: PagletRecord) -> MemoryJournal:
    made = MemoryJournal()
    for record in records:
        made.commit(lambda tx, record=record: tx.put_paglet(record))
    return made


def stored(held: MemoryJournal, agent_id: str = "p") -> PagletRecord | None:
    return held.commit(lambda tx: tx.paglet(agent_id))


def refuses(held: MemoryJournal, rule: Callable[[JournalTransaction], object]) -> JournalConflict:
    before = held.snapshot()
    with pytest.raises(JournalConflict) as caught:
        held.commit(rule)
    assert held.snapshot() == before, "a conflict writes nothing"
    return caught.value


def prepared(**fields: Any) -> MemoryJournal:
    held = journal(paglet())
    held.commit(lambda tx: moves.prepare(tx, "p", FIRST, outgoing(**fields), state=NEW, at=0.0))
    return held


# --- one host


def test_an_id_is_taken_until_its_paglet_is_disposed_of_and_then_goes_on_above_the_tombstone() -> None:
    born = paglet(pending=PendingHook(HookKind.CREATION))
    held = journal()
    held.commit(lambda tx: lifecycle.create(tx, born))
    conflict = refuses(held, lambda tx: lifecycle.create(tx, born))
    assert "taken" in str(conflict)
    held.commit(lambda tx: lifecycle.dispose(tx, "p", FIRST, at=0.0))
    assert held.commit(lambda tx: lifecycle.create(tx, born)).incarnation == SECOND


STEPS: list[Callable[[JournalTransaction], object]] = [
    lambda tx: lifecycle.checkpoint(tx, "p", FIRST, NEW, at=0.0),
    lambda tx: lifecycle.complete_hook(tx, "p", FIRST, state=None, at=0.0),
    lambda tx: lifecycle.mark_failed(tx, "p", FIRST, "why", at=0.0),
    lambda tx: lifecycle.deactivate(tx, "p", FIRST, state=NEW, policy={}, request={}, at=0.0),
    lambda tx: lifecycle.recover(tx, "p", FIRST, event={}, at=0.0),
    lambda tx: lifecycle.activate(tx, "p", FIRST, event={}, at=0.0),
    lambda tx: lifecycle.move_here(tx, "p", FIRST, state=NEW, event={}, at=0.0),
    lambda tx: lifecycle.dispose(tx, "p", FIRST, at=0.0),
    lambda tx: moves.prepare(tx, "p", FIRST, outgoing(), state=NEW, at=0.0),
]


@pytest.mark.parametrize("rule", STEPS)
@pytest.mark.parametrize(
    "record",
    [
        None,
        paglet(incarnation=SECOND),
        paglet(Phase.INACTIVE, SECOND),
        paglet(Phase.PREPARED, FIRST, outgoing=outgoing()),
        paglet(Phase.DEPARTED, FIRST, state=None, forward=Forward(THERE, "", "", SECOND, 0.0)),
        paglet(Phase.TOMBSTONE, FIRST, state=None),
    ],
)
def test_a_step_of_a_life_that_is_over_changes_nothing(
    rule: Callable[[JournalTransaction], object], record: PagletRecord | None
) -> None:
    held = journal(record) if record else journal()
    assert refuses(held, rule).record == record


def test_a_hook_runs_again_after_a_restart_until_it_has_returned_once() -> None:
    arrival = PendingHook(HookKind.ARRIVAL, {"source_host_name": "There"})
    held = journal(paglet(pending=arrival))
    again = held.commit(lambda tx: lifecycle.recover(tx, "p", FIRST, event={"reason": "recovered"}, at=0.0))
    assert (again.record.incarnation, again.record.pending) == (SECOND, arrival)
    held.commit(lambda tx: lifecycle.complete_hook(tx, "p", SECOND, state=NEW, at=0.0))
    after = held.commit(lambda tx: lifecycle.recover(tx, "p", SECOND, event={"reason": "recovered"}, at=0.0))
    assert after.record.pending == PendingHook(HookKind.ACTIVATION, {"reason": "recovered"})
    assert after.record.state == NEW


def test_waking_hands_over_what_waited_and_keeps_it_until_it_is_handled() -> None:
    held = journal(paglet(Phase.INACTIVE))
    assert held.commit(lambda tx: queues.enqueue(tx, "p", MESSAGE))
    assert not held.commit(lambda tx: queues.enqueue(tx, "p", MESSAGE)), "the same message waits once"
    started = held.commit(lambda tx: lifecycle.activate(tx, "p", FIRST, event={}, at=0.0))
    assert started.messages == (MESSAGE,)
    assert started.record.incarnation == SECOND
    recovered = held.commit(lambda tx: lifecycle.recover(tx, "p", SECOND, event={}, at=0.0))
    assert recovered.messages == (MESSAGE,), "the child died before it handled it"
    held.commit(lambda tx: queues.take_message(tx, "p", "m"))
    assert not held.commit(lambda tx: list(tx.queued("p")))


def test_a_failed_paglet_is_not_moved_but_started_again() -> None:
    held = journal(paglet())
    held.commit(lambda tx: lifecycle.mark_failed(tx, "p", FIRST, "hook raised", at=0.0))
    assert "failed" in str(
        refuses(held, lambda tx: moves.prepare(tx, "p", FIRST, outgoing(), state=NEW, at=0.0))
    )
    started = held.commit(lambda tx: lifecycle.recover(tx, "p", FIRST, event={}, at=0.0))
    assert not started.record.failed


def test_a_resident_service_is_never_moved() -> None:
    held = journal(paglet(host_scoped=True))
    refuses(held, lambda tx: moves.prepare(tx, "p", FIRST, outgoing(), state=NEW, at=0.0))
    refuses(held, lambda tx: lifecycle.move_here(tx, "p", FIRST, state=NEW, event={}, at=0.0))


# --- the source


def test_fenced_while_its_process_lives_it_goes_on_in_its_epoch() -> None:
    held = prepared()
    back = held.commit(
        lambda tx: moves.settle_fenced(tx, "p", TRANSFER, SECOND, process_alive=True, event={}, at=0.0)
    )
    assert back is not None
    assert (back.record.phase, back.record.incarnation, back.record.outgoing) == (Phase.ACTIVE, FIRST, None)


def test_fenced_after_its_process_ended_it_starts_one_epoch_on_from_the_prepared_state() -> None:
    event = {"reason": "recovered"}
    held = prepared()
    back = held.commit(
        lambda tx: moves.settle_fenced(tx, "p", TRANSFER, SECOND, process_alive=False, event=event, at=0.0)
    )
    assert back is not None
    assert (back.record.phase, back.record.incarnation, back.record.state) == (Phase.ACTIVE, SECOND, NEW)
    assert back.record.pending == PendingHook(HookKind.ACTIVATION, event)


def test_a_parked_paglet_moves_as_a_record_and_goes_back_to_being_parked() -> None:
    policy = {"activate_on_message": False}
    held = journal(paglet(Phase.INACTIVE, policy=policy))
    leaving = outgoing(was=Phase.INACTIVE)
    held.commit(lambda tx: moves.prepare(tx, "p", FIRST, leaving, state=None, at=0.0))
    back = held.commit(lambda tx: moves.abort(tx, "p", TRANSFER, process_alive=False, event={}, at=0.0))
    assert back is not None
    assert back.record == paglet(Phase.INACTIVE, policy=policy)


def test_a_verdict_on_another_transfer_or_another_life_settles_nothing() -> None:
    held = prepared()
    other = TransferId(HERE, 2)
    refuses(held, lambda tx: moves.settle_arrived(tx, "p", other, SECOND, at=0.0))
    refuses(held, lambda tx: moves.settle_arrived(tx, "p", TRANSFER, THIRD, at=0.0))
    refuses(held, lambda tx: moves.abort(tx, "p", other, process_alive=True, event={}, at=0.0))


def test_arrived_leaves_a_forward_and_the_messages_that_have_to_follow() -> None:
    held = prepared()
    held.commit(lambda tx: queues.enqueue(tx, "p", MESSAGE))
    stop = LastStop(b"header", b"receipt")
    gone = held.commit(lambda tx: moves.settle_arrived(tx, "p", TRANSFER, SECOND, at=7.0, last_stop=stop))
    assert gone.record is not None
    assert gone.record.last_stop == stop
    assert gone.record.forward == Forward(THERE, "https://there", "There", SECOND, 7.0)
    assert gone.record.state is None
    assert gone.messages == (MESSAGE,)
    refuses(held, lambda tx: queues.hand_on(tx, "p", THIRD, MESSAGE))
    other = replace(MESSAGE, message=b"the same one, which has come back")
    assert held.commit(lambda tx: queues.hand_on(tx, "p", SECOND, other)) is False
    assert held.commit(lambda tx: queues.hand_on(tx, "p", SECOND, MESSAGE)) is True
    assert not held.commit(lambda tx: list(tx.queued("p")))


@pytest.mark.parametrize("outcome", Outcome)
def test_whatever_becomes_of_a_clone_its_source_keeps_only_the_original(outcome: Outcome) -> None:
    leaving = outgoing(kind=MoveKind.CLONE, incarnation=FIRST)
    clone = paglet(Phase.PREPARED, Incarnation(epoch=0), agent_id="clone", outgoing=leaving)
    held = journal(paglet())
    held.commit(lambda tx: moves.prepare_clone(tx, clone))
    refuses(held, lambda tx: queues.enqueue(tx, "clone", MESSAGE))
    if outcome is Outcome.ARRIVED:
        held.commit(lambda tx: moves.settle_arrived(tx, "clone", TRANSFER, FIRST, at=0.0))
    else:
        held.commit(
            lambda tx: moves.settle_fenced(tx, "clone", TRANSFER, FIRST, process_alive=True, event={}, at=0.0)
        )
    assert stored(held, "clone") is None
    assert stored(held) == paglet()


# --- the target

CROSSING = Crossing(TransferId(THERE, 5), "p", SECOND)


def arrive(held: MemoryJournal, record: PagletRecord, counter: int = 5) -> Decided | Closed | Unsure:
    return held.commit(lambda tx: arrivals.arrive(tx, HERE, TransferId(THERE, counter), record, at=0.0))


def outcome_of(word: Decided | Closed | Unsure) -> Outcome:
    assert isinstance(word, Decided)
    return word.verdict.outcome


def test_a_verdict_is_final_whichever_came_first() -> None:
    held = journal()
    assert (
        outcome_of(held.commit(lambda tx: arrivals.answer_query(tx, HERE, CROSSING, at=0.0)))
        is Outcome.FENCED
    )
    assert outcome_of(arrive(held, paglet(incarnation=SECOND))) is Outcome.FENCED
    assert stored(held) is None
    held = journal()
    assert outcome_of(arrive(held, paglet(incarnation=SECOND))) is Outcome.ARRIVED
    refused = held.commit(lambda tx: arrivals.fence(tx, HERE, CROSSING, "quota", at=0.0))
    assert outcome_of(refused) is Outcome.ARRIVED
    again = arrive(held, paglet(incarnation=SECOND))
    assert isinstance(again, Decided)
    assert not again.fresh


@pytest.mark.parametrize(
    "standing",
    [
        paglet(incarnation=SECOND),
        paglet(Phase.INACTIVE, SECOND),
        paglet(Phase.PREPARED, SECOND, outgoing=outgoing(incarnation=THIRD)),
        paglet(Phase.DEPARTED, FIRST, state=None, forward=Forward(THERE, "", "", SECOND, 0.0)),
        paglet(Phase.TOMBSTONE, SECOND, state=None),
        paglet(birth="elsewhere"),
        paglet(host_scoped=True),
        paglet(incarnation=Incarnation(Lineage(1, "x"), 1)),
    ],
)
def test_what_is_not_newer_or_not_the_same_paglet_is_fenced_and_leaves_nothing(
    standing: PagletRecord,
) -> None:
    held = journal(standing)
    word = arrive(held, paglet(incarnation=SECOND))
    assert outcome_of(word) is Outcome.FENCED
    assert isinstance(word, Decided)
    assert word.verdict.reason
    assert stored(held) == standing


def test_coming_home_before_the_receipt_closes_the_transfer_and_takes_the_messages() -> None:
    held = prepared()
    held.commit(lambda tx: queues.enqueue(tx, "p", MESSAGE))
    word = arrive(held, paglet(incarnation=THIRD))
    assert isinstance(word, Decided)
    assert word.came_home is not None
    assert word.came_home.transfer_id == TRANSFER
    assert word.messages == (MESSAGE,)
    refuses(held, lambda tx: moves.settle_arrived(tx, "p", TRANSFER, SECOND, at=0.0))
    refuses(held, lambda tx: queues.hand_on(tx, "p", SECOND, MESSAGE))


def test_below_the_floor_no_verdict_is_kept_or_given() -> None:
    held = journal()
    arrive(held, paglet(incarnation=SECOND))
    assert held.commit(lambda tx: peers.note_floor(tx, THERE, 6)) == 6
    assert held.commit(lambda tx: peers.note_floor(tx, THERE, 4)) == 6, "the highest counts"
    assert arrive(held, paglet(incarnation=SECOND)) == Closed(6)
    assert held.commit(lambda tx: arrivals.answer_query(tx, HERE, CROSSING, at=0.0)) == Closed(6)
    assert outcome_of(arrive(held, paglet(incarnation=THIRD), counter=6)) is Outcome.ARRIVED


def test_a_restored_host_repeats_what_it_knows_and_gives_no_new_verdict() -> None:
    held = journal()
    arrive(held, paglet(incarnation=SECOND))
    seen = PeerRecord(HERE, "store", 100)
    assert held.commit(lambda tx: peers.note_own_store(tx, HERE, "store", 100, seen)) is Standing.CURRENT
    assert held.commit(lambda tx: peers.note_own_store(tx, HERE, "store", 99, seen)) is Standing.BEHIND
    assert held.commit(lambda tx: peers.note_own_store(tx, HERE, "other", 500, seen)) is Standing.REPLACED
    assert outcome_of(arrive(held, paglet(incarnation=SECOND))) is Outcome.ARRIVED
    assert isinstance(arrive(held, paglet(incarnation=THIRD), counter=6), Unsure)


def test_of_a_peer_the_furthest_that_was_seen_is_remembered() -> None:
    held = journal()

    def note(store: str, commit: int) -> Standing:
        return held.commit(lambda tx: peers.note_peer_store(tx, THERE, store, commit))

    assert [note("s", 5), note("s", 7), note("s", 6), note("t", 9), note("s", 7)] == [
        Standing.CURRENT,
        Standing.CURRENT,
        Standing.BEHIND,
        Standing.REPLACED,
        Standing.CURRENT,
    ]


# --- counters, forwards, forgetting


def test_counters_come_in_blocks_that_never_overlap() -> None:
    held = journal()
    blocks = [held.commit(lambda tx: counters.reserve_counters(tx, 3)) for _ in range(3)]
    assert [counter for block in blocks for counter in block] == list(range(1, 10))


def test_the_floor_is_the_lowest_open_transfer_to_that_target() -> None:
    records = prepared().snapshot().paglets
    unsettled = counters.open_transfers(records)
    assert counters.floor_for(THERE, unsettled, 9) == 1
    assert counters.floor_for("third", unsettled, 9) == 9
    assert counters.floor_for("third", [*unsettled, ("third", TransferId(HERE, 4))], 9) == 4


def test_a_forward_is_followed_only_to_a_later_life() -> None:
    forward = Forward(THERE, "", "", SECOND, 0.0)
    gone = paglet(Phase.DEPARTED, state=None, forward=forward)
    assert queues.follow(gone, None) == forward
    assert queues.follow(gone, FIRST) == forward
    assert queues.follow(gone, SECOND) is None
    assert queues.follow(paglet(), None) is None
    assert queues.follow(None, None) is None


def test_a_message_that_comes_back_takes_the_place_of_what_waited_before_it_was_sent_on() -> None:
    """In a store that was put back from a backup; the earlier one would be led to where it has been, and dropped."""
    held = journal(paglet())
    lives = {b"": None, b"1": FIRST, b"2": SECOND}
    for message, waiting in ((b"", b""), (b"2", b"2"), (b"1", b"2"), (b"", b"2"), (b"2", b"2")):
        came = replace(MESSAGE, message=message)
        held.commit(lambda tx, came=came: queues.append(tx, "p", came, lambda queued: lives[queued.message]))
        assert held.commit(lambda tx: [each.message for each in tx.queued("p")]) == [waiting]


def test_forwards_and_tombstones_are_forgotten_after_their_lifetime() -> None:
    assert forgetting.RECORD_LIFETIME > forgetting.MAX_TICKET_TIMEOUT
    gone = paglet(Phase.DEPARTED, state=None, forward=Forward(THERE, "", "", SECOND, 100.0))
    held = journal(gone)
    late = 101.0 + forgetting.RECORD_LIFETIME
    refuses(held, lambda tx: forgetting.forget(tx, "p", FIRST, now=late - 2))
    held.commit(lambda tx: tx.append_queued("p", MESSAGE))
    refuses(held, lambda tx: forgetting.forget(tx, "p", FIRST, now=late))
    held.commit(lambda tx: tx.drop_queued("p"))
    held.commit(lambda tx: forgetting.forget(tx, "p", FIRST, now=late))
    assert stored(held) is None
    refuses(journal(paglet()), lambda tx: forgetting.forget(tx, "p", FIRST, now=late))


def test_a_rule_that_raises_half_way_leaves_nothing() -> None:
    held = journal(paglet())
    before = held.snapshot()

    def half(tx: JournalTransaction) -> None:
        tx.put_counter(99)
        tx.delete_paglet("p")
        raise ValueError("half way")

    with pytest.raises(ValueError, match="half way"):
        held.commit(half)
    assert held.snapshot() == before
