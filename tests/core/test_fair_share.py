"""A whole that many take from: never over its bound, and never all to one."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from paglets.core.fair_share import FairShare

if TYPE_CHECKING:
    import pytest


def fill(share: FairShare, who: str, amount: int = 1) -> int:
    taken = 0
    while share.take(who, amount):
        taken += 1
    return taken


def test_one_alone_gets_its_part_and_leaves_room_for_those_who_come_later() -> None:
    share = FairShare("", 100, share=1.0)
    assert fill(share, "a") == 50
    assert fill(share, "b") == 25
    assert fill(share, "c") >= 12
    assert share.used < 100


def test_who_holds_nothing_gets_what_fits() -> None:
    share = FairShare("", 100, share=1.0)
    assert share.take("a", 80)
    assert not share.take("a", 1)
    assert share.take("b", 20), "its first one needs no more than to fit"
    assert not share.take("c", 1)


def test_one_has_no_more_than_each_may() -> None:
    share = FairShare("", 1000, each=3)
    assert fill(share, "a") == 3
    assert fill(share, "b") == 3


def test_what_is_given_back_can_be_taken_again_by_others() -> None:
    share = FairShare("", 10, share=9.0)
    taken = fill(share, "a")
    assert taken == 9
    assert fill(share, "b") == 1
    assert not share.fits("c")
    for _ in range(taken):
        share.give_back("a")
    assert fill(share, "c") >= 4
    assert share.held("a") == 0


def test_what_was_promised_is_kept_over_the_bound_and_counts() -> None:
    share = FairShare("", 10)
    share.add("a", 15)
    assert not share.fits("b")
    share.give_back("a", 15)
    assert share.used == 0
    assert share.fits("b", 10)


def test_refusals_are_counted_and_logged_once_in_a_while(caplog: pytest.LogCaptureFixture) -> None:
    share = FairShare("seats", 1)
    assert share.take("a")
    with caplog.at_level(logging.WARNING):
        assert [share.take("b") for _ in range(100)] == [False] * 100
    assert share.refused == 100
    assert share.refused_at is not None
    assert [record.getMessage() for record in caplog.records] == ["a bound is reached: seats"]


@given(
    st.integers(1, 50),
    st.sampled_from([0.5, 1.0, 3.0, 7.0]),
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 20), st.booleans()), max_size=80),
)
def test_it_never_goes_over_its_bound_and_adds_up(
    limit: int, part: float, steps: list[tuple[str, int, bool]]
) -> None:
    share = FairShare("", limit, share=part)
    held: dict[str, list[int]] = {"a": [], "b": [], "c": []}
    for who, amount, back in steps:
        if back and held[who]:
            share.give_back(who, held[who].pop())
        elif not back and share.take(who, amount):
            held[who].append(amount)
        assert share.used == sum(map(sum, held.values())) <= limit
        assert all(share.held(each) == sum(held[each]) for each in held)
    if share.used == 0:
        assert share.fits("a", limit)
