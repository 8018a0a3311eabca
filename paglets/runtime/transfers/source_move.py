"""One move as its source sees it: how far it has come, and what is known of it. ``source`` changes it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from paglets.core.incarnation import Incarnation, TransferId
    from paglets.persistence.records import MoveKind
    from paglets.runtime.transfers import effects as do


class Stage(StrEnum):
    """How far a move has come, as its source knows."""

    STREAMING = "streaming"
    """No byte of the trailer was handed over: this host can still take the move back."""
    STOPPING = "stopping"
    """To be taken back, as soon as the PREPARED write that is queued has ended one way or the other."""
    ABORTING = "aborting"
    """The abort is being written."""
    SENT = "sent"
    """Only the target's signed verdict settles it."""
    ARRIVING = "arriving"
    """The verdict was ARRIVED; DEPARTED is being written."""
    FENCING = "fencing"
    """The verdict was FENCED; what the paglet goes back to is being written."""
    PARKED = "parked"
    """Asking cannot settle it: one of the two stores was restored from a copy."""
    ADOPTING = "adopting"
    """An operator wants it back in a new lineage; that is being written."""
    MOVED = "moved"
    FAILED = "failed"
    """It did not move."""
    ADOPTED = "adopted"
    """It is here again in a new lineage, and the journal holds the transfer as an abandoned one."""
    GAVE_WAY = "gave-way"
    """The copy here is in quarantine; the transfer, if it was PREPARED, is an abandoned one."""


@dataclass(frozen=True, slots=True)
class SourceMove:
    """One move, as its source sees it. Made by ``begin`` and ``resume`` of ``source``, changed by its ``step`` only."""

    agent_id: str
    transfer_id: TransferId
    kind: MoveKind
    incarnation: Incarnation
    """What the paglet will be at the target."""
    deadline: float
    """On the clock that `step` is given; infinite after a restart, when nobody waits any more."""
    stage: Stage
    has_process: bool
    """A process is paused for this move and still runs (never so for clones and parked paglets)."""
    restarts: bool
    """If it does not move it has to run here: an active paglet's move."""
    prepared: bool = False
    """PREPARED is durable."""
    payload_sent: bool = False
    wrote_alive: bool = False
    """What the abort or fence that is being written says about the process."""
    in_doubt: bool = False
    """The deadline has passed without a verdict, and that was said."""
    home: bool = False
    """The paglet has come back here in a later life: this transfer has arrived, whatever its target says."""
    failed_asks: int = 0
    reason: str = ""
    """Why it is being taken back, or was."""

    @property
    def settled(self) -> bool:
        """True when the transfer is settled durably, so that the floor may pass it."""
        return self.stage in {Stage.MOVED, Stage.FAILED} or (
            self.stage is Stage.GAVE_WAY and not self.prepared
        )

    @property
    def over(self) -> bool:
        """True when nothing more follows here; the transfer may still be open, abandoned by an adoption."""
        return self.stage in _OVER


_OVER = {Stage.MOVED, Stage.FAILED, Stage.ADOPTED, Stage.GAVE_WAY}


class Step(NamedTuple):
    """The move after an event, and what to do now, in this order."""

    move: SourceMove
    effects: tuple[do.Effect, ...] = ()
