"""A small world of two hosts and one outbox, as a value: the sender's journal and lanes, the receiver, the network."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from paglets.core.incarnation import Incarnation
from paglets.persistence import outbox_rules
from paglets.persistence.memory import MemoryTransaction
from paglets.persistence.outbox_records import DeadLetter, OutboxEntry, SeenRecord, SourceRecord
from paglets.persistence.records import PagletRecord, Phase, QueuedRecord
from paglets.runtime.outbox import machine
from paglets.runtime.outbox.floors import Floors
from paglets.testing.network.traffic import Traffic

if TYPE_CHECKING:
    from collections.abc import Callable

    from paglets.persistence.outbox_rules import Answer, Received
    from paglets.runtime.outbox.machine import Effect, Event, Lane, Step, Waiting

S, T = "S", "T"
AGENT = "agent"


class Delivery(NamedTuple):
    """On its way to the receiver."""

    number: int
    floor: int
    message_id: str


class Reply(NamedTuple):
    """On its way back."""

    number: int
    answer: Answer
    reason: str = ""
    above: int = 0


Message = Delivery | Reply


class Budget(NamedTuple):
    """How often what is nobody's own doing may happen."""

    crashes: int = 0
    silences: int = 0
    """No answer although the host waited for one."""
    full_disks: int = 0
    absences: int = 0
    """The paglet goes, or comes back."""
    busy: int = 0
    """It takes nothing for a while."""
    expiries: int = 0
    ends: int = 0
    """The process that handles a message ends."""
    replays: int = 0
    """An operator sends a dead letter again, from either host."""
    drops: int = 0
    """An operator drops a dead letter."""


class SenderJournal(NamedTuple):
    """What survives a crash of the sender."""

    entries: tuple[OutboxEntry, ...] = ()
    next_number: int = 1
    dead: tuple[DeadLetter, ...] = ()


class ReceiverJournal(NamedTuple):
    """What survives a crash of the receiver; ``accepted`` is what went into the paglet's queue, in order."""

    source: SourceRecord = SourceRecord()
    seen: tuple[tuple[int, SeenRecord], ...] = ()
    accepted: tuple[str, ...] = ()
    queue: tuple[QueuedRecord, ...] = ()
    dead: tuple[DeadLetter, ...] = ()
    next_number: int = 1
    """Of its own outbox."""


class LaneState(NamedTuple):
    """One lane of the running sender, and what it has under way: an effect, or the event that it led to."""

    lane: Lane
    doing: Effect | Event | None = None


class Running(NamedTuple):
    """What a crash of the sender takes."""

    lanes: tuple[tuple[str, LaneState], ...] = ()
    next_number: int = 1
    open: tuple[tuple[int, tuple[str, int]], ...] = ()

    def floors(self) -> Floors:
        """Its floors, to be worked on."""
        return Floors(self.next_number, dict(self.open))

    def lane(self, name: str) -> LaneState:
        """One lane; an idle one when there is none of that name yet."""
        return dict(self.lanes).get(name) or LaneState(machine.Lane())

    def with_lane(self, name: str, state: LaneState) -> Running:
        """With a lane replaced."""
        return self._replace(lanes=tuple(sorted({**dict(self.lanes), name: state}.items(), key=_first)))

    def with_floors(self, floors: Floors) -> Running:
        """With other floors."""
        return self._replace(next_number=floors.next_number, open=tuple(sorted(floors.open.items())))


class World(NamedTuple):
    """Everything. ``now`` is 0, and 1 as soon as the time of messages that have one is over."""

    budget: Budget
    sender: SenderJournal = SenderJournal()
    running: Running = Running()
    receiver: ReceiverJournal = ReceiverJournal()
    net: Traffic[Message] = Traffic[Message]()
    posted: tuple[str, ...] = ()
    present: bool = True
    busy: bool = False
    now: float = 0.0
    handled: frozenset[str] = frozenset()
    ended: tuple[str, ...] = ()
    """The message that was handled when a process ended, each time since it came into the queue."""
    doubtful: frozenset[str] = frozenset()
    """What was sent again although it may have been delivered."""
    again: frozenset[str] = frozenset()
    """What was sent again, and so comes out of turn."""
    dropped: frozenset[str] = frozenset()
    """What an operator has dropped."""


class Rules:
    """The product's own code. Controls replace a clause of it."""

    keep = staticmethod(outbox_rules.keep)
    number = staticmethod(outbox_rules.number)
    settle = staticmethod(outbox_rules.settle)
    bury = staticmethod(outbox_rules.bury)
    receive = staticmethod(outbox_rules.receive)
    crashed = staticmethod(outbox_rules.crashed)
    revive = staticmethod(outbox_rules.revive)
    requeue = staticmethod(outbox_rules.requeue)
    discard = staticmethod(outbox_rules.discard)
    says_what_is_synced = True
    floor_waits_for_the_commit = True

    @staticmethod
    def step(lane: Lane, event: Event, now: float) -> Step:
        """The machine."""
        return machine.step(lane, event, now)

    @staticmethod
    def resume(waiting: tuple[Waiting, ...], now: float) -> Step:
        """The machine after a restart."""
        return machine.resume(waiting, now)

    @staticmethod
    def floor(floors: Floors) -> int:
        """What the sender tells with a message."""
        return floors.floor(T)


class Tables(MemoryTransaction):
    """An ``OutboxTransaction`` on the journals of the little world, and its ``OutboxTables``."""

    __slots__ = ("accepted", "dead_letters", "entries", "known", "next_number", "seen_records")

    def __init__(
        self, sender: SenderJournal, receiver: ReceiverJournal, *, present: bool, at_receiver: bool = False
    ) -> None:
        record = PagletRecord(AGENT, T, Phase.ACTIVE, Incarnation(), "m:C", "m:S")
        super().__init__({AGENT: record} if present else {})
        if receiver.queue:
            self.queues[AGENT] = receiver.queue
        self.entries = {} if at_receiver else {each.position: each for each in sender.entries}
        here = receiver if at_receiver else sender
        self.next_number = here.next_number
        self.dead_letters = {each.number: each for each in here.dead}
        self.known = receiver.source
        self.seen_records = dict(receiver.seen)
        self.accepted = list(receiver.accepted)

    @property
    def outbox(self) -> Tables:
        """Itself."""
        return self

    def sender(self) -> SenderJournal:
        """The sender's journal as it is now."""
        entries = tuple(self.entries[position] for position in sorted(self.entries))
        return SenderJournal(entries, self.next_number, tuple(self.dead_letters.values()))

    def receiver(self) -> ReceiverJournal:
        """The receiver's journal as it is now."""
        return ReceiverJournal(
            self.known,
            tuple(sorted(self.seen_records.items(), key=_number)),
            tuple(self.accepted),
            self.queues.get(AGENT, ()),
            tuple(self.dead_letters.values()),
            self.next_number,
        )

    def append_queued(self, agent_id: str, message: QueuedRecord) -> bool:
        """Queue a message, and note that it was accepted."""
        self.accepted.append(message.message_id)
        return super().append_queued(agent_id, message)

    def replace_queued(self, agent_id: str, message: QueuedRecord) -> bool:
        """Put it in the place of the one with its id."""
        waiting = self.queues.get(agent_id, ())
        self.queues[agent_id] = tuple(
            message if each.message_id == message.message_id else each for each in waiting
        )
        return self.queues[agent_id] != waiting

    def allocate(self, above: int = 0) -> int:
        """A number that was never handed out."""
        number = max(self.next_number, above + 1)
        self.next_number = number + 1
        return number

    def entry(self, position: int) -> OutboxEntry | None:
        """What waits at a position."""
        return self.entries.get(position)

    def put_entry(self, entry: OutboxEntry) -> None:
        """Write an entry."""
        self.entries[entry.position] = entry

    def drop_entry(self, position: int) -> None:
        """Forget an entry."""
        self.entries.pop(position, None)

    def source(self, source: str) -> SourceRecord:
        """What is kept of the sender's outbox."""
        return self.known

    def raise_floor(self, source: str, floor: int) -> None:
        """Forget the answers below a floor."""
        if floor > self.known.floor:
            self.seen_records = {each: seen for each, seen in self.seen_records.items() if each >= floor}
            self.known = SourceRecord(floor, len(self.seen_records))

    def seen(self, source: str, number: int) -> SeenRecord | None:
        """What was answered."""
        return self.seen_records.get(number)

    def last_seen(self, source: str) -> int:
        """The highest number that was answered, or the floor before it."""
        return max(self.seen_records, default=self.known.floor - 1)

    def put_seen(self, source: str, number: int, record: SeenRecord) -> None:
        """Remember an answer."""
        self.seen_records[number] = record
        self.known = SourceRecord(self.known.floor, len(self.seen_records))

    def add_dead(self, letter: DeadLetter) -> DeadLetter:
        """Add a letter."""
        letter = replace(letter, number=self.allocate())
        self.dead_letters[letter.number] = letter
        return letter

    def dead(self, number: int) -> DeadLetter | None:
        """A letter."""
        return self.dead_letters.get(number)

    def drop_dead(self, number: int) -> bool:
        """Take a letter off the list."""
        return self.dead_letters.pop(number, None) is not None


def receive(world: World, rules: Rules, delivery: Delivery, judge: Judge) -> tuple[Received, ReceiverJournal]:
    """The receiver's one durable step."""
    tables = Tables(SenderJournal(), world.receiver, present=world.present, at_receiver=True)
    queued = QueuedRecord(delivery.message_id, b"", oneway=True, queued_at=0.0)
    received = rules.receive(tables, S, delivery.number, delivery.floor, AGENT, queued, judge, lambda _: None)
    return received, tables.receiver()


if TYPE_CHECKING:
    Judge = Callable[[PagletRecord | None], tuple[Answer, str]]


def _first(item: tuple[str, LaneState]) -> str:
    return item[0]


def _number(item: tuple[int, SeenRecord]) -> int:
    return item[0]
