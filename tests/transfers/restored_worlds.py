"""Worlds in which a store is put back from a backup."""

from __future__ import annotations

from dataclasses import replace

from tests.transfers.exploring.scope import Budget, Scope

CHAIN = frozenset({"AB", "BC"})
ONE = Scope(Budget(moves=1, backups=1, restores=1), floors=True, settles=False)
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


def taken_in_and_sent_on() -> Scope:
    """All histories in which that can happen, and those in which it does not."""
    return replace(ONWARD, copied="B")


def sent_on_by_the_lost_life() -> Scope:
    """Those in which it has happened."""
    return replace(taken_in_and_sent_on(), begins=SENT_ON)


def forced(scope: Scope) -> Scope:
    """The operator does not wait until all have said what they have."""
    return replace(scope, budget=scope.budget._replace(forces=1))
