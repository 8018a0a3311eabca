from __future__ import annotations

import concurrent.futures
import threading
from typing import Any

from paglets.core.messages import FutureReply, ReplySet


def pending(count: int) -> tuple[list[concurrent.futures.Future[Any]], list[FutureReply]]:
    futures: list[concurrent.futures.Future[Any]] = [concurrent.futures.Future() for _ in range(count)]
    return futures, [FutureReply(future) for future in futures]


def test_an_empty_set_has_nothing_to_wait_for():
    replies = ReplySet()
    assert replies.are_all_available()
    assert not replies.is_any_available()
    assert not replies.has_more_future_replies()
    assert replies.wait_for_all_replies()
    assert not replies.wait_for_next_future_reply()
    assert replies.get_next_future_reply() is None
    assert list(replies) == []


def test_counts_follow_the_replies():
    futures, each = pending(3)
    replies = ReplySet(each)
    assert (replies.count_available(), replies.count_unavailable()) == (0, 3)
    futures[1].set_result("b")
    assert (replies.count_available(), replies.count_unavailable()) == (1, 2)
    assert replies.is_any_available()
    assert not replies.are_all_available()
    assert replies.get_next_future_reply() is each[1]
    assert replies.has_more_future_replies()
    assert replies.get_next_future_reply(timeout=0.01) is None
    assert not replies.wait_for_all_replies(0.01)


def test_iteration_yields_in_order_of_arrival():
    futures, each = pending(3)
    replies = ReplySet(each)

    def answer() -> None:
        for index in (2, 0):
            futures[index].set_result(index)
        futures[1].set_exception(ValueError("late"))

    thread = threading.Thread(target=answer)
    thread.start()
    assert list(replies) == [each[2], each[0], each[1]]
    thread.join()
    assert not replies.has_more_future_replies()


def test_a_reply_that_arrived_before_it_was_added_counts():
    futures, each = pending(1)
    futures[0].set_result(1)
    replies = ReplySet()
    replies.add_future_reply(each[0])
    assert replies.wait_for_all_replies(0)
    assert replies.count_available() == 1


def test_strangers_are_ignored():
    futures, each = pending(2)
    replies = ReplySet(each[:1])
    each[1].added_to(replies)
    futures[1].set_result(1)
    replies.done(each[1])
    assert replies.count_available() == 0
