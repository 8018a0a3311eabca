"""Worlds as a few small numbers, so that very many of them can be kept, compared and left again quickly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeAlias, TypeVar

from paglets.testing.network.traffic import Traffic
from tests.transfers.exploring.messages import Envelope
from tests.transfers.exploring.world import POSITION, HostState, World

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

    from tests.transfers.exploring.draft import Draft

Numbered: TypeAlias = tuple[int, ...]
"""A world: the numbers of what is under way, of the budget, of the facts, and of the state of each host."""
NET, BUDGET, FACTS, HOSTS = 0, 1, 2, 3
"""Where they stand; the hosts are the last ones."""

T = TypeVar("T", bound="Hashable")


class Numbers(Generic[T]):
    """One number for all values that are equal."""

    def __init__(self) -> None:
        self.values: list[T] = []
        self._numbers: dict[T, int] = {}

    def number(self, value: T) -> int:
        """The value's number."""
        number = self._numbers.setdefault(value, len(self.values))
        if number == len(self.values):
            self.values.append(value)
        return number


class Change(NamedTuple):
    """What a step does to any world in which it can be taken."""

    label: str
    hosts: tuple[tuple[int, int], ...]
    """Where a host stands in a numbered world, and the number of its state afterwards."""
    sent: int
    """The number of the messages that are sent, as if nothing else were under way."""
    noted: int
    """The number of the facts, likewise."""
    severed: str = ""
    """A host to which no envelope that is under way comes any more."""


class Atlas:
    """All that worlds are made of, each under its number."""

    def __init__(self) -> None:
        self.hosts: Numbers[HostState] = Numbers()
        self.nets: Numbers[Traffic[Any]] = Numbers()
        self.messages: Numbers[Any] = Numbers()
        """In the order in which they were first sent."""
        self.budgets: Numbers[tuple[int, ...]] = Numbers()
        self.facts: Numbers[frozenset[Any]] = Numbers()
        self.nothing = self.nets.number(Traffic())
        self.no_facts = self.facts.number(frozenset())
        self._sums: dict[tuple[int, int, str], int] = {}
        self._unions: dict[tuple[int, int], int] = {}
        self._spent: dict[tuple[int, str], int] = {}
        self._used_up: dict[int, int] = {}

    def numbered(self, world: World) -> Numbered:
        """The world by numbers."""
        hosts = [self.hosts.number(host) for host in world.hosts]
        net, facts = self.nets.number(world.net), self.facts.number(world.facts)
        return (net, self.budgets.number(world.budget), facts, *hosts)

    def world(self, numbered: Numbered) -> World:
        """The world of those numbers."""
        return World(
            tuple(self.hosts.values[number] for number in numbered[HOSTS:]),
            self.nets.values[numbered[NET]],
            self.budgets.values[numbered[BUDGET]],
            self.facts.values[numbered[FACTS]],
        )

    def change(self, label: str, before: World, draft: Draft) -> Change:
        """What a step has done, which was taken in a world."""
        hosts = tuple(
            (HOSTS + i, self.hosts.number(after))
            for i, (earlier, after) in enumerate(zip(before.hosts, draft.hosts, strict=True))
            if after is not earlier and after != earlier
        )
        for message in draft.sent:
            self.messages.number(message)
        sent = self.nets.number(Traffic(draft.sent))
        return Change(label, hosts, sent, self.facts.number(frozenset(draft.noted)), draft.severed)

    def after(self, before: Numbered, change: Change, spend: str) -> Numbered:
        """The world that a step leads to."""
        net, budget, facts, *hosts = before
        if change.sent != self.nothing or change.severed:
            net = self._with_sent(net, change.sent, change.severed)
        if change.noted != self.no_facts:
            facts = self._with_facts(facts, change.noted)
        if spend:
            budget = self._less(budget, spend)
        for place, number in change.hosts:
            hosts[place - HOSTS] = number
        return (net, budget, facts, *hosts)

    def left_alone(self, world: Numbered) -> Numbered:
        """The same, with all lost that is under way, and nothing new to be begun."""
        budget = self._used_up.get(world[BUDGET])
        if budget is None:
            nothing_left = (0,) * len(self.budgets.values[world[BUDGET]])
            budget = self._used_up[world[BUDGET]] = self.budgets.number(nothing_left)
        return (self.nothing, budget, *world[FACTS:])

    def _with_sent(self, net: int, sent: int, severed: str) -> int:
        number = self._sums.get((net, sent, severed))
        if number is None:
            traffic = self.nets.values[net]
            if severed:
                traffic = traffic.lose(*envelopes_to(severed, traffic))
            number = self.nets.number(traffic.send(*self.nets.values[sent]))
            self._sums[net, sent, severed] = number
        return number

    def _with_facts(self, facts: int, noted: int) -> int:
        number = self._unions.get((facts, noted))
        if number is None:
            number = self.facts.number(self.facts.values[facts] | self.facts.values[noted])
            self._unions[facts, noted] = number
        return number

    def _less(self, budget: int, spend: str) -> int:
        number = self._spent.get((budget, spend))
        if number is None:
            left, place = self.budgets.values[budget], POSITION[spend]
            number = self.budgets.number((*left[:place], left[place] - 1, *left[place + 1 :]))
            self._spent[budget, spend] = number
        return number


def envelopes_to(host: str, net: Iterable[Any]) -> list[Envelope]:
    """What comes to a host on streams."""
    return [each for each in net if isinstance(each, Envelope) and each.target == host]
