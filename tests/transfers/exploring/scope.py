"""What one exploration covers: how much of each kind of event, and which rules are in force."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from paglets.persistence import restoring
from paglets.persistence.journal import (
    adoption,
    arrivals,
    counters,
    forgetting,
    lifecycle,
    meeting,
    moves,
    peers,
    queued_dispatch,
    queues,
)
from paglets.persistence.journal.meeting import last_known
from paglets.persistence.records import HookKind
from paglets.runtime import surveying
from paglets.runtime.transfers import source
from paglets.runtime.views import is_shown
from tests.transfers.exploring.copies import Elsewhere
from tests.transfers.exploring.stores import as_bytes

if TYPE_CHECKING:
    from paglets.persistence.records import PagletRecord
    from tests.transfers.exploring.stores import Pack


class Budget(NamedTuple):
    """How often the world may do what nothing in the protocol makes it do."""

    moves: int = 0
    clones: int = 0
    retracts: int = 0
    here: int = 0
    """Moves to the host it is on."""
    crashes: int = 0
    """A host dies between two durable steps and comes back."""
    deaths: int = 0
    """A child dies."""
    refusals: int = 0
    """A target refuses a complete envelope."""
    losses: int = 0
    """A stream breaks, or is stopped, before the trailer."""
    deadlines: int = 0
    full: int = 0
    """A write fails for want of room."""
    parks: int = 0
    disposals: int = 0
    failures: int = 0
    """A hook raises."""
    messages: int = 0
    forgets: int = 0
    restores: int = 0
    """A host's store is lost, and an earlier copy of it put back."""
    backups: int = 0
    """A copy of a store is made, to be put back."""
    forces: int = 0
    """An operator accepts a copy although not everybody was asked."""
    discoveries: int = 0
    """A peer shows a host that it was restored from a copy."""
    adoptions: int = 0
    """An operator says that a copy counts: one in doubt, or one in quarantine."""
    discards: int = 0
    """An operator drops a copy from quarantine."""
    queues: int = 0
    """A paglet is let wait in the outbox for another host."""
    absences: int = 0
    """A host that is waited for is not reached."""
    expiries: int = 0
    """The time of one that waits is over."""


def told(record: PagletRecord, host_id: str) -> Elsewhere | None:
    """What a host says of a paglet to one whose store was restored; None: nothing."""
    if not is_shown(record, "known"):
        return None
    forward = record.forward
    return Elsewhere(
        record.agent_id, forward.host_id if forward else host_id, last_known(record), record.birth
    )


class Rules:
    """The product's own rules and machine. A control overrides one of them to see it missed."""

    create = staticmethod(lifecycle.create)
    checkpoint = staticmethod(lifecycle.checkpoint)
    complete_hook = staticmethod(lifecycle.complete_hook)
    mark_failed = staticmethod(lifecycle.mark_failed)
    deactivate = staticmethod(lifecycle.deactivate)
    activate = staticmethod(lifecycle.activate)
    recover = staticmethod(lifecycle.recover)
    move_here = staticmethod(lifecycle.move_here)
    dispose = staticmethod(lifecycle.dispose)
    prepare = staticmethod(moves.prepare)
    prepare_clone = staticmethod(moves.prepare_clone)
    abort = staticmethod(moves.abort)
    settle_arrived = staticmethod(moves.settle_arrived)
    settle_fenced = staticmethod(moves.settle_fenced)
    arrive = staticmethod(arrivals.arrive)
    fence = staticmethod(arrivals.fence)
    answer_query = staticmethod(arrivals.answer_query)
    keep_receipt = staticmethod(arrivals.keep_receipt)
    reserve_counters = staticmethod(counters.reserve_counters)
    note_floor = staticmethod(peers.note_floor)
    note_counter = staticmethod(peers.note_counter)
    note_peer_store = staticmethod(peers.note_peer_store)
    note_own_store = staticmethod(peers.note_own_store)
    enqueue = staticmethod(queues.enqueue)
    take_message = staticmethod(queues.take_message)
    hand_on = staticmethod(queues.hand_on)
    append = staticmethod(queues.append)
    """What ``outbox_rules.receive`` does with the queue; the rest of it is explored in ``tests/outbox``."""
    forget = staticmethod(forgetting.forget)
    follow = staticmethod(queues.follow)
    mark_restored = staticmethod(restoring.mark_restored)
    park = staticmethod(restoring.park)
    give_way = staticmethod(restoring.give_way)
    outlive = staticmethod(restoring.outlive)
    tell_lower = staticmethod(restoring.tell_lower)
    settle_lost = staticmethod(restoring.settle_lost)
    accept = staticmethod(restoring.accept)
    adopt = staticmethod(adoption.adopt)
    adopt_copy = staticmethod(adoption.adopt_copy)
    discard_copy = staticmethod(adoption.discard_copy)
    take_notice = staticmethod(meeting.take_notice)
    notice_acknowledged = staticmethod(meeting.notice_acknowledged)
    tell_everyone = staticmethod(meeting.tell_everyone)
    close_abandoned = staticmethod(meeting.close_abandoned)
    settle_abandoned = staticmethod(meeting.settle_abandoned)
    queue_dispatch = staticmethod(queued_dispatch.queue_dispatch)
    give_back = staticmethod(queued_dispatch.give_back)
    park_queued = staticmethod(queued_dispatch.park_queued)
    begin = staticmethod(source.begin)
    resume = staticmethod(source.resume)
    step = staticmethod(source.step)

    floors_of_memory = True
    """A floor counts the transfers that exist in memory only."""
    closes_abandoned = True
    """The floor of a restored host leaves out transfers that were abandoned by an adoption: they are closed, as all."""
    notices_wait = True
    """A notice is owed until it is acknowledged."""
    parks_copies = True
    """A restored host parks what its store says is running."""
    asks_everybody = True
    """A restored store is accepted when all others have said what they have."""
    floors_before_looks = True
    """Hosts tell each other their floors before one says what it has."""
    asks_what_is_open = True
    """Hosts say which transfers to it they hold open, too."""
    accept_forced = staticmethod(restoring.accept)
    """The same as ``accept``, when not everybody was asked."""
    gives_way = staticmethod(surveying.gives_way)
    """What lives on elsewhere is given up when a restored store is accepted."""
    told = staticmethod(told)
    recalls_any_life = False
    """A retract is obeyed whatever life it names."""
    says_what_is_synced = True
    """A verdict leaves after its commit; switched off, the commit may be lost after the verdict left."""
    takes_up_queue = True
    """A host that starts sees to the paglets that wait in its outbox."""
    looks_before_it_moves = True
    """A paglet is moved out of the outbox only while it waits there under the key that it was seen under."""


@dataclass
class Scope:
    """One exploration."""

    budget: Budget
    hosts: str = "A B"
    agents: dict[str, str] = field(default_factory=lambda: {"p": "A"})
    """Agent id to the host it is born on."""
    route: frozenset[str] | None = None
    """Allowed moves, as ``AB``; None for all."""
    begins: tuple[str, ...] = ()
    """The steps, as they are told, that all histories begin with; what follows on them is explored."""
    copied: str = ""
    """The hosts that are backed up; all, when none is named."""
    floors: bool = False
    checkpoints: bool = False
    hooks: bool = False
    bare: bool = False
    """Classes without hooks of their own: no life waits for one."""
    receipts: bool = False
    patience: int = 1
    """So often a paglet that waits may be refused."""
    rules: Any = Rules
    settles: bool = True
    """Also look for states from which the protocol never comes to rest."""
    limit: int = 2_000_000
    pack: Pack = as_bytes
    """How stores are kept."""
    exercised: set[str] = field(default_factory=set[str])
    """Names of the rules that were applied and wrote something."""
    refused: set[str] = field(default_factory=set[str])
    """Names of the rules whose compare-and-set said no."""

    @property
    def class_hooks(self) -> tuple[HookKind, ...]:
        """The hooks that the class of every paglet has."""
        return () if self.bare else tuple(HookKind)

    @cached_property
    def host_ids(self) -> tuple[str, ...]:
        return tuple(self.hosts.split())

    @cached_property
    def index(self) -> dict[str, int]:
        """Where a host stands among the hosts of a world."""
        return {name: i for i, name in enumerate(self.host_ids)}
