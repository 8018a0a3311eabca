"""What the host of a restored store hears from others, before its operator accepts the copy."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from paglets.core.incarnation import Incarnation
    from paglets.persistence.restoring import OpenTransfer


class Elsewhere(NamedTuple):
    """A paglet, as another host says that it has it."""

    agent_id: str
    host_id: str
    incarnation: Incarnation
    birth: str


class Survey(NamedTuple):
    """What the host of a restored store has asked others."""

    asked: frozenset[str] = frozenset()
    found: frozenset[Elsewhere] = frozenset()
    lost: frozenset[Elsewhere] = frozenset()
    """Which paglets were here, as others tell, and in which lives."""
    open: frozenset[OpenTransfer] = frozenset()
    """What the others hold open to it."""
    counters: frozenset[tuple[str, int]] = frozenset()
    """The next transfer counter of each."""
