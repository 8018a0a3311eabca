"""Named nodes that send each other values, by a clock that tests move."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Generic, TypeVar

from paglets.testing.clock import Clock, Timer
from paglets.testing.network.links import Links

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

NodeT = TypeVar("NodeT", bound="Hashable")
MessageT = TypeVar("MessageT")

HELD = math.inf
"""A latency with which messages stay under way until the test delivers them."""


@dataclass(frozen=True, slots=True)
class Packet(Generic[NodeT, MessageT]):
    """One message under way."""

    number: int
    """Counts everything that was ever put on the network; doubles have numbers of their own."""
    source: NodeT
    target: NodeT
    message: MessageT


@dataclass(slots=True)
class Weather:
    """How bad a network is. May be changed at any time, for what is sent from then on."""

    latency: tuple[float, float] = (0.005, 0.005)
    """Least and most seconds under way; when they differ, messages overtake each other. ``HELD``: until delivered by
    hand."""
    drop: float = 0.0
    """The share of messages that get lost, 0 to 1."""
    double: float = 0.0
    """The share of messages that arrive twice, 0 to 1."""


class Network(Generic[NodeT, MessageT]):
    """Takes messages from named nodes to named nodes: late, out of order, twice, or never, as the weather is.

    The machines at its ends do nothing by themselves: a node is a function that is called with (source, message) when
    something arrives. Everything happens while the ``clock`` is moved (``network.clock.advance(seconds)``) or when the
    test says so (``deliver``, ``drop`` ...), on one thread; and by chance only as ``seed`` has it, so the same calls
    give the same history.
    """

    def __init__(self, *, clock: Clock | None = None, seed: int = 0, weather: Weather | None = None) -> None:
        self.clock = clock or Clock()
        self.random = Random(seed)  # noqa: S311 - it has to be the same each time
        """For everything that is to replay with the network."""
        self.weather = weather or Weather()
        self.links = Links[NodeT]()
        self.sent: Counter[NodeT] = Counter()
        """How many messages each node has sent."""
        self._nodes: dict[NodeT, Callable[[NodeT, MessageT], None]] = {}
        self._under_way: dict[int, tuple[Packet[NodeT, MessageT], Timer | None]] = {}
        self._numbers = itertools.count(1)

    # --- nodes -------------------------------------------------------------------------------------------

    def attach(self, name: NodeT, receive: Callable[[NodeT, MessageT], None]) -> None:
        """Give a node its messages, instead of whoever had that name before."""
        self._nodes[name] = receive

    def detach(self, name: NodeT) -> None:
        """Nobody is there any more: what arrives there is lost."""
        self._nodes.pop(name, None)

    def send(self, source: NodeT, target: NodeT, message: MessageT, *, reliably: bool = False) -> None:
        """Put a message on its way; whether it arrives is not known.

        ``reliably``: the weather neither drops nor doubles it; a cut link and an absent target still do lose it.
        """
        self.sent[source] += 1
        if not self.links.is_up(source, target) or self._happens(0.0 if reliably else self.weather.drop):
            return
        for _ in range(2 if self._happens(0.0 if reliably else self.weather.double) else 1):
            least, most = self.weather.latency
            delay = least if least == most else self.random.uniform(least, most)
            self._put(Packet(next(self._numbers), source, target, message), delay)

    # --- by hand -----------------------------------------------------------------------------------------

    @property
    def under_way(self) -> list[Packet[NodeT, MessageT]]:
        """What may still arrive, in the order in which it was sent."""
        return [packet for packet, _ in self._under_way.values()]

    def deliver(self, packet: Packet[NodeT, MessageT]) -> None:
        """Have it arrive now, before whatever was to arrive earlier; ``KeyError`` when it is not under way.

        It is lost where the link is cut, or nobody is.
        """
        self._take(packet)
        receive = self._nodes.get(packet.target)
        if receive is not None and self.links.is_up(packet.source, packet.target):
            receive(packet.source, packet.message)

    def drop(self, packet: Packet[NodeT, MessageT]) -> None:
        """Lose it; ``KeyError`` when it is not under way."""
        self._take(packet)

    def double(self, packet: Packet[NodeT, MessageT], delay: float = 0.0) -> Packet[NodeT, MessageT]:
        """Have it arrive once more, in ``delay`` seconds; the second one, which is a packet of its own."""
        again = Packet(next(self._numbers), packet.source, packet.target, packet.message)
        self._put(again, delay)
        return again

    def delay(self, packet: Packet[NodeT, MessageT], seconds: float) -> None:
        """Have it arrive in that many seconds from now; ``KeyError`` when it is not under way."""
        self._take(packet)
        self._put(packet, seconds)

    def deliver_all(self) -> None:
        """Deliver what is under way, and what is sent because of it, in order, until nothing is."""
        while self._under_way:
            self.deliver(next(iter(self._under_way.values()))[0])

    # --- inside ------------------------------------------------------------------------------------------

    def _happens(self, share: float) -> bool:
        return share > 0.0 and self.random.random() < share

    def _put(self, packet: Packet[NodeT, MessageT], delay: float) -> None:
        timer = None if delay == HELD else self.clock.later(delay, lambda: self.deliver(packet))
        self._under_way[packet.number] = (packet, timer)

    def _take(self, packet: Packet[NodeT, MessageT]) -> None:
        _, timer = self._under_way.pop(packet.number)
        if timer is not None:
            timer.cancel()
