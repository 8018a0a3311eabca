"""One walk through a world: random steps of the explored machines and rules, checked as it goes."""

from __future__ import annotations

import random
from collections import Counter, deque
from dataclasses import replace
from typing import TYPE_CHECKING

from paglets.runtime.transfers.source_move import Stage
from tests.transfers.exploring import living as lives
from tests.transfers.exploring.adopting import adopt
from tests.transfers.exploring.choices import Maker, take
from tests.transfers.exploring.deliveries import delivery
from tests.transfers.exploring.draft import Draft
from tests.transfers.exploring.explorer import first_hosts
from tests.transfers.exploring.invariants import at_rest, check_paglet, no_message_lost
from tests.transfers.exploring.scope import Budget, Scope
from tests.transfers.exploring.steps import OF_A_HOST, OF_A_MOVE, OF_A_RECORD, name_of, steps_of_records
from tests.transfers.exploring.stores import as_they_are, is_held, records
from tests.transfers.exploring.world import POSITION, BrokenPromiseError
from tests.transfers.soaking.census import Census
from tests.transfers.soaking.world import MUCH, WalkedWorld, budget

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.transfers.exploring.choices import Choice
    from tests.transfers.exploring.world import HostState

WILLS = {
    "moves": 30.0,
    "clones": 2.0,
    "retracts": 6.0,
    "here": 4.0,
    "parks": 5.0,
    "disposals": 2.0,
    "messages": 1.5,
    "queues": 3.0,
    "adoptions": 2.0,
    "discards": 2.0,
}
"""How much each is wanted. Whoever dispatches, asks back, clones, or moves to where it is, moves."""
FAULTS = {
    "crashes": 3.0,
    "deaths": 3.0,
    "refusals": 4.0,
    "losses": 6.0,
    "deadlines": 6.0,
    "full": 5.0,
    "failures": 2.0,
    "absences": 4.0,
    "expiries": 3.0,
}
COPIES = {"backups": 0.3, "restores": 0.3}
"""What befalls stores."""
MOVES = {"dispatch", "clone", "obey", "move_here", "move"}
"""The steps that begin a move."""
SELDOM = {"ask": 0.1, "send_on": 0.05, "set_about": 0.3, "checkpoint": 0.2, "activate": 4.0}
"""How likely a step is that takes from no budget; 1 when it is not listed."""
FEWEST, MOST = 4, 10
"""Paglets."""
REST_AFTER = 100
"""Moves after which the world is left to itself until it comes to rest."""
FORGET_AFTER = 3
"""Times of rest after which things are forgotten."""
STILL = 1000
"""Steps without a move after which it is left to itself, too: there may be no paglet any more that could move."""
PATIENCE = 20_000
"""Steps that it may need to come to rest, or until something moves again."""
KEPT_HISTORY = 400

SCOPE = Scope(
    Budget(forgets=1, backups=1, restores=1),
    hosts="A B C D",
    agents={"p": "A", "q": "A", "r": "B", "s": "C", "t": "D"},
    floors=True,
    checkpoints=True,
    hooks=True,
    receipts=True,
    patience=2,
    pack=as_they_are,
)


class Walk:
    """From one seed: the same steps each time."""

    def __init__(self, seed: int, scope: Scope = SCOPE, *, told: Callable[[str], None] | None = None) -> None:
        self.scope = replace(scope)
        self.counts: Counter[str] = Counter()
        """How often each step was taken, by the name of its function."""
        self.taken: Counter[str] = Counter()
        """The same by `name_of`: some functions have the same name."""
        self.faults: Counter[str] = Counter()
        self.history: deque[str] = deque(maxlen=KEPT_HISTORY)
        self.moves = 0
        self._rests = 0
        self._told = told
        self._chance = random.Random(seed)
        self._populate()
        self._wills = budget(**dict.fromkeys(WILLS, MUCH))
        self._faults = budget(**dict.fromkeys([*FAULTS, *COPIES], MUCH))
        self._duties = budget(adoptions=MUCH)

    def _populate(self) -> None:
        self._world = WalkedWorld(first_hosts(self.scope), self._chance)
        self._census = Census(self.scope.agents)

    def go(self, moves: int) -> None:
        """Walk on until that many moves have begun, and then to rest; `BrokenPromiseError` when one is broken."""
        rest_at, still = self.moves, 0
        try:
            while self.moves < moves:
                if self.moves >= rest_at or still == STILL:
                    self._rest()
                    rest_at = self.moves + REST_AFTER
                begun = self.moves
                self._step()
                still = 0 if self.moves > begun else still + 1
                if still > PATIENCE:
                    raise BrokenPromiseError("I3 nothing moves any more")
            self._rest()
        finally:
            self._count_messages()

    def _count_messages(self) -> None:
        self.faults["lost messages"] += self._world.net.lost
        self.faults["doubled messages"] += self._world.net.doubled

    def _hosts(self) -> Iterator[tuple[str, HostState]]:
        return zip(self.scope.host_ids, self._world.hosts, strict=True)

    # --- one step

    def _step(self) -> None:
        dice = self._chance.random()
        if dice < 0.05:
            self._world.budget = self._faults
            held = any(is_held(host.store, name) for name, host in self._hosts())
            self._faults[POSITION["restores"]] = MUCH if self.scope.budget.restores and not held else 0
        elif dice < 0.3:
            self._world.budget = self._wills
            self._wills[POSITION["clones"]] = MUCH if len(self._census) < MOST else 0
            self._wills[POSITION["disposals"]] = MUCH if len(self._census) > FEWEST else 0
        else:
            self._world.budget = self._duties
        self._take_some(duties_only=dice >= 0.3)

    def _take_some(self, *, duties_only: bool) -> None:
        """Take one of the steps at a random place: of a message that arrives, or at a host."""
        maker = Maker(self._world, self.scope)
        net = self._world.net
        if net and self._chance.random() < 0.5:
            message = net.pick()
            choices = list(delivery(maker, message))
            net.arrived(message)
        else:
            choices = list(self._steps_at(maker, self._chance.choice(self.scope.host_ids)))
        if duties_only:
            choices = [choice for choice in choices if choice.progress or _is_needed(choice)]
        if choices:
            self._take(self._choose(choices))

    def _steps_at(self, maker: Maker, name: str) -> Iterator[Choice]:
        host = maker.host(name)
        for running in host.moves:
            for of_a_move in OF_A_MOVE:
                yield from of_a_move(maker, name, host, running)
        yield from steps_of_records(maker, name, host)
        for of_a_host in OF_A_HOST:
            if of_a_host is not lives.floors or self._chance.random() < 0.02:
                yield from of_a_host(maker, name, host)

    def _choose(self, choices: list[Choice]) -> Choice:
        if len(choices) == 1:
            return choices[0]
        return self._chance.choices(choices, [_weight(choice) for choice in choices])[0]

    def _take(self, choice: Choice) -> None:
        draft = Draft(self._world, self.scope)
        label = take(choice, draft)
        if label is None:
            return
        name = choice.act.__name__
        self.counts[name] += 1
        self.taken[name_of(choice.act)] += 1
        self.moves += name in MOVES
        if choice.spend in FAULTS | COPIES:
            self.faults[choice.spend] += 1
        elif choice.spend in {"messages", "queues"}:  # which are named by what is left
            self._wills[POSITION[choice.spend]] -= 1
        self.history.append(label)
        if self._told is not None:
            self._told(label)
        for fact in draft.noted:
            self._census.hear(fact)
        touched = self._world.apply(draft)
        for name, host in zip(self.scope.host_ids, self._world.hosts, strict=True):
            if ("restored", name) in draft.noted:
                self._census.brought_back(host, self._world.hosts)
        for agent_id in touched:
            check_paglet(
                agent_id, self._world.hosts, self.scope, self._world.facts, lives=agent_id in self._census
            )

    # --- rest

    def _rest(self) -> None:
        """Nobody wants anything, nothing goes wrong: the protocol has to come to rest by itself."""
        self._world.budget = self._duties
        for taken in range(PATIENCE):
            if taken % 20 == 0 and at_rest(self._world.hosts, self._census.at(self._world.hosts), self.scope):
                break
            self._take_some(duties_only=True)
        else:
            raise BrokenPromiseError("I3 it never settles")
        self._census.take(self._world.hosts)
        alive = self._census.at(self._world.hosts)
        if any(("restored", name) in self._world.facts for name in self.scope.host_ids):
            self._world.begin_afresh(alive, self.scope.host_ids)
        no_message_lost(self._world.hosts, self._world.facts, alive)
        self._rests += 1
        if not alive:  # the disk that held the last of them is lost, or each was disposed of
            self._count_messages()
            self._populate()
        elif self._rests % FORGET_AFTER == 0:
            self._forget()

    def _forget(self) -> None:
        """A month passes: of what is over, some is forgotten, and backups are too old to be put back."""
        self._world.lose_backups()
        maker = Maker(self._world, self.scope)
        self._world.budget = budget(forgets=MUCH)
        for name in self.scope.host_ids:
            host = maker.host(name)
            for record in list(records(host.store).values()):
                for of_a_record in OF_A_RECORD:
                    for choice in list(of_a_record(maker, name, host, record)):
                        if choice.spend == "forgets" and self._chance.random() < 0.5:
                            self._take(choice)


def _is_needed(choice: Choice) -> bool:
    """Whether nothing but an operator's word settles it: a move of a restored store, whose target says CLOSED."""
    return choice.act is adopt and choice.args[1].move.stage is Stage.PARKED


def _weight(choice: Choice) -> float:
    if choice.spend:
        return (WILLS | FAULTS | COPIES).get(choice.spend, 1.0)
    return SELDOM.get(choice.act.__name__, 1.0)
