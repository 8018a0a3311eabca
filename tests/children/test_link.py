"""The host's end of a child's socket: what several messages at once lead to."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING

from paglets.core.cork import Cork
from paglets.runtime.child_specs import Message
from paglets.runtime.children.link import HostLink
from paglets.runtime.frames import (
    ChildFrame,
    Deliver,
    Finish,
    FrameSplitter,
    HostFrame,
    RunEnded,
    decode_host_frame,
    encode_frame,
)
from tests.children.support import until

if TYPE_CHECKING:
    from collections.abc import Callable

LONG = "x" * 100_000


class Ends:
    """Two links of one loop, and what arrived at the children's ends of them."""

    def __init__(self, on_frame: Callable[[Ends], None]) -> None:
        # Packets, and not a stream: so what is sent with one call is seen to be.
        self._sockets = [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(2)]
        for each in (each for pair in self._sockets for each in pair):
            each.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
            each.setblocking(False)
        self.taken = 0
        self.violations: list[str | None] = []

        def take(_: ChildFrame) -> None:
            self.taken += 1
            on_frame(self)

        self.source, self.other = (HostLink(ours, take, self.violations.append) for ours, _ in self._sockets)

    def say(self, data: bytes) -> None:
        """As the source's child."""
        self._sockets[0][1].sendall(data)

    def heard(self) -> list[list[HostFrame]]:
        """What the other child was sent with each call."""
        heard: list[list[HostFrame]] = []
        with contextlib.suppress(BlockingIOError):
            while packet := self._sockets[1][1].recv(1 << 20):
                heard.append([decode_host_frame(body) for body in FrameSplitter().feed(packet)])
        return heard

    def numbers(self) -> list[list[int]]:
        """The numbers of those frames."""
        return [[frame.seq for frame in each if isinstance(frame, Deliver)] for each in self.heard()]

    def close(self) -> None:
        for link, (_, theirs) in zip((self.source, self.other), self._sockets, strict=True):
            link.close()
            theirs.close()


def deliver(number: int, text: str = "") -> Deliver:
    return Deliver(number, Message(kind=text or "kind", message_id=str(number)))


async def test_what_several_frames_lead_to_arrives_together_and_in_order() -> None:
    _share_a_cork()
    ends = Ends(lambda ends: ends.other.send(deliver(ends.taken)))
    try:
        ends.say(encode_frame(RunEnded(None)) * 5)
        await until(lambda: ends.taken == 5)
        assert ends.numbers() == [[1], [2, 3, 4, 5]]
    finally:
        ends.close()


async def test_a_long_frame_does_not_overtake_what_is_held_back() -> None:
    _share_a_cork()
    ends = Ends(lambda ends: ends.other.send(deliver(ends.taken, LONG if ends.taken == 3 else "")))
    try:
        ends.say(encode_frame(RunEnded(None)) * 4)
        await until(lambda: ends.taken == 4)
        assert ends.numbers() == [[1], [2], [3], [4]]
    finally:
        ends.close()


async def test_what_is_held_back_is_sent_before_the_link_is_closed() -> None:
    _share_a_cork()

    def farewell(ends: Ends) -> None:
        if ends.taken == 2:
            ends.other.send(Finish())
            ends.other.close()

    ends = Ends(farewell)
    try:
        ends.say(encode_frame(RunEnded(None)) * 3)
        await until(lambda: ends.taken == 3)
        assert ends.heard() == [[Finish()]]
    finally:
        ends.close()


async def test_nothing_is_taken_from_behind_a_frame_that_is_none() -> None:
    _share_a_cork()
    ends = Ends(lambda ends: ends.other.send(deliver(ends.taken)))
    try:
        good = encode_frame(RunEnded(None))
        ends.say(good * 2 + b"\0\0\0\1\xff" + good)
        await until(lambda: ends.violations)
        assert ends.taken == 2
        assert ends.numbers() == [[1], [2]], "what came before it counts"
    finally:
        ends.close()


def _share_a_cork() -> None:
    vars(asyncio.get_running_loop())["cork"] = Cork()
