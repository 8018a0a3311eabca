"""The state of a few hosts and the network between them, as a value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from tests.transfers.exploring.scope import Budget

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from paglets.core.incarnation import Incarnation
    from paglets.persistence.records import Outgoing
    from paglets.runtime.outbox.waiting_move import Effect as QueueEffect
    from paglets.runtime.outbox.waiting_move import WaitingMove
    from paglets.runtime.transfers import effects as do
    from paglets.runtime.transfers.source_move import SourceMove
    from paglets.testing.network.traffic import Traffic
    from tests.transfers.exploring.copies import Survey
    from tests.transfers.exploring.messages import Letter
    from tests.transfers.exploring.stores import Store

POSITION = {field: i for i, field in enumerate(Budget._fields)}


class Life(NamedTuple):
    """A child process: which paglet it runs, in which life."""

    agent_id: str
    incarnation: Incarnation


class Running(NamedTuple):
    """A move under way in a host's memory."""

    move: SourceMove
    outgoing: Outgoing
    life: Incarnation
    """Of the paglet here, when the move began."""
    write: do.Effect | None = None
    """The commit that is queued for it."""
    streaming: bool = False
    late: bool = False
    """Its deadline has passed."""
    queue_key: str | None = None
    """It waited in the outbox under that key."""


class Waiting(NamedTuple):
    """A paglet in the outbox, in a host's memory."""

    agent_id: str
    key: str
    target: str
    move: WaitingMove
    effect: QueueEffect | None
    """What is to be done for it now."""
    begun: bool = False
    """Its transfer has been begun."""


class HostState(NamedTuple):
    """One host: what is durable, and what is not."""

    store: Store
    moves: tuple[Running, ...] = ()
    children: frozenset[Life] = frozenset()
    ending: frozenset[Life] = frozenset()
    """Children that were told to end and have not yet; they may still try to write."""
    waits: tuple[Waiting, ...] = ()
    backup: Store | None = None
    """What was put aside."""
    survey: Survey | None = None
    outbox: frozenset[Letter] = frozenset()
    """Durable, as the store is."""
    answered: frozenset[Letter] = frozenset()
    """What came out of others' outboxes, and was answered for good; durable."""
    letters_put_aside: tuple[frozenset[Letter], frozenset[Letter]] = (frozenset(), frozenset())
    """Those two, in the backup."""

    def is_moving(self, agent_id: str) -> bool:
        """True while a move of that paglet is under way."""
        return any(running.move.agent_id == agent_id for running in self.moves)


class View(Protocol):
    """What a step sees of the world that it changes."""

    @property
    def hosts(self) -> Sequence[HostState]:
        """In the order of ``Scope.host_ids``."""
        ...

    @property
    def net(self) -> Container[Any]:
        """What is under way."""
        ...

    @property
    def budget(self) -> Sequence[int]:
        """How often each kind of event may still happen, in the order of `Budget`."""
        ...

    @property
    def facts(self) -> Container[Any]:
        """What has happened and cannot be undone, for the invariants only."""
        ...


class World(NamedTuple):
    """A state of everything. Nothing is taken off the network: so messages come late, twice, or never."""

    hosts: tuple[HostState, ...]
    net: Traffic[Any]
    budget: tuple[int, ...]
    facts: frozenset[Any]


class BrokenPromiseError(Exception):
    """An invariant does not hold."""
