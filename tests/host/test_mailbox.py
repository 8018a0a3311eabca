"""The order of a mailbox, whatever happens to what was handed over ahead."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from paglets.core.messages import UNQUEUED_PRIORITY
from paglets.remote.api import MessageParams
from paglets.runtime.mailbox import WINDOW, Letter, Mailbox


def letter(name: str, priority: int) -> Letter:
    return Letter(MessageParams(agent_id="a", kind="k", message_id=name, priority=priority), None)


class Paglet:
    """Handles what it was handed, one by one, in that order; gives back what it has not begun with."""

    def __init__(self) -> None:
        self.mailbox = Mailbox()
        self.handed: list[Letter] = []
        self.handled: list[Letter] = []

    def pump(self) -> None:
        while (taken := self.mailbox.take()) is not None:
            self.handed.append(taken)
        assert len(self.handed) <= WINDOW

    def put(self, added: Letter) -> None:
        if self.mailbox.put(added):
            self.recall()
        self.pump()

    def recall(self) -> None:
        begun, ahead = self.handed[:1], self.handed[1:]
        for each in reversed(ahead):
            self.mailbox.put_back(each)
        self.handed = begun

    def handle(self) -> None:
        if self.handed:
            assert self.mailbox.in_progress is self.handed[0]
            begun = self.handed.pop(0)
            self.handled.append(begun)
            self.mailbox.done(begun)
        self.pump()


@given(
    st.lists(
        st.one_of(st.integers(0, 10), st.sampled_from(["handle", "recall", "hold", "let go"])), max_size=60
    )
)
def test_the_best_that_waits_is_always_begun_with_next(steps: list[int | str]) -> None:
    paglet = Paglet()
    waiting: list[Letter] = []
    holds = 0
    for number, step in enumerate(steps):
        if isinstance(step, int):
            waiting.append(letter(str(number), step))
            paglet.put(waiting[-1])
        elif step == "handle":
            paglet.handle()
        elif step == "recall":
            paglet.recall()
            paglet.pump()
        elif step == "hold":
            holds += 1
            paglet.mailbox.hold()
            paglet.recall()
        elif holds:
            holds -= 1
            paglet.mailbox.let_go()
            paglet.pump()
        for done in paglet.handled:
            if done in waiting:
                waiting.remove(done)
        # What comes next, after the one that is begun with, is the best of all that wait.
        behind = [each for each in waiting if each not in paglet.handed[:1]]
        best = sorted(
            behind,
            key=lambda each: (
                -(1 << 40 if each.params.priority == UNQUEUED_PRIORITY else each.params.priority),
                each.place[1],
            ),
        )
        assert paglet.handed[1:] == best[: len(paglet.handed) - 1] or not paglet.handed
        assert len(paglet.mailbox) == len(behind)
        assert bool(paglet.handed) == (paglet.mailbox.in_progress is not None)
    while holds:
        holds -= 1
        paglet.mailbox.let_go()
    paglet.pump()
    while paglet.handed:
        paglet.handle()
    assert paglet.mailbox.idle
    assert len(paglet.handled) == sum(isinstance(step, int) for step in steps)


def test_one_whose_effects_are_being_written_is_no_longer_the_one_in_progress() -> None:
    """Otherwise a paglet that leaves in the second would be said to leave in the first, and handle it again."""
    mailbox = Mailbox()
    mailbox.put(letter("first", 5))
    mailbox.put(letter("second", 5))
    first, second = mailbox.take(), mailbox.take()
    assert first is not None
    assert mailbox.in_progress is first
    assert not mailbox.unsettled
    first.paglet_is_done()
    assert mailbox.in_progress is second
    assert mailbox.unsettled
    mailbox.done(first)
    assert not mailbox.unsettled
