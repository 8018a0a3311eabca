"""What the shell tells the source machine of one move."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from paglets.core.incarnation import Incarnation
from paglets.persistence.records import Outcome


class PreparedWritten(msgspec.Struct, frozen=True):
    """PREPARED is synced."""


class PreparedRefused(msgspec.Struct, frozen=True):
    """PREPARED was not written, and will not be."""

    reason: str


class PreparedUnknown(msgspec.Struct, frozen=True):
    """The store failed in a way that leaves open whether PREPARED is written; it has to be reopened."""

    reason: str


class PayloadSent(msgspec.Struct, frozen=True):
    """Header and payload were handed to the transport; nothing of the trailer was."""


class Refused(msgspec.Struct, frozen=True):
    """The target said no, unsigned. Before the trailer that is advice; after it, it is no answer."""

    reason: str


class StreamLost(msgspec.Struct, frozen=True):
    """The stream could not be opened, broke, or ended without a verdict."""

    reason: str


class StopWanted(msgspec.Struct, frozen=True):
    """Somebody here wants the move taken back; done if no trailer has left, otherwise not heeded."""

    reason: str


class AbortWritten(msgspec.Struct, frozen=True):
    """The abort is synced."""


class AbortRefused(msgspec.Struct, frozen=True):
    """The abort was not written."""

    reason: str


class VerdictReceived(msgspec.Struct, frozen=True):
    """A verdict on this transfer, its signature by the target's key verified."""

    outcome: Outcome
    incarnation: Incarnation
    reason: str = ""


class ClosedReceived(msgspec.Struct, frozen=True):
    """The target says that this host has told it a floor above this transfer."""

    floor: int


class AskFailed(msgspec.Struct, frozen=True):
    """No answer to the question: no connection, an error, a target that is not sure, a bad signature."""

    reason: str


class TargetSeen(msgspec.Struct, frozen=True):
    """The target has just been heard from: asking again need not wait."""


class DeadlinePassed(msgspec.Struct, frozen=True):
    """The ticket's time is over."""


class ProcessEnded(msgspec.Struct, frozen=True):
    """The paglet's old process is gone, for whatever reason."""


class SettlementWritten(msgspec.Struct, frozen=True):
    """`WriteArrived` or `WriteFenced` is synced."""


class SettlementRefused(msgspec.Struct, frozen=True):
    """`WriteArrived` or `WriteFenced` was not written.

    ``overtaken``: by a `JournalConflict`, so the record no longer waits for this transfer; otherwise the
    store could not write (a full disk), and the verdict is asked for again.
    """

    reason: str
    overtaken: bool


class CameHome(msgspec.Struct, frozen=True):
    """The paglet is here in a later life of its lineage: that arrival has closed this transfer as arrived."""


class AdoptionWanted(msgspec.Struct, frozen=True):
    """An operator says that the other copy is lost, and wants the one that is here back."""


class AdoptionWritten(msgspec.Struct, frozen=True):
    """`WriteAdopted` is synced."""


class AdoptionRefused(msgspec.Struct, frozen=True):
    """`WriteAdopted` was not written."""

    reason: str


class GaveWay(msgspec.Struct, frozen=True):
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
