"""What paglets and peers can make a host keep in memory is bounded."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paglets.core.errors import HostError
from paglets.remote.api import MessageParams
from paglets.runtime.mailbox import Letter, Mailbox
from paglets.runtime.outputs import Outputs


def letter(size: int = 2, priority: int = 5) -> Letter:
    body = msgspec.Raw(b'"' + b"x" * (size - 2) + b'"')
    return Letter(MessageParams(agent_id="a", kind="k", message_id="m", body=body, priority=priority), None)


def test_a_mailbox_is_bounded_in_letters() -> None:
    mailbox = Mailbox(limit=3)
    for _ in range(3):
        mailbox.put(letter())
    with pytest.raises(HostError, match="3 messages wait"):
        mailbox.put(letter())


def test_a_mailbox_is_bounded_in_bytes_and_takes_more_when_some_were_taken() -> None:
    mailbox = Mailbox(limit_bytes=10_000)
    mailbox.put(letter(6_000))
    with pytest.raises(HostError, match="bytes of messages wait"):
        mailbox.put(letter(6_000))
    taken = mailbox.take()
    assert taken is not None
    mailbox.done(taken)
    mailbox.put(letter(6_000))
    assert len(mailbox.drain()) == 1
    mailbox.put(letter(50_000))  # an empty one takes any letter that may be sent at all
    assert len(mailbox) == 1


def test_output_is_bounded_for_each_paglet_and_numbered_on() -> None:
    outputs = Outputs(paglet_bytes=20_000)
    for _ in range(100):
        outputs.add("a", ["x" * 1000])
    kept = outputs.read("a")
    assert 10 < len(kept) < 20
    assert [line.seq for line in kept] == list(range(101 - len(kept), 101))
    assert outputs.read("a", since=99) == kept[-1:]
    assert outputs.read("nobody") == []


def test_output_is_bounded_in_all_and_the_oldest_printer_is_forgotten() -> None:
    outputs = Outputs(total_bytes=50_000)
    for number in range(20):
        outputs.add(f"p{number}", ["x" * 5000])
    assert outputs.read("p0") == []
    assert len(outputs.read("p19")) == 1


@given(
    st.lists(st.lists(st.text(max_size=50), max_size=5), max_size=20),
    st.integers(1, 10),
    st.integers(0, 5000),
)
def test_output_is_the_latest_lines_in_order_within_the_bounds(
    batches: list[list[str]], most: int, size: int
) -> None:
    outputs = Outputs(lines=most, paglet_bytes=size)
    for batch in batches:
        outputs.add("a", batch)
    printed = [line for batch in batches for line in batch]
    kept = outputs.read("a")
    assert [line.line for line in kept] == printed[len(printed) - len(kept) :]
    assert [line.seq for line in kept] == list(range(len(printed) - len(kept) + 1, len(printed) + 1))
    assert len(kept) <= most
    assert len(kept) <= 1 or sum(len(line.line) for line in kept) <= size
    for since in range(len(printed) + 1):
        assert outputs.read("a", since=since, limit=2) == [line for line in kept if line.seq > since][:2]
