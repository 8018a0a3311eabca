"""A small world of two hosts and one outbox, as a value: the sender's journal and lanes, the receiver, the network."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

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


class Rules:
    """The product's own code. Controls replace a clause of it."""

    keep = staticmethod(outbox_rules.keep)
    number = staticmethod(outbox_rules.number)
    settle = staticmethod(outbox_rules.settle)
    bury = staticmethod(outbox_rules.bury)
    receive = staticmethod(outbox_rules.receive)
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

    def __init__(self, sender: SenderJournal, receiver: ReceiverJournal, *, present: bool) -> None:
        record = PagletRecord(AGENT, T, Phase.ACTIVE, Incarnation(), "m:C", "m:S")
        super().__init__({AGENT: record} if present else {})
        self.entries = {each.position: each for each in sender.entries}
        self.next_number = sender.next_number
        self.dead_letters = list(sender.dead)
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
        return SenderJournal(entries, self.next_number, tuple(self.dead_letters))

    def receiver(self) -> ReceiverJournal:
        """The receiver's journal as it is now."""
        return ReceiverJournal(
            self.known, tuple(sorted(self.seen_records.items(), key=_number)), tuple(self.accepted)
        )

    def append_queued(self, agent_id: str, message: QueuedRecord) -> bool:
        """The queue is handled at once: it does not help to tell a message from its copy."""
        self.accepted.append(message.message_id)
        return True

    def replace_queued(self, agent_id: str, message: QueuedRecord) -> bool:
        """Nothing waits."""
        return False

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
        self.dead_letters.append(letter)
        return letter

    def dead(self, number: int) -> DeadLetter | None:
        """No letter is asked for here."""
        return None

    def drop_dead(self, number: int) -> bool:
        """No letter is dropped here."""
        return False


def receive(world: World, rules: Rules, delivery: Delivery, judge: Judge) -> tuple[Received, ReceiverJournal]:
    """The receiver's one durable step."""
    tables = Tables(SenderJournal(), world.receiver, present=world.present)
    queued = QueuedRecord(delivery.message_id, b"", oneway=True, queued_at=0.0)
    received = rules.receive(tables, S, delivery.number, delivery.floor, AGENT, queued, judge)
    return received, tables.receiver()


if TYPE_CHECKING:
    Judge = Callable[[PagletRecord | None], tuple[Answer, str]]


def _first(item: tuple[str, LaneState]) -> str:
    return item[0]


def _number(item: tuple[int, SeenRecord]) -> int:
    return item[0]
