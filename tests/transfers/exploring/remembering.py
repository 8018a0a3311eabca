"""Steps that are worked out once for all worlds that look the same to them.

A step sees the host that it is taken at, and seldom more: another host that it asks, a fact that it compares. What
it sees is noted when it is worked out, and wherever all that is the same again, so is its outcome. So nothing is
assumed of a rule but that it goes by what it was given.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from paglets.testing.network.traffic import Traffic
from tests.transfers.exploring.choices import Maker, take
from tests.transfers.exploring.deliveries import delivery
from tests.transfers.exploring.draft import Draft
from tests.transfers.exploring.messages import addressee
from tests.transfers.exploring.numbered import BUDGET, FACTS, HOSTS, NET, Atlas, Numbered
from tests.transfers.exploring.steps import steps_at
from tests.transfers.exploring.world import BrokenPromiseError, HostState

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.transfers.exploring.choices import Choice
    from tests.transfers.exploring.numbered import Change
    from tests.transfers.exploring.scope import Scope
    from tests.transfers.exploring.world import World


class WatchedDraft(Draft):
    """A draft that notes what the step looks at."""

    def __init__(self, world: World, scope: Scope) -> None:
        super().__init__(world, scope)
        self.seen: set[str] = set()
        self.asked: set[Any] = set()

    def host(self, name: str) -> HostState:
        self.seen.add(name)
        return super().host(name)

    def known(self, *fact: Any) -> bool:
        self.asked.add(fact)
        return super().known(*fact)


class Deed:
    """A step at a host that is in one state, and what became of it, by what else it saw."""

    __slots__ = ("asked", "at", "choice", "looked_at", "outcomes")

    def __init__(self, choice: Choice, at: int) -> None:
        self.choice = choice
        self.at = at
        """Where the host stands in a numbered world."""
        self.looked_at: tuple[int, ...] = ()
        """Where other hosts stand that it looked at."""
        self.asked: tuple[Any, ...] = ()
        """The facts that it asked for."""
        self.outcomes: dict[tuple[Any, ...], Change | str | None] = {}
        """By the states of those hosts, and whether those facts were known."""


class OneHost(Sequence[HostState]):
    """The hosts, to one who may look at one of them only."""

    def __init__(self, place: int, host: HostState) -> None:
        self._place = place
        self._host = host

    def __len__(self) -> int:
        return self._place + 1

    def __getitem__(self, place: Any) -> Any:
        if place != self._place:
            raise AssertionError("which steps there are may depend on one host only")
        return self._host


class Here(NamedTuple):
    """The world as it is seen from one host."""

    hosts: OneHost
    budget: tuple[int, ...]
    net: Traffic[Any] = Traffic()
    """What is sent again is under way once, so nobody has to look whether it is."""
    facts: frozenset[Any] = frozenset()


class Memory:
    """All steps that were ever found, by where they are taken."""

    def __init__(self, scope: Scope, atlas: Atlas) -> None:
        self._scope = scope
        self._atlas = atlas
        self._at_hosts: dict[tuple[int, int, int], list[Deed]] = {}
        self._of_messages: dict[tuple[Any, int, int], list[Deed]] = {}
        self._deeds: dict[tuple[Any, ...], list[Deed]] = {}
        self._arriving: dict[int, list[tuple[Any, int]]] = {}

    def steps(self, world: Numbered) -> Iterator[Deed]:
        """What can happen in a world."""
        budget = world[BUDGET]
        for place in range(HOSTS, len(world)):
            state = world[place]
            deeds = self._at_hosts.get((place, state, budget))
            if deeds is None:
                maker = self._maker(place, state, budget)
                name = self._scope.host_ids[place - HOSTS]
                deeds = self._known(place, state, steps_at(maker, name))
                self._at_hosts[place, state, budget] = deeds
            yield from deeds
        for message, place in self._under_way(world[NET]):
            state = world[place]
            deeds = self._of_messages.get((message, state, budget))
            if deeds is None:
                deeds = self._known(place, state, delivery(self._maker(place, state, budget), message))
                self._of_messages[message, state, budget] = deeds
            yield from deeds

    def take(self, deed: Deed, world: Numbered) -> Change | None:
        """What the step does; None when it turns out not to be possible. `BrokenPromiseError` passes through."""
        seen = self._sight(deed, world)
        outcome = deed.outcomes[seen] if seen in deed.outcomes else self.work_out(deed, world)
        if isinstance(outcome, str):
            raise BrokenPromiseError(outcome)
        return outcome

    def _sight(self, deed: Deed, world: Numbered) -> tuple[Any, ...]:
        if not deed.asked:
            return tuple([world[place] for place in deed.looked_at])
        facts = self._atlas.facts.values[world[FACTS]]
        return (*[world[place] for place in deed.looked_at], *[fact in facts for fact in deed.asked])

    def work_out(self, deed: Deed, numbered: Numbered) -> Change | str | None:
        """Take the step in a world, and note what it saw; a promise that it broke is its outcome then."""
        world = self._atlas.world(numbered)
        draft = WatchedDraft(world, self._scope)
        outcome: Change | str | None
        try:
            label = take(deed.choice, draft)
        except BrokenPromiseError as broken:
            outcome = str(broken)
        else:
            outcome = None if label is None else self._atlas.change(label, world, draft)
        places = {HOSTS + self._scope.index[name] for name in draft.seen} - {deed.at}
        if not places <= set(deed.looked_at) or not draft.asked <= set(deed.asked):
            # It looks at more than it was known to; the outcomes so far cannot be found by all of that.
            deed.looked_at = tuple(sorted(places | set(deed.looked_at)))
            deed.asked = tuple({*deed.asked, *draft.asked})
            deed.outcomes.clear()
        deed.outcomes[self._sight(deed, numbered)] = outcome
        return outcome

    def _maker(self, place: int, state: int, budget: int) -> Maker:
        hosts = OneHost(place - HOSTS, self._atlas.hosts.values[state])
        return Maker(Here(hosts, self._atlas.budgets.values[budget]), self._scope)

    def _known(self, place: int, state: int, choices: Iterable[Choice]) -> list[Deed]:
        """The same deed for the same step, whatever the budget."""
        deeds: list[Deed] = []
        for choice in choices:
            # Records have fields that cannot be hashed, so what is asked of a host is compared.
            alike = self._deeds.setdefault((place, state, choice.act), [])
            deed = next((each for each in alike if each.choice == choice), None)
            if deed is None:
                deed = Deed(choice, place)
                alike.append(deed)
            deeds.append(deed)
        return deeds

    def _under_way(self, net: int) -> list[tuple[Any, int]]:
        """The messages, and where the hosts stand that they come to."""
        arriving = self._arriving.get(net)
        if arriving is None:
            index = self._scope.index
            # In one order, so that the same scope finds the same history each time.
            messages = sorted(self._atlas.nets.values[net], key=self._atlas.messages.number)
            arriving = [(message, HOSTS + index[addressee(message)]) for message in messages]
            self._arriving[net] = arriving
        return arriving
