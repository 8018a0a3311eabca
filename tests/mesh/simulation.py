"""A mesh in memory: membership machines on a network that can drop and part, by a clock that jumps."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from paglets.remote.discovery import AddressHint
from paglets.remote.members import Gossip, HostFacts, MemberStatus
from paglets.remote.membership import Membership
from paglets.remote.membership_effects import (
    Effect,
    Goodbye,
    MembershipSettings,
    MeshEvent,
    MeshEventKind,
    Ping,
    PingVia,
)
from paglets.testing.network.network import Network, Weather

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable

    from paglets.testing.clock import Timer

NOBODY = -1
"""Who is at an address that no host has."""


def host_id(number: int) -> str:
    return f"host{number:04d}"


def url_of(number: int) -> str:
    return f"https://10.0.{number // 250}.{number % 250 + 1}:8765"


def facts_of(number: int, *, version: str = "1", name: str = "", url: str = "") -> HostFacts:
    return HostFacts(host_id(number), name or f"name{number}", url or url_of(number), code_version=version)


class Call(NamedTuple):
    """A ping: what it says, and what the caller knows the answer by."""

    ping: Ping


class Answer(NamedTuple):
    """What was said to a ping."""

    ping: Ping
    gossip: Gossip


class Probe(NamedTuple):
    """A host is asked whether it reaches another one."""

    asked: PingVia


class Knock(NamedTuple):
    """It tries."""

    asker: int
    asked: PingVia


class Knocked(NamedTuple):
    """It does."""

    asker: int
    asked: PingVia


class Reached(NamedTuple):
    """And says so."""

    asked: PingVia


class Bye(NamedTuple):
    """A host leaves."""


Message = Call | Answer | Probe | Knock | Knocked | Reached | Bye


Awaited = tuple[int, str, bool]
"""An answer: the token, the host that was asked, and whether it was asked about another one."""


def awaited_by(asked: Ping | PingVia) -> Awaited:
    return asked.token, asked.host_id, isinstance(asked, PingVia)


@dataclass
class Node:
    number: int
    machine: Membership
    alive: bool = True
    events: list[tuple[float, MeshEvent]] = field(default_factory=list[tuple[float, MeshEvent]])
    wakeup: float = 0.0
    waiting: dict[Awaited, Timer] = field(default_factory=dict["Awaited", "Timer"])
    """When it gives up what it waits for."""

    def kinds(self, number: int) -> list[MeshEventKind]:
        return [event.kind for _, event in self.events if event.host.host_id == host_id(number)]

    def status(self, number: int) -> MemberStatus | None:
        member = self.machine.table.members.get(host_id(number))
        return None if member is None else member.fact.status

    def heard(self, awaited: Awaited) -> bool:
        """Whether it still waited for that; it does not any more."""
        timer = self.waiting.pop(awaited, None)
        if timer is not None:
            timer.cancel()
        return timer is not None


class Simulation:
    """Nodes that exchange their effects over ``network``.

    Of a probe by way of another host only the two requests may get lost: the way back is the same open connection.
    """

    def __init__(
        self, *, seed: int = 1, settings: MembershipSettings | None = None, drop: float = 0.0
    ) -> None:
        self.network: Network[int, Message] = Network(seed=seed, weather=Weather(drop=drop))
        self.settings = settings or MembershipSettings()
        self.nodes: dict[int, Node] = {}

    @property
    def now(self) -> float:
        return self.network.clock.now()

    @property
    def sent(self) -> Counter[int]:
        """How many messages each host has sent."""
        return self.network.sent

    def start(self, number: int, *seeds: int, facts: HostFacts | None = None) -> Node:
        """Start a host, also one that ran before and knows nothing of it."""
        random = Random(self.network.random.getrandbits(64))
        machine = Membership(self.settings, facts or facts_of(number), now=self.now, random=random)
        node = Node(number, machine)
        self.nodes[number] = node
        self.network.attach(number, lambda source, message: self._receive(node, source, message))
        for seed in seeds:
            self.perform(node, machine.hint(self.now, AddressHint(url_of(seed)), seed=True))
        self._schedule(node)
        return node

    def crash(self, number: int) -> None:
        self.nodes[number].alive = False
        self.network.detach(number)

    def leave(self, number: int) -> None:
        node = self.nodes[number]
        self.perform(node, node.machine.leave())
        self.crash(number)

    def run(self, seconds: float) -> None:
        """Let time pass."""
        self.network.clock.advance(seconds)

    def run_until(self, condition: Callable[[], bool], limit: float) -> float:
        """Let time pass until the condition holds; how long that took. ``AssertionError`` past the limit."""
        return self.network.clock.advance_until(condition, within=limit)

    def everyone_agrees(self) -> bool:
        """Whether every living host knows exactly the living hosts as up."""
        living = {number for number, node in self.nodes.items() if node.alive}
        expected = {host_id(number) for number in living}
        return all(
            set(self.nodes[number].machine.table.up()) == expected - {host_id(number)} for number in living
        )

    # --- what machines want ------------------------------------------------------------------------------

    def perform(self, node: Node, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case MeshEvent():
                    node.events.append((self.now, effect))
                case Ping():
                    self._wait(node, effect, effect.timeout, lambda e=effect: self._unanswered(node, e))
                    self._send(node, self._at(effect.host_id, effect.urls), Call(effect))
                case PingVia():
                    patience = 2 * effect.timeout
                    self._wait(node, effect, patience, lambda e=effect: self._probed(node, e, False))
                    self._send(node, self._at(effect.host_id, effect.urls), Probe(effect))
                case Goodbye():
                    self._send(node, self._at(effect.host_id, effect.urls), Bye())
        self._schedule(node)

    def _schedule(self, node: Node) -> None:
        wakeup = max(node.machine.next_wakeup(self.now), self.now + 0.001)
        node.wakeup = wakeup
        if wakeup == float("inf"):
            return

        def tick() -> None:
            if node.alive and node.wakeup == wakeup:
                self.perform(node, node.machine.tick(self.now))

        self.network.clock.later(wakeup - self.now, tick)

    def _at(self, wanted: str, urls: tuple[str, ...]) -> int:
        """Who answers there, and is who it is asked to be."""
        for node in self.nodes.values():
            if node.alive and wanted in {"", host_id(node.number)}:
                here = node.machine.own.facts.urls()
                if any(url in here for url in urls):
                    return node.number
        return NOBODY

    def _send(self, node: Node, target: int, message: Message) -> None:
        self.network.send(node.number, target, message)

    def _wait(self, node: Node, asked: Ping | PingVia, seconds: float, give_up: Callable[[], None]) -> None:
        awaited = awaited_by(asked)

        def too_late() -> None:
            if node.alive and node.heard(awaited):
                give_up()

        node.waiting[awaited] = self.network.clock.later(seconds, too_late)

    # --- what arrives ------------------------------------------------------------------------------------

    def _receive(self, node: Node, source: int, message: Message) -> None:
        match message:
            case Call(ping):
                reply, effects = node.machine.received(self.now, host_id(source), ping.gossip)
                self._send(node, source, Answer(ping, reply))
                self.perform(node, effects)
            case Answer(ping, gossip):
                if node.heard(awaited_by(ping)):
                    url = ping.urls[0] if len(ping.urls) == 1 else ""
                    self.perform(node, node.machine.answered(self.now, ping.token, url, gossip))
            case Probe(asked):
                member = node.machine.table.members.get(asked.target)
                there = NOBODY if member is None else self._at(asked.target, member.urls)
                self._send(node, there, Knock(source, asked))
            case Knock(asker, asked):
                self.network.send(node.number, source, Knocked(asker, asked), reliably=True)
            case Knocked(asker, asked):
                self.network.send(node.number, asker, Reached(asked), reliably=True)
            case Reached(asked):
                if node.heard(awaited_by(asked)):
                    self._probed(node, asked, True)
            case Bye():
                self.perform(node, node.machine.goodbye(self.now, host_id(source)))

    def _unanswered(self, node: Node, ping: Ping) -> None:
        self.perform(node, node.machine.unanswered(self.now, ping.token, "no answer"))

    def _probed(self, node: Node, asked: PingVia, reached: bool) -> None:
        effects = node.machine.probed_via(self.now, asked.token, reached=reached, error="no answer")
        self.perform(node, effects)
