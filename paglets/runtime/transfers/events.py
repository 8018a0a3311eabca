"""What the shell tells the source machine of one move."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from paglets.core.incarnation import Incarnation
    from paglets.persistence.records import Outcome


@dataclass(frozen=True, slots=True)
class PreparedWritten:
    """PREPARED is synced."""


@dataclass(frozen=True, slots=True)
class PreparedRefused:
    """PREPARED was not written, and will not be."""

    reason: str


@dataclass(frozen=True, slots=True)
class PreparedUnknown:
    """The store failed in a way that leaves open whether PREPARED is written; it has to be reopened."""

    reason: str


@dataclass(frozen=True, slots=True)
class PayloadSent:
    """Header and payload were handed to the transport; nothing of the trailer was."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The target said no, unsigned. Before the trailer that is advice; after it, it is no answer."""

    reason: str


@dataclass(frozen=True, slots=True)
class StreamLost:
    """The stream could not be opened, broke, or ended without a verdict."""

    reason: str


@dataclass(frozen=True, slots=True)
class StopWanted:
    """Somebody here wants the move taken back; done if no trailer has left, otherwise not heeded."""

    reason: str


@dataclass(frozen=True, slots=True)
class AbortWritten:
    """The abort is synced."""


@dataclass(frozen=True, slots=True)
class AbortRefused:
    """The abort was not written."""

    reason: str


@dataclass(frozen=True, slots=True)
class VerdictReceived:
    """A verdict on this transfer, its signature by the target's key verified."""

    outcome: Outcome
    incarnation: Incarnation
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ClosedReceived:
    """The target says that this host has told it a floor above this transfer."""

    floor: int


@dataclass(frozen=True, slots=True)
class AskFailed:
    """No answer to the question: no connection, an error, a target that is not sure, a bad signature."""

    reason: str


@dataclass(frozen=True, slots=True)
class TargetSeen:
    """The target has just been heard from: asking again need not wait."""


@dataclass(frozen=True, slots=True)
class DeadlinePassed:
    """The ticket's time is over."""


@dataclass(frozen=True, slots=True)
class ProcessEnded:
    """The paglet's old process is gone, for whatever reason."""


@dataclass(frozen=True, slots=True)
class SettlementWritten:
    """`WriteArrived` or `WriteFenced` is synced."""


@dataclass(frozen=True, slots=True)
class SettlementRefused:
    """`WriteArrived` or `WriteFenced` was not written.

    ``overtaken``: by a `JournalConflict`, so the record no longer waits for this transfer; otherwise the
    store could not write (a full disk), and the verdict is asked for again.
    """

    reason: str
    overtaken: bool


@dataclass(frozen=True, slots=True)
class CameHome:
    """The paglet is here in a later life of its lineage: that arrival has closed this transfer as arrived."""


@dataclass(frozen=True, slots=True)
class AdoptionWanted:
    """An operator says that the other copy is lost, and wants the one that is here back."""


@dataclass(frozen=True, slots=True)
class AdoptionWritten:
    """`WriteAdopted` is synced."""


@dataclass(frozen=True, slots=True)
class AdoptionRefused:
    """`WriteAdopted` was not written."""

    reason: str


@dataclass(frozen=True, slots=True)
class GaveWay:
    """A copy of a higher lineage was met: the one that is here went into quarantine, and its process is ended."""

    abandoned: bool
    """The journal holds the transfer as an abandoned one; otherwise it had not been PREPARED."""


Event: TypeAlias = (
    PreparedWritten
    | PreparedRefused
    | PreparedUnknown
    | PayloadSent
    | Refused
    | StreamLost
    | StopWanted
    | AbortWritten
    | AbortRefused
    | VerdictReceived
    | ClosedReceived
    | AskFailed
    | TargetSeen
    | DeadlinePassed
    | ProcessEnded
    | SettlementWritten
    | SettlementRefused
    | CameHome
    | AdoptionWanted
    | AdoptionWritten
    | AdoptionRefused
    | GaveWay
)
