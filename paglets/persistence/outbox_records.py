"""What the store holds of one-way messages between hosts: those kept for later, those seen, and dead letters."""

from __future__ import annotations

import msgspec


class OutboxEntry(msgspec.Struct, frozen=True):
    """A one-way message that this host has accepted for a paglet on a host that was away."""

    sender: str
    """The paglet that sent it; empty for a program."""
    agent_id: str
    """The paglet that it is for. Sender and receiver together name its lane, in which order is kept."""
    message_id: str
    kind: str
    message: bytes
    """The routed message as the runtime wrote it; the store does not look inside."""
    url: str
    """Where the receiver's host was last seen: a hint."""
    kept_at: float
    """Wall clock."""
    lifetime: float
    """Seconds after which it is given up."""
    host_id: str = ""
    """Key of the receiver's host; empty when it was never met."""
    position: int = 0
    """Its place in the outbox: what came later has a higher one."""
    number: int = 0
    """What the receiving host knows it by; 0 as long as it cannot have left."""
    in_doubt: bool = False
    """It was a dead letter that may have been delivered, and is sent again."""


class SeenRecord(msgspec.Struct, frozen=True):
    """What this host has answered to a message of another host's outbox. Final, kept until the floor passes it."""

    message_id: str
    refused: str = ""
    """Why it was not accepted; empty when it was."""


class SourceRecord(msgspec.Struct, frozen=True):
    """What this host keeps of another host's outbox."""

    floor: int = 0
    """The highest that it told: below it everything is settled."""
    seen: int = 0
    """How many answers are kept."""


class DeadLetter(msgspec.Struct, frozen=True):
    """A message that could not be delivered, or that was too much for its paglet."""

    sender: str
    agent_id: str
    message_id: str
    kind: str
    message: bytes
    url: str
    """The host that it was for; empty: this one."""
    host_id: str
    reason: str
    in_doubt: bool
    """It may have been delivered all the same: it had left, and no answer came."""
    kept_at: float
    died_at: float
    """Wall clock, both."""
    number: int = 0
    """Its name in the list; later ones have higher numbers."""
