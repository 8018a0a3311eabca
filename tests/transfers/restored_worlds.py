"""Worlds in which a store is put back from a backup."""

from __future__ import annotations

from dataclasses import replace

from tests.transfers.exploring.scope import Budget, Scope

CHAIN = frozenset({"AB", "BC"})
ONE = Scope(Budget(moves=1, backups=1, restores=1), floors=True)
THERE_AND_BACK = replace(ONE, budget=Budget(moves=2, backups=1, restores=1))
ONWARD = replace(THERE_AND_BACK, hosts="A B C", route=CHAIN, copied="A")
SENT_ON = (
    "B is backed up",
    "A starts p to B in life 1",
    "A syncs WritePrepared A/1",
    "A has sent the payload of A/1",
    "B decides on A/1: arrived",
    "B starts p to C in life 2",
    "B syncs WritePrepared B/1",
    "B has sent the payload of B/1",
    "C decides on B/1: arrived",
)
"""B, whose backup knows nothing of p, has taken it in and sent it on; A waits for a verdict."""
ON_ITS_WAY = SENT_ON[:4]
"""p is on its way to B, whose backup knows nothing of it."""
PUT_BACK = "B loses its disk, and is put back from its backup"


def move(source: str, number: int, target: str, life: int) -> tuple[str, ...]:
    """The steps of a move that is settled."""
    transfer = f"{source}/{number}"
    return (
        f"{source} starts p to {target} in life {life}",
        f"{source} syncs WritePrepared {transfer}",
        f"{source} has sent the payload of {transfer}",
        f"{target} decides on {transfer}: arrived",
        f"{source} hears arrived on {transfer}",
        f"{source} syncs WriteArrived {transfer}",
    )


def known_in_a_later_life() -> Scope:
    """B's store knows p in life 2; what A knows is that it went to B once more, in life 4."""
    back_again = (*move("A", 1, "B", 1), "B is backed up", *move("B", 1, "A", 2), *move("A", 2, "B", 3))
    return replace(
        THERE_AND_BACK,
        hosts="A B C",
        budget=Budget(moves=4, backups=1, restores=1),
        begins=(*back_again, PUT_BACK),
    )


def with_an_old_forward() -> Scope:
    """B's store says that p went to A in life 3; it came back, and is at C in life 5."""
    there_and_back = (*move("A", 1, "B", 1), *move("B", 1, "A", 2), "B is backed up")
    gone_on = (*there_and_back, *move("A", 2, "B", 3), *move("B", 2, "C", 4))
    return replace(known_in_a_later_life(), begins=(*gone_on, PUT_BACK))


def adopted_when_closed() -> Scope:
    """A's store holds p open to B, which never got it and says CLOSED: A's operator adopts it."""
    return replace(
        ONE,
        budget=Budget(moves=1, adoptions=1, backups=1, restores=1),
        begins=(
            *move("A", 1, "B", 1)[:2],
            "A is backed up",
            "A loses its disk, and is put back from its backup",
            "A asks B what it has",
            "A's operator accepts the copy",
            "A asks about A/1",
            "B answers A/1: Closed",
            "A hears that A/1 is closed",
            "A's operator adopts p of A/1",
            "A syncs WriteAdopted A/1",
        ),
    )


def told_the_lost_life() -> Scope:
    """A has told B, which was still to tell C, that p was adopted; B was put back from a backup before all that."""
    begins = (
        *move("A", 1, "B", 1)[:3],
        "A sees the deadline of A/1 pass",
        "A's operator adopts p of A/1",
        "A syncs WriteAdopted A/1",
        "B is backed up",
        "B decides on A/1: arrived",
        *move("B", 1, "C", 2),
        "A hears arrived on A/1",
        "A tells B of p 1@A:2",
        "B is told of p 1@A:2",
        "A hears that B has been told of p",
        PUT_BACK,
    )
    budget = Budget(moves=2, deadlines=1, adoptions=1, backups=1, restores=1)
    return replace(ONWARD, budget=budget, copied="B", begins=begins)


def taken_in_and_sent_on() -> Scope:
    """All histories in which that can happen, and those in which it does not."""
    return replace(ONWARD, copied="B")


def sent_on_by_the_lost_life() -> Scope:
    """Those in which it has happened."""
    return replace(taken_in_and_sent_on(), begins=SENT_ON)


def forced(scope: Scope) -> Scope:
    """The operator does not wait until all have said what they have, so that some of it may stay in doubt for ever."""
    return replace(scope, settles=False, budget=scope.budget._replace(forces=1))
