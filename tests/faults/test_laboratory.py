"""The laboratory's own count: whatever is lost or doubled, it says so."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.faults.laboratory.books import Account, Standing
from tests.faults.laboratory.field import Copy
from tests.faults.laboratory.ledger import BEGIN, END, Ledger, Part, publish
from tests.faults.laboratory.machine import ROOT
from tests.faults.laboratory.topics import TOPICS
from tests.faults.laboratory.verdict import Findings, Look, judge

if TYPE_CHECKING:
    from pathlib import Path

HERE = Copy("a", "p", "active", 0, 7, 100)
LOOK = Look(arrivals=4, saved=3, heard=(11, 12), when=("a 1", "a 2"), file="whole")


def account() -> Account:
    """A paglet that has acknowledged just what LOOK says, and may have moved once more."""
    found = Account("p", "Porter", Standing.THERE, arrivals=3, hops=6, maybe_arrivals=1, packed=True)
    found.saved = found.asked_to_save = 3
    found.notes, found.maybe_notes = {11: "note that waits"}, {12}
    return found


def test_what_is_as_it_was_acknowledged_is_neither_lost_nor_doubled() -> None:
    verdict = judge({"p": account()}, Findings([HERE], {"p": LOOK}))
    assert (verdict.lost, verdict.doubled, verdict.moves) == ([], [], 4)


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (Findings([], {}), "p is nowhere"),
        (Findings([HERE], {"p": replace(LOOK, arrivals=2)}), "has arrived 2 times, and 3 were acknowledged"),
        (Findings([replace(HERE, epoch=5)], {"p": LOOK}), "is in epoch 5"),
        (Findings([HERE], {"p": replace(LOOK, saved=2)}), "has counted to 2"),
        (Findings([HERE], {"p": replace(LOOK, file="damaged")}), "the file of p is damaged"),
        (Findings([HERE], {"p": replace(LOOK, heard=(12,), when=("a 1",))}), "note 11 was accepted"),
    ],
    ids=["paglet", "move", "epoch", "count", "file", "note"],
)
def test_it_tells_what_is_lost(found: Findings, told: str) -> None:
    verdict = judge({"p": account()}, found)
    assert told in "\n".join(verdict.lost)
    assert verdict.doubled == []


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (Findings([HERE, replace(HERE, host="b")], {"p": LOOK}), "p is there 2 times"),
        (Findings([HERE], {"p": replace(LOOK, arrivals=5)}), "has arrived 5 times, and 4 at most"),
        (Findings([HERE], {"p": replace(LOOK, saved=4)}), "was asked 3 times"),
        (
            Findings([HERE], {"p": replace(LOOK, heard=(11, 11), when=("a 1", "b 2"))}),
            "2 times by p: a 1, b 2",
        ),
        (Findings([HERE], {"p": LOOK}, frozenset({11}), frozenset({11})), "and is a dead letter"),
        (Findings([HERE], {"p": replace(LOOK, heard=(11, 99), when=("a 1", "a 2"))}), "for whom it was not"),
        (Findings([HERE, replace(HERE, agent_id="q")], {"p": LOOK, "q": Look(parent="p")}), "a clone of p"),
    ],
    ids=["paglet", "move", "count", "note", "dead letter", "stranger's note", "clone"],
)
def test_it_tells_what_is_doubled(found: Findings, told: str) -> None:
    verdict = judge({"p": account()}, found)
    assert told in "\n".join(verdict.doubled)
    assert verdict.lost == []


def test_one_that_was_disposed_of_must_not_be_there() -> None:
    gone = account()
    gone.standing = Standing.GONE
    assert judge({"p": gone}, Findings([], {})).lost == []
    assert "was disposed of" in judge({"p": gone}, Findings([HERE], {"p": LOOK})).doubled[0]


def test_the_ledger_ends_with_the_sum_and_is_good_only_when_nothing_is_wrong(tmp_path: Path) -> None:
    ledger = Ledger("fast", tmp_path, [Part("real", moves=3, faults={"host killed": 2})])
    assert ledger.good
    ledger.parts.append(Part("simulated", moves=4, lost=["one"]))
    assert not ledger.good
    page = ledger.write(tmp_path)
    assert page.read_text().splitlines()[-1] == "moves 7, faults 2, lost 1, doubled 0"
    assert not Ledger("fast", tmp_path, [Part("real", problems=["it did not come to rest"])]).good


def test_every_topic_is_there() -> None:
    paths = [ROOT / each for topic in TOPICS.values() for each in topic]
    assert [path for path in paths if not path.exists()] == []


def test_the_page_gets_the_newest_ledger_in_place_of_the_last(tmp_path: Path) -> None:
    page, ledger = tmp_path / "page.md", tmp_path / "ledger.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    ledger.write_text("new\n")
    publish(ledger, page)
    assert page.read_text() == f"before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"
