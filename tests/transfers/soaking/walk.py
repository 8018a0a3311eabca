"""One walk through a world: random steps of the explored machines and rules, checked as it goes."""

from __future__ import annotations

import random
from collections import Counter, deque
from dataclasses import replace
from typing import TYPE_CHECKING

from tests.transfers.exploring import living as lives
from tests.transfers.exploring.choices import Maker, take
from tests.transfers.exploring.deliveries import delivery
from tests.transfers.exploring.draft import Draft
from tests.transfers.exploring.explorer import first_hosts
from tests.transfers.exploring.invariants import at_rest, check_paglet, no_message_lost
from tests.transfers.exploring.scope import Budget, Scope
from tests.transfers.exploring.steps import OF_A_HOST, OF_A_MOVE, OF_A_RECORD, steps_of_records
from tests.transfers.exploring.stores import as_they_are, records
from tests.transfers.exploring.world import POSITION, BrokenPromiseError
from tests.transfers.soaking.world import MUCH, WalkedWorld, budget

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.transfers.exploring.choices import Choice

WILLS = {
    "moves": 30.0,
    "clones": 2.0,
    "retracts": 6.0,
    "here": 4.0,
    "parks": 5.0,
    "disposals": 2.0,
    "messages": 1.5,
    "queues": 3.0,
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
    "expiries": 1.0,
}
MOVES = {"dispatch", "clone", "obey", "move_here", "move"}
"""The steps that begin a move."""
SELDOM = {"ask": 0.1, "send_on": 0.05, "set_about": 0.3, "checkpoint": 0.2, "activate": 4.0}
"""How likely a step is that takes from no budget; 1 when it is not listed."""
FEWEST, MOST = 4, 10
"""Paglets."""
REST_AFTER = 100
"""Moves after which the world is left to itself until it comes to rest."""
PATIENCE = 20_000
"""Steps that it may need for that."""
KEPT_HISTORY = 400

SCOPE = Scope(
    Budget(forgets=1),
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
        """How often each step was taken, by its name."""
        self.faults: Counter[str] = Counter()
        self.history: deque[str] = deque(maxlen=KEPT_HISTORY)
        self.moves = 0
        self._told = told
        self._chance = random.Random(seed)
        self._world = WalkedWorld(first_hosts(self.scope), self._chance)
        self._alive = set(scope.agents)
        self._wills = budget(**dict.fromkeys(WILLS, MUCH))
        self._faults = budget(**dict.fromkeys(FAULTS, MUCH))
        self._duties = budget()

    def go(self, moves: int) -> None:
        """Walk on until that many moves have begun, and then to rest; `BrokenPromiseError` when one is broken."""
        rest_at = self.moves
        try:
            while self.moves < moves:
                if self.moves >= rest_at:
                    self._rest()
                    rest_at = self.moves + REST_AFTER
                self._step()
            self._rest()
        finally:
            self.faults["lost messages"] = self._world.net.lost
            self.faults["doubled messages"] = self._world.net.doubled

    # --- one step

    def _step(self) -> None:
        dice = self._chance.random()
        if dice < 0.05:
            self._world.budget = self._faults
        elif dice < 0.3:
            self._world.budget = self._wills
            self._wills[POSITION["clones"]] = MUCH if len(self._alive) < MOST else 0
            self._wills[POSITION["disposals"]] = MUCH if len(self._alive) > FEWEST else 0
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
            choices = [choice for choice in choices if choice.progress]
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
        self.moves += name in MOVES
        if choice.spend in FAULTS:
            self.faults[choice.spend] += 1
        elif choice.spend in {"messages", "queues"}:  # which are named by what is left
            self._wills[POSITION[choice.spend]] -= 1
        self.history.append(label)
        if self._told is not None:
            self._told(label)
        for fact in draft.noted:
            if fact[0] == "lives":
                self._alive.add(fact[1])
            elif fact[0] == "disposed":
                self._alive.discard(fact[1])
        for agent_id in self._world.apply(draft):
            check_paglet(
                agent_id, self._world.hosts, self.scope, self._world.facts, lives=agent_id in self._alive
            )

    # --- rest

    def _rest(self) -> None:
        """Nobody wants anything, nothing goes wrong: the protocol has to come to rest by itself."""
        self._world.budget = self._duties
        for taken in range(PATIENCE):
            if taken % 20 == 0 and at_rest(self._world.hosts, self._alive, self.scope):
                break
            self._take_some(duties_only=True)
        else:
            raise BrokenPromiseError("I3 it never settles")
        no_message_lost(self._world.hosts, self._world.facts, self._alive)
        self._forget()

    def _forget(self) -> None:
        """Time passes: of what is over, some is forgotten."""
        maker = Maker(self._world, self.scope)
        self._world.budget = budget(forgets=MUCH)
        for name in self.scope.host_ids:
            host = maker.host(name)
            for record in list(records(host.store).values()):
                for of_a_record in OF_A_RECORD:
                    for choice in list(of_a_record(maker, name, host, record)):
                        if choice.spend == "forgets" and self._chance.random() < 0.5:
                            self._take(choice)


def _weight(choice: Choice) -> float:
    if choice.spend:
        return (WILLS | FAULTS).get(choice.spend, 1.0)
    return SELDOM.get(choice.act.__name__, 1.0)
