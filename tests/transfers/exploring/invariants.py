"""What has to hold in every state, and what a world at rest looks like."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from paglets.core.incarnation import Lineage
from paglets.persistence.records import MoveKind, PagletRecord, Phase
from paglets.runtime.transfers.source_move import Stage
from tests.transfers.exploring.stores import is_held, queued, records, tables
from tests.transfers.exploring.waiting import followed
from tests.transfers.exploring.world import BrokenPromiseError, Life

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from collections.abc import Set as AbstractSet

    from tests.transfers.exploring.scope import Scope
    from tests.transfers.exploring.world import HostState, Running, World

LIVE = {Phase.ACTIVE, Phase.INACTIVE}


def living(facts: Iterable[Any], scope: Scope) -> set[str]:
    """The paglets that have to be somewhere: those created, and the clones that arrived; none disposed of.

    One that was adopted is disposed of in its highest lineage; a lower copy is one that does not count.
    """
    born, gone = set(scope.agents), set[str]()
    disposed, adopted = dict[str, Lineage](), dict[str, Lineage]()
    for fact in facts:
        if fact[0] == "lives":
            born.add(fact[1])
        elif fact[0] == "gone":
            gone.add(fact[1])
        elif fact[0] in {"disposed", "adopted"}:
            highest = disposed if fact[0] == "disposed" else adopted
            highest[fact[1]] = max(highest.get(fact[1], Lineage()), fact[2])
    gone |= {each for each, lineage in disposed.items() if lineage >= adopted.get(each, Lineage())}
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
    for name in calls:
        disposed = ("disposed", agent_id, places[name].incarnation.lineage) in facts
        if disposed and ("back", agent_id) not in facts and not risked:
            raise BrokenPromiseError(f"D1 {agent_id} was disposed of, and is back at {name}")
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


def doubtful(facts: Iterable[Any]) -> set[str]:
    """The paglets that may be somewhere or not, as a store was lost that knew of them."""
    return {fact[1] for fact in facts if fact[0] in {"gone", "back"}}


def at_rest(
    hosts: Sequence[HostState], alive: set[str], scope: Scope, doubtful: AbstractSet[str] = frozenset()
) -> bool:
    """Nothing is open: each living paglet is in one place, active or parked, and forwards lead to it.

    Where stores are restored, it may also block: only an operator settles what its target calls closed.
    """
    where: dict[str, str] = {}
    for name, host in zip(scope.host_ids, hosts, strict=True):
        blocked = {each.move.agent_id for each in host.moves if scope.budget.restores and blocks(each)}
        if _has_something_open(name, host, len(blocked)):
            return False
        for agent_id, record in records(host.store).items():
            waits = agent_id in blocked
            if (record.phase is not Phase.PREPARED) if waits else not _is_settled(host, record, scope):
                return False
            if record.phase in LIVE or (waits and not is_clone(record)):
                if agent_id in where:
                    return False
                where[agent_id] = name
        if not _queues_are_handed_on(host, alive, scope):
            return False
    if where.keys() - doubtful != alive - doubtful:
        return False
    return scope.budget.forgets > 0 or _forwards_arrive(hosts, scope, where)


def _are_parked(scope: Scope) -> bool:
    return scope.budget.parks > 0 or scope.budget.restores > 0


def _has_something_open(name: str, host: HostState, blocked: int) -> bool:
    held = tables(host.store)
    under_way = len(host.moves) > blocked or host.ending or host.waits or host.outbox
    return bool(under_way or held.abandoned_transfers or held.owed or is_held(host.store, name))


def is_clone(record: PagletRecord) -> bool:
    """Whether it is not a paglet yet, but a clone of one on its way."""
    return record.outgoing is not None and record.outgoing.kind is MoveKind.CLONE


def _is_settled(host: HostState, record: PagletRecord, scope: Scope) -> bool:
    if record.phase is Phase.PREPARED or record.queued is not None:
        return False
    if record.phase is Phase.INACTIVE and scope.budget.queues and not _are_parked(scope):
        return False  # nobody has parked it
    running = Life(record.agent_id, record.incarnation) in host.children
    return (record.phase is Phase.ACTIVE) is running and not record.failed


def blocks(running: Running) -> bool:
    """Whether only an operator settles that move."""
    return running.move.stage is Stage.PARKED


def _queues_are_handed_on(host: HostState, alive: set[str], scope: Scope) -> bool:
    known = records(host.store)
    for agent_id, messages in tables(host.store).queues.items():
        record = known.get(agent_id)
        leads_on = record is not None and record.phase is Phase.DEPARTED
        if scope.budget.restores and (agent_id not in alive or leads_on):
            # It was lost with a disk, or is back in an earlier life: where forwards led to what was on that disk,
            # messages wait on.
            if any(scope.rules.follow(record, followed(each)) for each in messages):
                return False
        elif record is None or record.phase is not Phase.INACTIVE:
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
