"""What has to hold in every state, and what a world at rest looks like."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from paglets.persistence.records import PagletRecord, Phase
from tests.transfers.exploring.stores import is_held, queued, records, tables
from tests.transfers.exploring.world import BrokenPromiseError, Life

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from collections.abc import Set as AbstractSet

    from tests.transfers.exploring.scope import Scope
    from tests.transfers.exploring.world import HostState, World

LIVE = {Phase.ACTIVE, Phase.INACTIVE}


def living(facts: Iterable[Any], scope: Scope) -> set[str]:
    """The paglets that have to be somewhere: those created, and the clones that arrived; none disposed of."""
    born, gone = set(scope.agents), set[str]()
    for fact in facts:
        if fact[0] == "lives":
            born.add(fact[1])
        elif fact[0] in {"disposed", "gone"}:
            gone.add(fact[1])
    return born - gone


def check(world: World, scope: Scope) -> None:
    """Raise `BrokenPromiseError` when an invariant does not hold."""
    alive = living(world.facts, scope)
    known = {agent_id for host in world.hosts for agent_id in records(host.store)}
    for agent_id in known | alive:
        check_paglet(agent_id, world.hosts, scope, world.facts, lives=agent_id in alive)
    no_message_lost(world.hosts, world.facts, alive)
    recalled = [fact for fact in world.facts if fact[0] == "came on recall"]
    if len(recalled) > scope.budget.retracts:
        raise BrokenPromiseError("a paglet was retracted more often than anybody asked for it")


def check_paglet(
    agent_id: str, hosts: Sequence[HostState], scope: Scope, facts: AbstractSet[Any], *, lives: bool
) -> None:
    """The same for one paglet; ``lives``: whether it has to be somewhere."""
    places = {
        name: record
        for name, host in zip(scope.host_ids, hosts, strict=True)
        if (record := records(host.store).get(agent_id)) is not None
    }
    for name, record in places.items():
        waits = record.phase is Phase.INACTIVE or (
            record.outgoing is not None and record.outgoing.was is Phase.INACTIVE
        )
        if record.queued is not None and not waits:
            raise BrokenPromiseError(f"Q1 {agent_id} is {record.phase} at {name}, and waits to be moved")
    live = [name for name, record in places.items() if record.phase in LIVE]
    # Without an adoption there is but one lineage.
    calls = [name for name in live if not is_held(hosts[scope.index[name]].store, name)]
    risked = ("risked", agent_id) in facts  # by an operator who did not wait for everybody
    if len(calls) > len({places[name].incarnation.lineage for name in calls}) and not risked:
        raise BrokenPromiseError(f"I1 {agent_id} is doubled, at {' and '.join(calls)}")
    if lives and not live and not any(record.phase is Phase.PREPARED for record in places.values()):
        raise BrokenPromiseError(f"I2 {agent_id} is lost")
    if len(places) > 1:
        _no_circle(agent_id, places, scope)


def _no_circle(agent_id: str, places: dict[str, PagletRecord], scope: Scope) -> None:
    for start in places:
        at, followed, seen = start, None, set[str]()
        while (forward := scope.rules.follow(places.get(at), followed)) is not None:
            if at in seen:
                raise BrokenPromiseError(f"I4 forwards of {agent_id} lead in a circle from {start}")
            seen.add(at)
            at, followed = forward.host_id, forward.incarnation


def no_message_lost(hosts: Sequence[HostState], facts: AbstractSet[Any], alive: set[str]) -> None:
    """What was accepted waits somewhere, in a queue or an outbox, or was handled."""
    for fact in facts:
        if fact[0] == "accepted" and fact[1] in alive and ("handled", *fact[1:]) not in facts:
            agent_id, message_id = fact[1:]
            waiting = {each.message_id for host in hosts for each in queued(host.store, agent_id)}
            waiting |= {
                each.message_id for host in hosts for each in host.outbox if each.agent_id == agent_id
            }
            if message_id not in waiting:
                raise BrokenPromiseError(f"message {message_id} for {agent_id} is lost")


def at_rest(hosts: Sequence[HostState], alive: set[str], scope: Scope) -> bool:
    """Nothing is open: each living paglet is in one place, active or parked, and forwards lead to it."""
    where: dict[str, str] = {}
    for name, host in zip(scope.host_ids, hosts, strict=True):
        held = tables(host.store)
        if host.moves or host.ending or host.waits or host.outbox or held.abandoned_transfers or held.owed:
            return False
        for agent_id, record in records(host.store).items():
            if record.phase is Phase.PREPARED or record.queued is not None:
                return False
            if record.phase is Phase.INACTIVE and scope.budget.queues and not scope.budget.parks:
                return False  # nobody has parked it
            if record.phase in LIVE:
                if agent_id in where:
                    return False
                where[agent_id] = name
            running = Life(agent_id, record.incarnation) in host.children
            if (record.phase is Phase.ACTIVE) is not running or record.failed:
                return False
        if not _queues_are_handed_on(host):
            return False
    if where.keys() != alive:
        return False
    return scope.budget.forgets > 0 or _forwards_arrive(hosts, scope, where)


def _queues_are_handed_on(host: HostState) -> bool:
    known = records(host.store)
    for agent_id in tables(host.store).queues:
        record = known.get(agent_id)
        if record is None or record.phase is not Phase.INACTIVE:
            return False
    return True


def _forwards_arrive(hosts: Sequence[HostState], scope: Scope, where: dict[str, str]) -> bool:
    known = {name: records(host.store) for name, host in zip(scope.host_ids, hosts, strict=True)}
    for agent_id, place in where.items():
        for name in scope.host_ids:
            record = known[name].get(agent_id)
            at, followed = name, None
            while (forward := scope.rules.follow(record, followed)) is not None:
                at, followed = forward.host_id, forward.incarnation
                record = known[at].get(agent_id)
            if record is not None and at != place:
                return False
    return True
