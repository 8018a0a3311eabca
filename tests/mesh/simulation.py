"""A mesh in memory: membership machines, a clock that jumps, and a network that can drop and part."""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from collections.abc import Callable

LATENCY = 0.005


def host_id(number: int) -> str:
    return f"host{number:04d}"


def url_of(number: int) -> str:
    return f"https://10.0.{number // 250}.{number % 250 + 1}:8765"


def facts_of(number: int, *, version: str = "1", name: str = "", url: str = "") -> HostFacts:
    return HostFacts(host_id(number), name or f"name{number}", url or url_of(number), code_version=version)


@dataclass
class Node:
    number: int
    machine: Membership
    alive: bool = True
    events: list[tuple[float, MeshEvent]] = field(default_factory=list[tuple[float, MeshEvent]])
    wakeup: float = 0.0

    def kinds(self, number: int) -> list[MeshEventKind]:
        return [event.kind for _, event in self.events if event.host.host_id == host_id(number)]

    def status(self, number: int) -> MemberStatus | None:
        member = self.machine.table.members.get(host_id(number))
        return None if member is None else member.fact.status


class Simulation:
    """Nodes that exchange their effects. ``blocked(a, b)`` says whether a cannot reach b."""

    def __init__(
        self, *, seed: int = 1, settings: MembershipSettings | None = None, drop: float = 0.0
    ) -> None:
        self.now = 0.0
        self.random = Random(seed)
        self.settings = settings or MembershipSettings()
        self.drop = drop
        self.blocked: Callable[[int, int], bool] = lambda _source, _target: False
        self.nodes: dict[int, Node] = {}
        self.sent: Counter[int] = Counter()
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()

    def start(self, number: int, *seeds: int, facts: HostFacts | None = None) -> Node:
        """Start a host, also one that ran before and knows nothing of it."""
        machine = Membership(
            self.settings, facts or facts_of(number), now=self.now, random=Random(self.random.getrandbits(64))
        )
        node = Node(number, machine)
        self.nodes[number] = node
        for seed in seeds:
            self.perform(node, machine.hint(self.now, AddressHint(url_of(seed)), seed=True))
        self._schedule(node)
        return node

    def crash(self, number: int) -> None:
        self.nodes[number].alive = False

    def leave(self, number: int) -> None:
        node = self.nodes[number]
        self.perform(node, node.machine.leave())
        node.alive = False

    def run(self, seconds: float) -> None:
        """Let time pass."""
        end = self.now + seconds
        while self._queue and self._queue[0][0] <= end:
            self.now, _, action = heapq.heappop(self._queue)
            action()
        self.now = end

    def run_until(self, condition: Callable[[], bool], limit: float) -> float:
        """Let time pass until the condition holds; how long that took. ``AssertionError`` past the limit."""
        start = self.now
        while not condition():
            assert self.now - start < limit, f"it did not happen within {limit} s"
            self.run(0.05)
        return self.now - start

    def everyone_agrees(self) -> bool:
        """Whether every living host knows exactly the living hosts as up."""
        living = {number for number, node in self.nodes.items() if node.alive}
        expected = {host_id(number) for number in living}
        return all(
            set(self.nodes[number].machine.table.up()) == expected - {host_id(number)} for number in living
        )

    # --- inside -------------------------------------------------------------------------------------------

    def later(self, delay: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._queue, (self.now + delay, next(self._order), action))

    def perform(self, node: Node, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case MeshEvent():
                    node.events.append((self.now, effect))
                case Ping():
                    self._ping(node, effect)
                case PingVia():
                    self._ping_via(node, effect)
                case Goodbye():
                    self._goodbye(node, effect)
        self._schedule(node)

    def _schedule(self, node: Node) -> None:
        wakeup = max(node.machine.next_wakeup(self.now), self.now + 0.001)
        node.wakeup = wakeup
        if wakeup == float("inf"):
            return

        def tick() -> None:
            if node.alive and node.wakeup == wakeup and self.nodes[node.number] is node:
                self.perform(node, node.machine.tick(self.now))

        self.later(wakeup - self.now, tick)

    def target(self, source: int, wanted: str, urls: tuple[str, ...]) -> Node | None:
        """Who answers there, and is who it is asked to be."""
        for node in self.nodes.values():
            here = set(node.machine.own.facts.urls())
            if node.alive and here & set(urls) and wanted in ("", host_id(node.number)):
                return None if self.blocked(source, node.number) else node
        return None

    def _lost(self) -> bool:
        return self.random.random() < self.drop

    def _ping(self, node: Node, ping: Ping) -> None:
        self.sent[node.number] += 1
        target = self.target(node.number, ping.host_id, ping.urls)
        if target is None or self._lost():
            delay = ping.timeout
            self.later(delay, lambda: self._unanswered(node, ping))
            return
        there = target

        def arrive() -> None:
            if not there.alive:
                self.later(ping.timeout, lambda: self._unanswered(node, ping))
                return
            reply, effects = there.machine.received(self.now, host_id(node.number), ping.gossip)
            self.sent[there.number] += 1
            self.perform(there, effects)
            if self._lost() or self.blocked(there.number, node.number):
                self.later(ping.timeout, lambda: self._unanswered(node, ping))
            else:
                self.later(LATENCY, lambda: self._answered(node, ping, reply))

        self.later(LATENCY, arrive)

    def _answered(self, node: Node, ping: Ping, reply: Gossip) -> None:
        if node.alive:
            url = ping.urls[0] if len(ping.urls) == 1 else ""
            self.perform(node, node.machine.answered(self.now, ping.token, url, reply))

    def _unanswered(self, node: Node, ping: Ping) -> None:
        if node.alive:
            self.perform(node, node.machine.unanswered(self.now, ping.token, "no answer"))

    def _ping_via(self, node: Node, ping: PingVia) -> None:
        self.sent[node.number] += 1
        via = self.target(node.number, ping.host_id, ping.urls)
        reached = False
        if via is not None and not self._lost():
            self.sent[via.number] += 1
            member = via.machine.table.members.get(ping.target)
            there = self.target(via.number, ping.target, member.urls) if member is not None else None
            reached = there is not None and not self._lost()

        def report() -> None:
            if node.alive:
                self.perform(
                    node, node.machine.probed_via(self.now, ping.token, reached=reached, error="no answer")
                )

        self.later(4 * LATENCY if reached else 2 * ping.timeout, report)

    def _goodbye(self, node: Node, goodbye: Goodbye) -> None:
        self.sent[node.number] += 1
        target = self.target(node.number, goodbye.host_id, goodbye.urls)
        if target is not None and not self._lost():
            there = target
            sender = host_id(node.number)
            self.later(LATENCY, lambda: self.perform(there, there.machine.goodbye(self.now, sender)))
