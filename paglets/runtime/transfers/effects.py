"""What the source machine asks its shell to do, in the order given.

Each effect that takes time or can fail is answered with an event of `paglets.runtime.transfers.events`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class WritePrepared:
    """Commit ``moves.prepare`` (for a clone ``moves.prepare_clone``).

    Answer: `PreparedWritten` once it is synced, `PreparedRefused` if it is certain that nothing was written,
    `PreparedUnknown` if that is not certain.
    """


@dataclass(frozen=True, slots=True)
class StartStream:
    """Open a stream to the target; send header and payload, but not the trailer.

    Answer: `PayloadSent`, `Refused` or `StreamLost`.
    """


@dataclass(frozen=True, slots=True)
class SendTrailer:
    """Send the trailer and read the verdict. From here on the move cannot be taken back from this side.

    Answer: `VerdictReceived`, `ClosedReceived`, `Refused` or `StreamLost`.
    """


@dataclass(frozen=True, slots=True)
class CloseStream:
    """Give the stream up, if it is open. Answer: none needed."""


@dataclass(frozen=True, slots=True)
class WriteAbort:
    """Commit ``moves.abort``. Answer: `AbortWritten` once it is synced, else `AbortRefused`."""

    process_alive: bool


@dataclass(frozen=True, slots=True)
class WriteArrived:
    """Commit ``moves.settle_arrived``.

    Answer: `SettlementWritten` once it is synced, else `SettlementRefused`.
    """


@dataclass(frozen=True, slots=True)
class WriteFenced:
    """Commit ``moves.settle_fenced``.

    Answer: `SettlementWritten` once it is synced, else `SettlementRefused`.
    """

    process_alive: bool


@dataclass(frozen=True, slots=True)
class WriteAdopted:
    """Commit ``adoption.adopt``. Answer: `AdoptionWritten` once it is synced, else `AdoptionRefused`."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask the target for its verdict ``after`` seconds, with this host's floor; replaces an earlier `Ask`.

    To be dropped when the move leaves stage SENT. Answer: `VerdictReceived`, `ClosedReceived` or `AskFailed`.
    """

    after: float


@dataclass(frozen=True, slots=True)
class ResumeProcess:
    """It goes on in its process: run ``on_dispatch_failed``, raise `TransferError`, open the mailbox."""


@dataclass(frozen=True, slots=True)
class RecoverProcess:
    """Its record is ACTIVE but its process ended meanwhile: recover it like any crashed child."""


@dataclass(frozen=True, slots=True)
class RestartProcess:
    """Its record was just written as ACTIVE one epoch on: start a child for what that rule returned."""


@dataclass(frozen=True, slots=True)
class EndProcess:
    """End the old process, by force when it has not ended after ``grace`` seconds. Answer: `ProcessEnded`."""

    grace: float


@dataclass(frozen=True, slots=True)
class ForwardMessages:
    """Send on what waited for the paglet, with its message ids, to the target."""


@dataclass(frozen=True, slots=True)
class ReportMoved:
    """It moved, durably at both ends. A caller still has to wait for the arrival hook, if it wants to."""


@dataclass(frozen=True, slots=True)
class ReportFailed:
    """It did not move, durably: `TransferError` for whoever still waits."""

    reason: str


@dataclass(frozen=True, slots=True)
class ReportInDoubt:
    """Nobody here knows whether it moved: `TransferInDoubtError` for whoever waits.

    A handler that asked for the move itself is not returned into; its process has been ended.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class ReportParked:
    """It cannot be settled by asking: tell the operator, who has to say which copy counts."""

    reason: str


@dataclass(frozen=True, slots=True)
class ReportAdopted:
    """It lives here again, in a lineage of its own; the transfer is abandoned, and asked about elsewhere."""


@dataclass(frozen=True, slots=True)
class RefuseAdoption:
    """Tell the operator who wants to adopt it that it cannot be done, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class ReportGaveWay:
    """The copy here is in quarantine: `TransferInDoubtError` for whoever still waits."""


Effect: TypeAlias = (
    WritePrepared
    | StartStream
    | SendTrailer
    | CloseStream
    | WriteAbort
    | WriteArrived
    | WriteFenced
    | Ask
    | ResumeProcess
    | RecoverProcess
    | RestartProcess
    | EndProcess
    | ForwardMessages
    | ReportMoved
    | ReportFailed
    | ReportInDoubt
    | ReportParked
    | WriteAdopted
    | ReportAdopted
    | RefuseAdoption
    | ReportGaveWay
)
