"""Whoever waits in a child reads its link; one who stands by reads when nobody does."""

from __future__ import annotations

import socket
import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING

import pytest

from paglets.runtime.child.link import ChildLink
from paglets.runtime.child.reading import Reading
from paglets.runtime.frames import CallResult, HostFrame, encode_frame

if TYPE_CHECKING:
    from collections.abc import Iterator

BOUND = 10.0


class Desk:
    """Both ends of a link, and what was read on which thread, by the number of the frame."""

    def __init__(self) -> None:
        self.host, child = socket.socketpair()
        self.inboxes: dict[int, SimpleQueue[HostFrame]] = {}
        self.readers: dict[int, str] = {}
        self.came = threading.Condition()
        self._ends = threading.Event()
        self.reading = Reading(ChildLink(child), self._take, self._ends.set)
        self._child = child
        self._standing_by = self.reading.start()

    def say(self, number: int) -> None:
        self.host.sendall(encode_frame(CallResult(number, b"1")))

    def inbox(self, number: int) -> SimpleQueue[HostFrame]:
        return self.inboxes.setdefault(number, SimpleQueue())

    def reader_of(self, number: int) -> str:
        with self.came:
            assert self.came.wait_for(lambda: number in self.readers, BOUND), "nobody has read it"
        return self.readers[number]

    def close(self) -> None:
        self.host.close()
        self.reading.expect("the end")
        self._standing_by.join(BOUND)
        self._child.close()
        assert self._ends.is_set()
        assert not self._standing_by.is_alive(), "the end of the link ends the one who stands by"

    def _take(self, frame: HostFrame) -> None:
        assert isinstance(frame, CallResult)
        self.inbox(frame.id).put(frame)
        with self.came:
            self.readers[frame.id] = threading.current_thread().name
            self.came.notify_all()


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk()
    yield desk
    desk.close()


def wait_for(desk: Desk, number: int, name: str, then: threading.Event | None = None) -> threading.Thread:
    def wait() -> None:
        desk.reading.next_of(desk.inbox(number))
        if then is not None:
            then.wait(BOUND)

    thread = threading.Thread(target=wait, name=name, daemon=True)
    thread.start()
    return thread


def test_the_one_who_waits_reads(desk: Desk) -> None:
    for number in range(1, 50):
        desk.say(number)
        desk.reading.next_of(desk.inbox(number))
    by_itself = [name for name in desk.readers.values() if name == threading.current_thread().name]
    assert len(by_itself) > 25, "few are read by the one who stands by, and then only on a busy machine"


def test_what_comes_while_all_are_at_work_is_read_by_the_one_who_stands_by(desk: Desk) -> None:
    desk.say(1)
    desk.reading.next_of(desk.inbox(1))
    desk.say(2)
    assert desk.reader_of(2) == "paglets-link"
    desk.say(3)
    desk.reading.next_of(desk.inbox(3))


def test_nobody_waits_for_a_reader_that_has_what_it_wants(desk: Desk) -> None:
    at_work = threading.Event()
    first = wait_for(desk, 1, "first", at_work)
    second = wait_for(desk, 2, "second")
    desk.say(1)
    desk.reader_of(1)
    desk.say(2)
    second.join(BOUND)
    assert not second.is_alive(), "the first is at work, and the second has its answer"
    at_work.set()
    first.join(BOUND)
    assert not first.is_alive()


def test_what_somebody_expects_who_cannot_read_is_read_at_once(desk: Desk) -> None:
    with desk.reading.expecting("a wake-up"):
        for number in range(1, 20):
            desk.say(number)
            assert desk.reader_of(number) == "paglets-link"


def test_answers_reach_all_of_many_that_wait(desk: Desk) -> None:
    threads = [wait_for(desk, number, f"waiter-{number}") for number in range(1, 40)]
    for number in reversed(range(1, 40)):
        desk.say(number)
    for thread in threads:
        thread.join(BOUND)
    assert not any(thread.is_alive() for thread in threads)
