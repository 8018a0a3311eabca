"""What has to hold in every state, and what a world at rest looks like."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paglets.persistence.records import PagletRecord, Phase
from tests.transfers.exploring.world import BrokenPromiseError, Life, World, opened, records

if TYPE_CHECKING:
    from tests.transfers.exploring.scope import Scope

LIVE = {Phase.ACTIVE, Phase.INACTIVE}


def living(world: World, scope: Scope) -> set[str]:
    """The paglets that have to be somewhere: those created, and the clones that arrived; none disposed of."""
    born = set(scope.agents) | {fact[1] for fact in world.facts if fact[0] == "lives"}
    return born - {fact[1] for fact in world.facts if fact[0] == "disposed"}


def check(world: World, scope: Scope) -> None:
    """Raise `BrokenPromiseError` when an invariant does not hold."""
    known: dict[str, dict[str, PagletRecord]] = {}
    for name, host in zip(scope.host_ids, world.hosts, strict=True):
        for agent_id, record in records(host.store).items():
            known.setdefault(agent_id, {})[name] = record
    for agent_id, places in known.items():
        live = [name for name, record in places.items() if record.phase in LIVE]
        if len(live) > 1:
            raise BrokenPromiseError(f"I1 {agent_id} is doubled, at {' and '.join(live)}")
        no_circle(agent_id, places, scope)
    for agent_id in living(world, scope):
        if not any(r.phase in LIVE or r.phase is Phase.PREPARED for r in known.get(agent_id, {}).values()):
            raise BrokenPromiseError(f"I2 {agent_id} is lost")
    no_message_lost(world, scope)
    recalled = [fact for fact in world.facts if fact[0] == "came on recall"]
    if len(recalled) > scope.budget.retracts:
        raise BrokenPromiseError("a paglet was retracted more often than anybody asked for it")


def no_circle(agent_id: str, places: dict[str, PagletRecord], scope: Scope) -> None:
    for start in places:
        at, followed, seen = start, None, set[str]()
        while (forward := scope.rules.follow(places.get(at), followed)) is not None:
            if at in seen:
                raise BrokenPromiseError(f"I4 forwards of {agent_id} lead in a circle from {start}")
            seen.add(at)
            at, followed = forward.host_id, forward.incarnation


def no_message_lost(world: World, scope: Scope) -> None:
    waiting = {
        (agent_id, message.message_id)
        for host in world.hosts
        for agent_id, messages in opened(host.store).queues
        for message in messages
    }
    alive = living(world, scope)
    handled = {fact[1:] for fact in world.facts if fact[0] == "handled"}
    for fact in world.facts:
        if fact[0] == "accepted" and fact[1] in alive and fact[1:] not in handled | waiting:
            raise BrokenPromiseError(f"message {fact[2]} for {fact[1]} is lost")


def at_rest(world: World, scope: Scope) -> bool:
    """Nothing is open: each living paglet is in one place, active or parked, and forwards lead to it."""
    alive = living(world, scope)
    where: dict[str, str] = {}
    for name, host in zip(scope.host_ids, world.hosts, strict=True):
        if host.moves or host.ending:
            return False
        for agent_id, record in records(host.store).items():
            if record.phase is Phase.PREPARED:
                return False
            if record.phase in LIVE:
                where[agent_id] = name
            running = Life(agent_id, record.incarnation) in host.children
            if (record.phase is Phase.ACTIVE) is not running or record.failed:
                return False
        if not queues_are_handed_on(world, name, scope):
            return False
    if where.keys() != alive:
        return False
    return forwards_arrive(world, scope, where)


def queues_are_handed_on(world: World, name: str, scope: Scope) -> bool:
    host = world.hosts[scope.host_ids.index(name)]
    for agent_id, _ in opened(host.store).queues:
        record = records(host.store).get(agent_id)
        if record is None or record.phase is not Phase.INACTIVE:
            return False
    return True


def forwards_arrive(world: World, scope: Scope, where: dict[str, str]) -> bool:
    if scope.budget.forgets:
        return True
    for agent_id, place in where.items():
        for name, host in zip(scope.host_ids, world.hosts, strict=True):
            record = records(host.store).get(agent_id)
            at, followed = name, None
            while (forward := scope.rules.follow(record, followed)) is not None:
                at, followed = forward.host_id, forward.incarnation
                record = records(world.hosts[scope.host_ids.index(at)].store).get(agent_id)
            if record is not None and at != place:
                return False
    return True
