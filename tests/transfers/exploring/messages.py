"""What hosts send each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from paglets.core.incarnation import Incarnation, TransferId
    from paglets.persistence.adoption_records import Whereabouts
    from paglets.persistence.records import BlobRef, MoveKind, Outcome


class Envelope(NamedTuple):
    transfer_id: TransferId
    target: str
    agent_id: str
    birth: str
    incarnation: Incarnation
    kind: MoveKind
    parked: bool
    state: BlobRef | None


class Question(NamedTuple):
    transfer_id: TransferId
    target: str
    agent_id: str
    incarnation: Incarnation
    floor: int
    counter: int
    """The next that the source hands out; 0 where floors are left out."""


class Answer(NamedTuple):
    transfer_id: TransferId
    outcome: Outcome | None
    """None: closed."""
    incarnation: Incarnation | None = None


class FloorTold(NamedTuple):
    source: str
    target: str
    floor: int
    counter: int


class Recall(NamedTuple):
    """A host asks for a paglet that it saw elsewhere: the first half of a retract."""

    asker: str
    holder: str
    agent_id: str
    incarnation: Incarnation


class News(NamedTuple):
    """A notice of a higher lineage."""

    owed_by: str
    target: str
    agent_id: str
    birth: str
    higher: Whereabouts
    everywhere: bool
    number: int


class NewsTaken(NamedTuple):
    """Its acknowledgement."""

    news: News
    lost_track: bool


class Letter(NamedTuple):
    """A message that follows a forward, out of the outbox of the host that it left."""

    waits_at: str
    target: str
    agent_id: str
    message_id: str
    followed: Incarnation
    """The life that the forward names; no host sends a message along the same one twice, so this is its number, too."""


class HandOver(NamedTuple):
    """What a host has set about to do with a letter; meanwhile the paglet may come home."""

    at: str
    letter: Letter
    """Not alone, or this would be equal to the answer: messages are compared as tuples."""
    seen: bytes
    """The message as it waited in the queue."""


class Accepted(NamedTuple):
    """The final answer to it."""

    letter: Letter


def addressee(message: Any) -> str:
    """The host that the message comes to."""
    match message:
        case Answer():
            return message.transfer_id.source
        case Recall():
            return message.holder
        case NewsTaken():
            return message.news.owed_by
        case Accepted() | HandOver():
            return message.letter.waits_at
        case _:
            return message.target
