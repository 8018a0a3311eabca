"""What the source machine asks its shell to do, in the order given.

Each effect that takes time or can fail is answered with an event of `paglets.runtime.transfers.events`.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec


class WritePrepared(msgspec.Struct, frozen=True):
    """Commit ``moves.prepare`` (for a clone ``moves.prepare_clone``).

    Answer: `PreparedWritten` once it is synced, `PreparedRefused` if it is certain that nothing was written,
    `PreparedUnknown` if that is not certain.
    """


class StartStream(msgspec.Struct, frozen=True):
    """Open a stream to the target; send header and payload, but not the trailer.

    Answer: `PayloadSent`, `Refused` or `StreamLost`.
    """


class SendTrailer(msgspec.Struct, frozen=True):
    """Send the trailer and read the verdict. From here on the move cannot be taken back from this side.

    Answer: `VerdictReceived`, `ClosedReceived`, `Refused` or `StreamLost`.
    """


class CloseStream(msgspec.Struct, frozen=True):
    """Give the stream up, if it is open. Answer: none needed."""


class WriteAbort(msgspec.Struct, frozen=True):
    """Commit ``moves.abort``. Answer: `AbortWritten` once it is synced, else `AbortRefused`."""

    process_alive: bool


class WriteArrived(msgspec.Struct, frozen=True):
    """Commit ``moves.settle_arrived``.

    Answer: `SettlementWritten` once it is synced, else `SettlementRefused`.
    """


class WriteFenced(msgspec.Struct, frozen=True):
    """Commit ``moves.settle_fenced``.

    Answer: `SettlementWritten` once it is synced, else `SettlementRefused`.
    """

    process_alive: bool


class WriteAdopted(msgspec.Struct, frozen=True):
    """Commit ``adoption.adopt``. Answer: `AdoptionWritten` once it is synced, else `AdoptionRefused`."""


class Ask(msgspec.Struct, frozen=True):
    """Ask the target for its verdict ``after`` seconds, with this host's floor; replaces an earlier `Ask`.

    To be dropped when the move leaves stage SENT. Answer: `VerdictReceived`, `ClosedReceived` or `AskFailed`.
    """

    after: float


class ResumeProcess(msgspec.Struct, frozen=True):
    """It goes on in its process: run ``on_dispatch_failed``, raise `TransferError`, open the mailbox."""


class RecoverProcess(msgspec.Struct, frozen=True):
    """Its record is ACTIVE but its process ended meanwhile: recover it like any crashed child."""


class RestartProcess(msgspec.Struct, frozen=True):
    """Its record was just written as ACTIVE one epoch on: start a child for what that rule returned."""


class EndProcess(msgspec.Struct, frozen=True):
    """End the old process, by force when it has not ended after ``grace`` seconds. Answer: `ProcessEnded`."""

    grace: float


class ForwardMessages(msgspec.Struct, frozen=True):
    """Send on what waited for the paglet, with its message ids, to the target."""


class ReportMoved(msgspec.Struct, frozen=True):
    """It moved, durably at both ends. A caller still has to wait for the arrival hook, if it wants to."""


class ReportFailed(msgspec.Struct, frozen=True):
    """It did not move, durably: `TransferError` for whoever still waits."""

    reason: str


class ReportInDoubt(msgspec.Struct, frozen=True):
    """Nobody here knows whether it moved: `TransferInDoubtError` for whoever waits.

    A handler that asked for the move itself is not returned into; its process has been ended.
    """

    reason: str


class ReportParked(msgspec.Struct, frozen=True):
    """It cannot be settled by asking: tell the operator, who has to say which copy counts."""

    reason: str


class ReportAdopted(msgspec.Struct, frozen=True):
    """It lives here again, in a lineage of its own; the transfer is abandoned, and asked about elsewhere."""


class RefuseAdoption(msgspec.Struct, frozen=True):
    """Tell the operator who wants to adopt it that it cannot be done, and why."""

    reason: str


class ReportGaveWay(msgspec.Struct, frozen=True):
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
