"""What comes in together leads to output that leaves together."""

from __future__ import annotations

import asyncio

import pytest

from paglets.core.cork import Cork, cork_of


class Wire:
    """Something that writes through a cork."""

    def __init__(self, cork: Cork) -> None:
        self.cork = cork
        self.written: list[list[int]] = []
        self._waiting: list[int] = []

    def send(self, piece: int) -> None:
        self._waiting.append(piece)
        if not self.cork.hold(1, self.write):
            self.write()

    def write(self) -> None:
        if self._waiting:
            self.written.append(self._waiting)
            self._waiting = []


def test_the_first_leaves_at_once_and_the_others_sixteen_at_a_time() -> None:
    wire = Wire(Cork())
    wire.cork.work_off(range(20), wire.send)
    assert wire.written == [[0], [*range(1, 17)], [17, 18, 19]]


def test_a_single_piece_of_input_holds_nothing_back() -> None:
    wire = Wire(Cork())

    def twice(piece: int) -> None:
        wire.send(piece)
        wire.send(piece)

    wire.cork.work_off([1], twice)
    wire.send(2)
    assert wire.written == [[1], [1], [2]]


def test_what_is_long_is_not_held_back() -> None:
    cork = Cork()
    held: list[bool] = []
    cork.work_off([1, 16 * 1024, 16 * 1024 + 1], lambda size: held.append(cork.hold(size, lambda: None)))
    assert held == [False, True, False]


def test_what_a_mistake_interrupts_is_written_all_the_same() -> None:
    wire = Wire(Cork())

    def stumble(piece: int) -> None:
        wire.send(piece)
        if piece == 2:
            raise ValueError(piece)

    with pytest.raises(ValueError, match="2"):
        wire.cork.work_off(range(4), stumble)
    assert wire.written == [[0], [1, 2]]
    wire.send(9)
    assert wire.written[-1] == [9], "nothing is held back any more"


def test_one_that_cannot_write_keeps_nobody_elses_output_back(caplog: pytest.LogCaptureFixture) -> None:
    wire = Wire(Cork())

    def fail() -> None:
        raise OSError("no more room")

    def work(piece: int) -> None:
        wire.cork.hold(1, fail)
        wire.send(piece)

    wire.cork.work_off(range(3), work)
    assert wire.written == [[0], [1, 2]]
    assert "what was held back could not be written" in caplog.text


def test_work_within_work_is_held_back_by_the_outer_one_alone() -> None:
    wire = Wire(Cork())
    wire.cork.work_off([10, 20, 30], lambda tens: wire.cork.work_off(range(tens, tens + 3), wire.send))
    assert wire.written == [[10], [11, 12], [20, 21, 22, 30, 31, 32]]


def test_all_that_use_one_loop_share_its_cork_if_it_has_one() -> None:
    loop = asyncio.new_event_loop()
    try:
        assert cork_of(loop) is not cork_of(loop)
        vars(loop)["cork"] = Cork()
        assert cork_of(loop) is cork_of(loop)
    finally:
        loop.close()
