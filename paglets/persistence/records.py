"""What the store holds about paglets, as values. Every record is replaced whole, never changed in place."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

import msgspec

from paglets.core.incarnation import Incarnation, TransferId

if TYPE_CHECKING:
    from collections.abc import Container


class Phase(StrEnum):
    """What a host's record of a paglet says about it."""

    ACTIVE = "active"
    """It lives here; the record's state is its last checkpoint, and a restart comes back to it."""
    INACTIVE = "inactive"
    """It is parked here."""
    PREPARED = "prepared"
    """It is on its way: the target's verdict on ``outgoing`` decides. Never restarted without one."""
    DEPARTED = "departed"
    """It has moved on; ``forward`` says where to."""
    TOMBSTONE = "tombstone"
    """It was disposed of here."""


class Outcome(StrEnum):
    """A target's final word on one transfer. The two exclude each other for ever."""

    ARRIVED = "arrived"
    FENCED = "fenced"


class HookKind(StrEnum):
    """A hook that has to return once before the paglet's arrival in this life is complete."""

    CREATION = "creation"
    ARRIVAL = "arrival"
    CLONE = "clone"
    ACTIVATION = "activation"


class MoveKind(StrEnum):
    """What a transfer is for."""

    DISPATCH = "dispatch"
    RETRACT = "retract"
    CLONE = "clone"


class BlobRef(msgspec.Struct, frozen=True):
    """Names a blob by its content."""

    digest: bytes
    """SHA-256, 32 bytes."""
    size: int
    """In bytes."""


class PendingHook(msgspec.Struct, frozen=True):
    """A hook that still has to run; run again after a restart until it has returned once."""

    kind: HookKind
    event: dict[str, Any] = {}
    """The fields of the event that only the mover knew, as plain JSON values."""

    def among(self, hooks: Container[HookKind] | None) -> PendingHook | None:
        """Itself if it is one of ``hooks``, those that the class has: others do nothing, and need not run.

        None for ``hooks``: it is not known which those are.
        """
        return self if hooks is None or self.kind in hooks else None


class Outgoing(msgspec.Struct, frozen=True):
    """The transfer that a PREPARED record waits for."""

    transfer_id: TransferId
    kind: MoveKind
    target_id: str
    """Host id (key) of the target; only keys identify."""
    target_url: str
    """Where the target was last seen: a hint."""
    target_name: str
    incarnation: Incarnation
    """What the paglet will be at the target, if it arrives."""
    was: Phase
    """ACTIVE or INACTIVE: what the record goes back to when the move is fenced or aborted."""
    header: bytes
    """The signed header, exactly as sent."""
    started_at: float
    """Wall clock, for people."""
    timeout: float
    """The ticket's timeout, in seconds."""
    left_in: str = ""
    """Id of the durably queued message in whose handler the paglet leaves; if it moves, it has handled that."""


class QueuedDispatch(msgspec.Struct, frozen=True):
    """A dispatch that waits for its target to be back."""

    key: str
    """Names this wait: one that was ended and begun anew has another."""
    ticket: dict[str, Any]
    """Wire form of the ticket."""
    target_id: str
    """Host id (key) of the target; empty when it was never met."""
    target_url: str
    """Where it was last seen: a hint."""
    target_name: str
    was: Phase
    """ACTIVE: it is put back to work when this ends here, and arrives at work there. INACTIVE: it stays parked."""
    since: float
    """Wall clock."""
    lifetime: float
    """Seconds after which it is given up."""


class Forward(msgspec.Struct, frozen=True):
    """Where a departed paglet went."""

    host_id: str
    url: str
    name: str
    incarnation: Incarnation
    since: float
    """Wall clock; forwards are forgotten after their stated lifetime."""


class LastStop(msgspec.Struct, frozen=True):
    """What both hosts have signed of the move by which a paglet left: the end of its passport."""

    header: bytes
    """The source's, as it was sent; empty when it was too large for a passport."""
    receipt: bytes
    """The target's verdict ARRIVED."""


class FileRecord(msgspec.Struct, frozen=True):
    """A file that travels with a paglet."""

    name: str
    """The paglet's own name for it."""
    mode: str
    """``copy`` or ``move``."""
    place: str
    """The directory that it is in: one of the host's own, kept for this paglet; ``work``; or, empty, anywhere."""
    path: str
    """Relative to that directory; absolute when ``place`` is empty."""
    size: int
    digest: str
    """SHA-256, lower-case hex, as it was last read."""
    source_host_name: str = ""
    source_host_url: str = ""
    source_path: str = ""
    source_created_at: float = 0.0
    source_modified_at: float = 0.0
    seen: tuple[int, int, int] = (0, 0, 0)
    """Device, inode and time of change (ns) of the file when it was last read: tells whether it is the same."""


class PagletRecord(msgspec.Struct, frozen=True):
    """All that a host durably knows about one paglet id."""

    agent_id: str
    birth: str
    """Host id of the host that created it. Ids are unique by birth host."""
    phase: Phase
    incarnation: Incarnation
    class_name: str
    """``module:Qual.Name``"""
    state_class_name: str
    code_version: str = ""
    state: BlobRef | None = None
    """None for DEPARTED and TOMBSTONE."""
    pending: PendingHook | None = None
    outgoing: Outgoing | None = None
    """Set exactly when PREPARED."""
    forward: Forward | None = None
    """Set exactly when DEPARTED."""
    receipt: bytes = b""
    """The signed receipt by which it came here; the next header names its digest."""
    passport: BlobRef | None = None
    """Where it has been before it came here, and how it came, as the hosts signed it. None: it never moved."""
    last_stop: LastStop | None = None
    """How it left, which goes behind that; when DEPARTED, and its target has said so itself. ``forward`` may lead
    elsewhere by now."""
    policy: dict[str, Any] = {}
    """Wire form of the deactivation policy, when INACTIVE."""
    request: dict[str, Any] = {}
    """Wire form of the deactivation request, when INACTIVE."""
    resume: bool = False
    """INACTIVE only because its host was shut down cleanly; comes back at the next start."""
    queued: QueuedDispatch | None = None
    """It waits to be moved: when INACTIVE, or PREPARED and going back to that."""
    failed: str = ""
    """Why it is not running although ACTIVE (hook raised, restarts exhausted); empty when it is well."""
    host_scoped: bool = False
    """A resident service: the same id on every host, never moved."""
    files: tuple[FileRecord, ...] = ()
    """What travels with it; none for DEPARTED and TOMBSTONE."""
    created_at: float = 0.0
    changed_at: float = 0.0
    """Wall clock, for people; nothing decides by them."""


def is_at_work(record: PagletRecord) -> bool:
    """Whether it runs, or is to run again where a move of it, under way or waited for, ends."""
    if record.queued is not None:
        return record.queued.was is Phase.ACTIVE
    return (record.outgoing.was if record.outgoing is not None else record.phase) is Phase.ACTIVE


class VerdictRecord(msgspec.Struct, frozen=True):
    """A target's stored verdict; kept until the source's floor passes it."""

    transfer_id: TransferId
    agent_id: str
    incarnation: Incarnation
    outcome: Outcome
    reason: str = ""
    at: float = 0.0


class QueuedRecord(msgspec.Struct, frozen=True):
    """One message waiting durably for a paglet, oldest first."""

    message_id: str
    message: bytes
    """The routed message as the runtime wrote it; the store does not look inside."""
    oneway: bool
    queued_at: float
    crashes: int = 0
    """How often it ended the process that handled it."""


class PeerRecord(msgspec.Struct, frozen=True):
    """The furthest that a peer's store was ever seen: what tells a restored store from a current one."""

    host_id: str
    store_id: str
    commit: int
    standing: str = ""
    """The peer's own signature over that: with it the peer believes that it was further once."""
    unsure_below: int | None = None
    """Transfers of the peer below this counter may have a verdict that this host's lost life gave, and nobody knows;
    None: as in the record of the host's own id. See ``journal.peers.unsure_below``."""
