"""One future from the host's answer to the value that is read."""

from __future__ import annotations

import concurrent.futures
import threading

import pytest

from paglets.remote.moved import MovedReply
from paglets.remote.replies import RawReply, decoded

THERE = "https://there:1"


def plain(raw: bytes) -> bytes:
    return raw


def test_a_raw_reply_becomes_its_value_whenever_it_is_asked_to() -> None:
    early, late = RawReply(), RawReply()
    assert decoded(early, plain) is early
    for each in (early, late):
        assert each.begin()
        each.set_result(b'{"x":1}')
    assert late.result(0) == b'{"x":1}'
    assert decoded(late, plain).result(0) == early.result(0) == {"x": 1}


def test_what_an_answer_tells_beside_itself_is_learned_before_anybody_reads_it() -> None:
    learned: list[bytes] = []

    def learn(raw: bytes) -> bytes:
        learned.append(raw)
        return raw

    moved = MovedReply.at(b"1", THERE)
    early, late = RawReply(), RawReply()
    decoded(early, learn)
    early.set_result(moved)
    late.set_result(moved)
    decoded(late, learn)
    assert learned == [moved, moved]
    failed = RawReply()
    failed.set_exception(ValueError("no"))
    with pytest.raises(ValueError, match="no"):
        decoded(failed, learn).result(0)
    assert len(learned) == 2


def test_whoever_waits_for_a_reply_is_told_that_it_was_given_up() -> None:
    reply = RawReply()
    waiting = threading.Thread(target=concurrent.futures.wait, args=([reply],), daemon=True)
    waiting.start()
    assert reply.cancel()
    waiting.join(5)
    assert not waiting.is_alive()
    assert reply.cancel(), "as often as one likes"
    assert not reply.begin(), "nobody wants it any more"
    with pytest.raises(concurrent.futures.CancelledError):
        reply.result(0)


def test_who_brings_a_reply_is_told_that_it_was_given_up_also_when_he_asks_late() -> None:
    told: list[str] = []
    early, late, wanted = RawReply(), RawReply(), RawReply()
    early.when_given_up(lambda: told.append("early"))
    early.cancel()
    late.cancel()
    late.when_given_up(lambda: told.append("late"))
    wanted.when_given_up(lambda: told.append("wanted"))
    assert wanted.begin()
    assert not wanted.cancel(), "it is being brought"
    assert told == ["early", "late"]


def test_what_arrives_while_its_value_is_asked_for_is_learned_once() -> None:
    learned: list[bytes] = []

    def learn(raw: bytes) -> bytes:
        learned.append(raw)
        return raw

    class JustBefore(RawReply):
        """One that had not arrived when it was looked at, and has by now."""

        def done(self) -> bool:
            return False

    reply = JustBefore()
    reply.add_done_callback(lambda _: reply.decode(learn))
    assert reply.begin()
    reply.set_result(b"1")
    assert learned == [b"1"]
    assert reply.result(0) == 1


def test_a_reply_can_be_given_up_from_within_its_beginning() -> None:
    """As by a signal's handler: nothing that another reply needs is held meanwhile."""
    other = RawReply()

    class Interrupted(RawReply):
        def set_running_or_notify_cancel(self) -> bool:
            assert other.cancel()
            return super().set_running_or_notify_cancel()

    assert Interrupted().begin()
    assert other.cancelled()
