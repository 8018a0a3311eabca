"""The rules of adoption by themselves: who may be adopted, what gives way, who has to be told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from paglets.core.incarnation import Incarnation, Lineage
from paglets.persistence.adoption_records import AbandonedTransfer, Notice, QuarantinedCopy, Whereabouts
from paglets.persistence.journal import adoption, meeting, moves, queues
from paglets.persistence.journal.arrivals import Decided
from paglets.persistence.records import FileRecord, Forward, HookKind, MoveKind, Outcome, Phase
from paglets.persistence.store import Store
from tests.persistence.test_journal_rules import (
    FIRST,
    HERE,
    MESSAGE,
    NEW,
    SECOND,
    THERE,
    THIRD,
    TRANSFER,
    arrive,
    outcome_of,
    outgoing,
    paglet,
    prepared,
    refuses,
    stored,
)
from tests.persistence.test_journal_rules import journal as holding

if TYPE_CHECKING:
    from pathlib import Path

    from paglets.persistence.lmdb_transaction import LmdbTransaction
    from paglets.persistence.memory import MemoryJournal
    from paglets.persistence.transaction import JournalTransaction

ADOPTED = Incarnation(Lineage(1, HERE), 2)
HIGHER = Whereabouts(Incarnation(Lineage(1, THERE), 5), THERE, "https://there", "There")


def adopt(tx: JournalTransaction) -> adoption.Adopted:
    return adoption.adopt(tx, HERE, "p", TRANSFER, event={"reason": "recovered"}, at=0.0)


def noticed(held: MemoryJournal, higher: Whereabouts = HIGHER, birth: str = HERE) -> meeting.Noticed:
    return held.commit(lambda tx: meeting.take_notice(tx, HERE, "p", birth, higher, at=7.0))


def test_what_is_adopted_runs_in_a_lineage_of_its_own_and_its_transfer_stays_open() -> None:
    held = prepared()
    adopted = held.commit(adopt)
    assert adopted.started.record.phase is Phase.ACTIVE
    assert adopted.started.record.incarnation == ADOPTED
    assert adopted.started.record.state == NEW
    assert adopted.started.record.pending is not None
    assert adopted.started.record.pending.kind is HookKind.ACTIVATION
    expected = AbandonedTransfer("p", HERE, outgoing(), Whereabouts(ADOPTED, HERE))
    assert held.snapshot().abandoned == (expected,)


def test_what_was_parked_is_parked_again() -> None:
    held = holding(paglet(Phase.INACTIVE, policy={"activate_on_startup": True}))
    parked = outgoing(was=Phase.INACTIVE)
    held.commit(lambda tx: moves.prepare(tx, "p", FIRST, parked, state=None, at=0.0))
    adopted = held.commit(adopt).started.record
    assert (adopted.phase, adopted.incarnation) == (Phase.INACTIVE, ADOPTED)
    assert adopted.policy == {"activate_on_startup": True}


def test_only_that_very_transfer_of_what_is_prepared_can_be_adopted() -> None:
    refuses(holding(paglet()), adopt)
    refuses(holding(), adopt)
    clone = paglet(
        Phase.PREPARED, Incarnation(epoch=0), outgoing=outgoing(kind=MoveKind.CLONE, incarnation=FIRST)
    )
    assert "clone" in str(refuses(holding(clone), adopt))


def test_the_lineage_is_above_all_that_were_seen() -> None:
    held = prepared()
    seen = Whereabouts(Incarnation(Lineage(6, THERE), 1), THERE)
    held.commit(lambda tx: tx.put_copy(QuarantinedCopy(paglet(), seen, 0.0)))
    assert held.commit(adopt).started.record.incarnation.lineage == Lineage(7, HERE)


def test_a_late_settlement_does_not_touch_what_was_adopted() -> None:
    held = prepared()
    held.commit(adopt)
    refuses(held, lambda tx: moves.settle_arrived(tx, "p", TRANSFER, SECOND, at=0.0))
    refuses(
        held,
        lambda tx: moves.settle_fenced(tx, "p", TRANSFER, SECOND, process_alive=True, event={}, at=0.0),
    )


def settle(held: MemoryJournal, outcome: Outcome) -> Notice | None:
    return held.commit(lambda tx: meeting.settle_abandoned(tx, "p", TRANSFER, outcome, SECOND))


def test_fenced_ends_an_abandoned_transfer_and_arrived_leaves_a_notice_owed() -> None:
    held = prepared()
    held.commit(adopt)
    assert settle(held, Outcome.FENCED) is None
    assert held.snapshot().abandoned == ()
    assert held.snapshot().notices == ()
    refuses(held, lambda tx: meeting.settle_abandoned(tx, "p", TRANSFER, Outcome.ARRIVED, SECOND))
    held = prepared()
    held.commit(adopt)
    owed = Notice("p", HERE, THERE, "https://there", "There", Whereabouts(ADOPTED, HERE))
    assert settle(held, Outcome.ARRIVED) == owed
    assert held.snapshot().notices == (owed,)
    other = Notice("p", HERE, THERE, "https://there", "There", HIGHER)
    held.commit(lambda tx: meeting.notice_acknowledged(tx, other))
    assert held.snapshot().notices == (owed,), "only what was acknowledged is forgotten"
    held.commit(lambda tx: meeting.notice_acknowledged(tx, owed))
    assert held.snapshot().notices == ()


@pytest.mark.parametrize("outcome", [Outcome.FENCED, Outcome.ARRIVED])
def test_a_verdict_on_another_life_settles_nothing_so_the_target_is_owed_the_notice(outcome: Outcome) -> None:
    held = prepared()
    held.commit(adopt)
    owed = held.commit(lambda tx: meeting.settle_abandoned(tx, "p", TRANSFER, outcome, THIRD))
    assert owed == Notice("p", HERE, THERE, "https://there", "There", Whereabouts(ADOPTED, HERE))
    assert held.snapshot().abandoned == ()
    assert held.snapshot().notices == (owed,)


@pytest.mark.parametrize(
    "standing",
    [
        paglet(),
        paglet(Phase.INACTIVE),
        paglet(Phase.PREPARED, outgoing=outgoing()),
    ],
    ids=lambda standing: standing.phase.value,
)
def test_news_of_a_higher_lineage_puts_the_copy_into_quarantine_and_forwards(standing: Any) -> None:
    held = holding(standing)
    held.commit(lambda tx: tx.append_queued("p", MESSAGE))
    gave_way = noticed(held).gave_way
    assert gave_way is not None
    assert gave_way.messages == (MESSAGE,), "they follow"
    assert held.snapshot().copies == (QuarantinedCopy(standing, HIGHER, 7.0),)
    now = stored(held)
    assert now is not None
    assert (now.phase, now.state, now.outgoing) == (Phase.DEPARTED, None, None)
    assert now.forward == Forward(THERE, "https://there", "There", HIGHER.incarnation, 7.0)
    assert queues.follow(now, None) == now.forward
    assert bool(held.snapshot().abandoned) is (standing.phase is Phase.PREPARED)


def test_news_is_passed_on_to_where_the_copy_went() -> None:
    gone = paglet(Phase.DEPARTED, state=None, forward=Forward("third", "u", "n", SECOND, 0.0))
    held = holding(gone)
    gave_way = noticed(held).gave_way
    assert gave_way is not None
    assert held.snapshot().notices == (Notice("p", HERE, "third", "u", "n", HIGHER),)
    assert held.snapshot().copies == ()


@pytest.mark.parametrize(
    ("standing", "lost_track"),
    [
        ([], True),
        ([paglet(birth="elsewhere")], True),
        ([paglet(host_scoped=True)], False),
        ([paglet(incarnation=Incarnation(HIGHER.incarnation.lineage, 1))], True),
    ],
)
def test_news_of_another_paglet_or_of_what_is_known_changes_nothing(standing: Any, lost_track: bool) -> None:
    held = holding(*standing)
    before = held.snapshot()
    assert noticed(held) == meeting.Noticed(lost_track=lost_track)
    assert held.snapshot() == before


def test_when_a_host_has_lost_track_everybody_is_owed_the_notice_once() -> None:
    held = holding()
    notice = Notice("p", HERE, THERE, "https://there", "There", HIGHER)
    third = meeting.Addressee("third", "https://third", "Third")
    hosts = [meeting.Addressee(HERE), meeting.Addressee(THERE), third, meeting.Addressee("fourth")]

    def lost_track(of: Notice) -> list[Notice]:
        return held.commit(lambda tx: meeting.tell_everyone(tx, HERE, of, hosts))

    assert lost_track(notice) == [], "it is not owed any more"
    held.commit(lambda tx: meeting.owe(tx, notice))
    fourth = Notice("p", HERE, "fourth", "", "", HIGHER, everywhere=True)
    owed = [fourth, Notice("p", HERE, *third, HIGHER, everywhere=True)]
    assert lost_track(notice) == owed
    for each in owed:
        assert lost_track(each) == []
    assert held.snapshot().notices == ()


def test_one_of_many_notices_does_not_stand_for_one_of_which_more_follows() -> None:
    held = holding()
    notice = Notice("p", HERE, THERE, "", "", HIGHER)
    everywhere = Notice("p", HERE, THERE, "", "", HIGHER, everywhere=True)
    for owed, expected in ((everywhere, everywhere), (notice, notice), (everywhere, notice)):
        assert held.commit(lambda tx, owed=owed: meeting.owe(tx, owed)) == expected
        assert held.snapshot().notices == (expected,)


def test_what_a_host_has_answered_before_a_transfer_does_not_settle_what_it_is_owed_because_of_that() -> None:
    held = holding()
    notice = Notice("p", HERE, THERE, "", "", HIGHER)
    held.commit(lambda tx: meeting.owe(tx, notice))
    anew = held.commit(lambda tx: meeting.owe_anew(tx, notice))
    held.commit(lambda tx: meeting.notice_acknowledged(tx, notice))
    assert held.snapshot().notices == (anew,)
    held.commit(lambda tx: meeting.notice_acknowledged(tx, anew))
    assert held.snapshot().notices == ()


def test_who_is_told_like_everybody_sees_to_the_next_host_only() -> None:
    forward = Forward("third", "u", "n", SECOND, 0.0)
    held = holding(paglet(Phase.DEPARTED, forward=forward))
    held.commit(lambda tx: meeting.take_notice(tx, HERE, "p", HERE, HIGHER, at=0.0, everywhere=True))
    assert held.snapshot().notices == (Notice("p", HERE, "third", "u", "n", HIGHER, everywhere=True),)


def test_nobody_can_have_a_host_forward_to_itself() -> None:
    held = holding(paglet())
    before = held.snapshot()
    noticed(held, Whereabouts(HIGHER.incarnation, HERE))
    assert held.snapshot() == before


def test_who_knows_of_a_higher_lineage_says_so() -> None:
    here = Incarnation(Lineage(2, HERE), 3)
    held = holding(paglet(incarnation=here))
    assert noticed(held).counter == Notice(
        "p", HERE, THERE, "https://there", "There", Whereabouts(here, HERE)
    )
    refused = arrive(held, paglet(incarnation=HIGHER.incarnation))
    assert outcome_of(refused) is Outcome.FENCED
    assert isinstance(refused, Decided)
    assert refused.notice == Notice(
        "p", HERE, THERE, "https://there", "There", Whereabouts(here, HERE), number=1
    )
    assert held.snapshot().notices == (refused.notice,), "it is owed once"


def test_a_copy_gives_way_to_a_higher_lineage_that_arrives() -> None:
    held = prepared()
    word = arrive(held, paglet(incarnation=HIGHER.incarnation))
    assert isinstance(word, Decided)
    assert word.verdict.outcome is Outcome.ARRIVED
    assert word.came_home is None, "that it is here says nothing of the transfer"
    assert word.gave_way is not None
    assert word.gave_way.higher == Whereabouts(HIGHER.incarnation, HERE)
    assert len(held.snapshot().copies) == len(held.snapshot().abandoned) == 1


def test_a_copy_can_be_adopted_out_of_quarantine_or_dropped() -> None:
    held = holding(paglet())
    noticed(held)

    def again(tx: JournalTransaction) -> adoption.Adopted:
        return adoption.adopt_copy(tx, HERE, "p", FIRST, event={}, at=0.0)

    adopted = held.commit(again)
    assert adopted.started.record.incarnation == Incarnation(Lineage(2, HERE), 2)
    assert held.snapshot().copies == ()
    [owed] = held.snapshot().notices
    assert (owed.target_id, owed.higher) == (THERE, Whereabouts(Incarnation(Lineage(2, HERE), 2), HERE))
    assert "quarantine" in str(refuses(held, again))
    held = holding(paglet())
    noticed(held)
    held.commit(lambda tx: adoption.discard_copy(tx, "p", FIRST))
    assert held.snapshot().copies == ()
    refuses(held, lambda tx: adoption.discard_copy(tx, "p", FIRST))


def test_a_copy_stays_in_quarantine_while_another_one_lives_here() -> None:
    held = holding(paglet())
    arrive(held, paglet(incarnation=HIGHER.incarnation))
    refused = refuses(held, lambda tx: adoption.adopt_copy(tx, HERE, "p", FIRST, event={}, at=0.0))
    assert "another copy" in str(refused)


# --- in the store


def moved_away(tx: LmdbTransaction) -> None:
    meeting.take_notice(tx, HERE, "p", HERE, HIGHER, at=0.0)


async def test_a_copy_keeps_its_state_and_its_files_until_it_is_dropped(tmp_path: Path) -> None:
    file = FileRecord("f", "move", "", "/home/x/f", 1, "0" * 64)
    kept = FileRecord("g", "copy", "place", "g", 1, "0" * 64)
    with Store(tmp_path / "store") as store:
        staged = await store.stage_bytes(b"state")
        stamps = await store.stage_bytes(b"where it has been")
        leaving = paglet(
            Phase.PREPARED, outgoing=outgoing(), state=staged.ref, passport=stamps.ref, files=(file, kept)
        )
        await store.commit(lambda tx: tx.put_paglet(leaving), blobs=[staged, stamps])
        await store.commit(moved_away)
    with Store(tmp_path / "store") as store:
        assert store.read_sync(lambda tx: tx.copies()) == [QuarantinedCopy(leaving, HIGHER, 0.0)]
        assert store.read_sync(lambda tx: tx.copies("other")) == []
        assert store.read_sync(lambda tx: tx.has_blob(staged.ref) and tx.has_blob(stamps.ref))
        assert store.read_sync(lambda tx: tx.file_places()) == {"place"}
        assert store.read_sync(lambda tx: tx.moved_files()) == [], "it has not moved: it gave way"
        [abandoned] = store.read_sync(lambda tx: tx.abandoned("p"))
        assert abandoned.outgoing == outgoing()
        await store.commit(lambda tx: tx.drop_copy("p", FIRST))
        await store.commit(lambda tx: tx.drop_abandoned("p", TRANSFER))
        assert store.read_sync(lambda tx: (tx.copies(), tx.abandoned(), tx.file_places())) == ([], [], set())
        assert store.read_sync(lambda tx: tx.blob_count()) == 1, "the passport is the forward's, too"


async def test_files_of_what_is_adopted_are_not_taken_for_moved(tmp_path: Path) -> None:
    file = FileRecord("f", "move", "", "/home/x/f", 1, "0" * 64)
    with Store(tmp_path / "store") as store:
        staged = await store.stage_bytes(b"state")
        leaving = paglet(Phase.PREPARED, outgoing=outgoing(), state=staged.ref, files=(file,))
        await store.commit(lambda tx: tx.put_paglet(leaving), blobs=[staged])
        adopted = await store.commit(adopt)
        assert adopted.started.record.files == (file,)
        assert store.read_sync(lambda tx: tx.moved_files()) == []
        assert store.read_sync(lambda tx: tx.has_blob(staged.ref))


def test_notices_are_kept_one_for_each_paglet_and_host(store: Store) -> None:
    for paglet_id, target, number in (("p", "x", 1), ("p", "x", 2), ("p", "y", 1), ("pp", "x", 1)):
        higher = Whereabouts(Incarnation(Lineage(number, HERE), 1), HERE)
        notice = Notice(paglet_id, HERE, target, "", "", higher)
        store.commit_sync(lambda tx, owed=notice: meeting.owe(tx, owed))
    held = store.read_sync(lambda tx: tx.notices("p"))
    assert [(each.target_id, each.higher.incarnation.lineage.number) for each in held] == [("x", 2), ("y", 1)]
    assert len(store.read_sync(lambda tx: tx.notices())) == 3
    store.commit_sync(lambda tx: tx.drop_notice("p", "x"))
    assert len(store.read_sync(lambda tx: tx.notices())) == 2
