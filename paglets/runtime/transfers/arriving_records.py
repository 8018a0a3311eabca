"""What an envelope's header makes of the paglet that it brings."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from paglets.core.deactivation import DeactivationPolicy
from paglets.core.runtime_values import ArrivalMode
from paglets.persistence.journal.arrivals import Crossing
from paglets.persistence.records import BlobRef, FileRecord, PagletRecord, PendingHook, Phase

if TYPE_CHECKING:
    from paglets.remote.envelopes.header import EnvelopeHeader


def crossing(header: EnvelopeHeader) -> Crossing:
    """What the verdict will be about."""
    return Crossing(header.transfer_id, header.agent_id, header.incarnation)


def arrives_parked(header: EnvelopeHeader) -> bool:
    """Whether it gets no process."""
    return header.inactive is not None or header.ticket.get("arrival_mode") == ArrivalMode.INACTIVE


def arriving_record(
    header: EnvelopeHeader,
    receipt: bytes = b"",
    state: BlobRef | None = None,
    passport: BlobRef | None = None,
    files: tuple[FileRecord, ...] = (),
) -> PagletRecord:
    """What the paglet will be here."""
    now = time.time()
    parked = arrives_parked(header)
    pending = None if header.inactive is not None else PendingHook(header.hook, header.event)
    policy = header.inactive.policy if header.inactive else DeactivationPolicy().to_wire()
    return PagletRecord(
        agent_id=header.agent_id,
        birth=header.birth,
        phase=Phase.INACTIVE if parked else Phase.ACTIVE,
        incarnation=header.incarnation,
        class_name=header.class_name,
        state_class_name=header.state_class_name,
        code_version=header.code_version,
        state=state,
        pending=pending,
        receipt=receipt,
        passport=passport,
        policy=policy if parked else {},
        request=header.inactive.request if header.inactive else {},
        files=files,
        created_at=now,
        changed_at=now,
    )
