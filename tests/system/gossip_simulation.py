"""Hosts that gossip, in memory: a clock that jumps, a network that loses messages."""

from __future__ import annotations

from collections import Counter
from random import Random

from paglets.system.mesh_info.contract import HostFacts
from paglets.system.mesh_info.gossip import Gossip, GossipSettings


def host_id(number: int) -> str:
    return f"host{number:04d}"


def url_of(number: int) -> str:
    return f"https://10.0.{number // 250}.{number % 250 + 1}:8765"


def facts_of(number: int) -> HostFacts:
    return HostFacts(host_id(number), f"name{number}", url_of(number))


class Mesh:
    """``rounds(n)`` lets each host that is up begin a round, one after the other in a random order."""

    def __init__(self, count: int, *, loss: float = 0.0, seed: int = 1) -> None:
        self.now = 0.0
        self.random = Random(seed)
        self.loss = loss
        self.hosts: dict[int, Gossip] = {}
        self.sent: Counter[int] = Counter()
        self.largest = 0
        self.settings = GossipSettings()
        for number in range(count):
            self.start(number)

    def start(self, number: int) -> Gossip:
        """A host comes up, with nothing that it remembers."""
        self.hosts[number] = Gossip(
            host_id(number),
            clock=lambda: self.now,
            random=Random(self.random.random()),
            settings=self.settings,
        )
        return self.hosts[number]

    def stop(self, number: int) -> None:
        del self.hosts[number]

    def rounds(self, count: int = 1, *, interval: float | None = None) -> None:
        for _ in range(count):
            numbers = list(self.hosts)
            self.random.shuffle(numbers)
            for number in numbers:
                self._round(number)
            self.now += self.settings.idle_interval if interval is None else interval

    def _round(self, number: int) -> None:
        urls = {url_of(other): other for other in self.hosts if other != number}
        ask = self.hosts[number].begin_round(facts_of(number), list(urls))
        if ask is None:
            return
        url, request = ask
        self._count(number, len(request.entries))
        if self.random.random() < self.loss:
            return
        reply = self.hosts[urls[url]].answer(request)
        self._count(urls[url], len(reply.entries))
        if self.random.random() >= self.loss:
            self.hosts[number].take_reply(reply)

    def _count(self, number: int, entries: int) -> None:
        self.sent[number] += 1
        self.largest = max(self.largest, entries)

    def knows(self, number: int, other: int) -> bool:
        return self.hosts[number].table.get(host_id(other)) is not None

    def all_know_all(self) -> bool:
        return all(self.knows(a, b) for a in self.hosts for b in self.hosts)

    def rounds_until_all_know_all(self, at_most: int) -> int:
        for count in range(1, at_most + 1):
            self.rounds()
            if self.all_know_all():
                return count
        raise AssertionError(f"not within {at_most} rounds")

    def oldest(self) -> float:
        """The greatest age of any entry about a host that is up, anywhere."""
        up = {host_id(number) for number in self.hosts}
        return max(
            gossip.age(known)
            for gossip in self.hosts.values()
            for known in gossip.table.all()
            if known.facts.host_id in up
        )
