"""What a host durably knows of adoptions: copies that gave way, transfers nobody waits for, news that is owed."""

from __future__ import annotations

import msgspec

from paglets.core.incarnation import Incarnation
from paglets.persistence.records import Outgoing, PagletRecord


class Whereabouts(msgspec.Struct, frozen=True):
    """Where a paglet is in a life of a higher lineage, for a host that has it in a lower one."""

    incarnation: Incarnation
    host_id: str
    url: str = ""
    name: str = ""
    """Hints, like the URL; empty when they are not known here."""


class AbandonedTransfer(msgspec.Struct, frozen=True):
    """A transfer that was not settled when an adoption went past it: its target is asked on.

    It is open as any other, so the floor does not pass it.
    """

    agent_id: str
    birth: str
    outgoing: Outgoing
    higher: Whereabouts
    """What its target has to be told of, if it arrived there."""


class Notice(msgspec.Struct, frozen=True):
    """News of a higher lineage that this host owes another one until it is acknowledged."""

    agent_id: str
    birth: str
    target_id: str
    """Host id (key) of the host that has to be told; the rest are hints."""
    target_url: str
    target_name: str
    higher: Whereabouts
    everywhere: bool = False
    """One of those that every host is owed, as one was told that could not tell where the paglet went from there."""
    number: int = 0
    """So many were owed before, in the place of which this one is: what is said to those does not settle it."""


class QuarantinedCopy(msgspec.Struct, frozen=True):
    """A copy that gave way to one of a higher lineage: kept as it was, for an operator to say what becomes of it."""

    record: PagletRecord
    """As it was when it gave way: ACTIVE, INACTIVE or PREPARED."""
    higher: Whereabouts
    """What it gave way to."""
    since: float
    """Wall clock, for people."""
