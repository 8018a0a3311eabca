"""What a move says of itself: the fields of its hooks' events, and the header of its envelope."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from paglets.persistence.records import HookKind, MoveKind, PagletRecord
from paglets.remote.envelopes.header import EnvelopeHeader, InactiveEntry
from paglets.remote.envelopes.verdicts import receipt_digest

if TYPE_CHECKING:
    from paglets.remote.transfer import TransferTicket
    from paglets.runtime.files.leaving import Shipment
    from paglets.runtime.here import Here
    from paglets.runtime.memory_files import Payload
    from paglets.runtime.peers import Target
    from paglets.runtime.transfers.mover import Mover


def move_event(here: Here, target: Target | None, ticket: TransferTicket, kind: MoveKind) -> dict[str, Any]:
    """The fields of a ``MobilityEvent`` that only the mover knows."""
    return {
        "source_host_name": here.name,
        "source_host_address": here.address,
        "target_host_name": target.name if target else ticket.destination,
        "target_host_address": target.url if target else "",
        "reason": kind.value,
    }


def clone_event(here: Here, agent_id: str, clone_id: str, target: Target) -> dict[str, Any]:
    """The fields of a ``CloneEvent`` that only the mover knows."""
    return {
        "source_agent_id": agent_id,
        "clone_agent_id": clone_id,
        "source_host_name": here.name,
        "source_host_address": here.address,
        "target_host_name": target.name,
        "target_host_address": target.url,
    }


class Headers:
    """Writes the headers of moves that begin here."""

    def __init__(self, *, mover: Mover, here: Here) -> None:
        self._mover = mover
        self._here = here

    async def header(
        self,
        record: PagletRecord,
        target: Target,
        ticket: TransferTicket,
        kind: MoveKind,
        payload: Payload,
        *,
        event: dict[str, Any] | None = None,
        clone_of: str = "",
        parked: bool = False,
        shipment: Shipment | None = None,
    ) -> EnvelopeHeader:
        """A header with a transfer id that is open from now on: hand it to ``Mover.begin`` at once."""
        return EnvelopeHeader(
            mesh_id=self._here.mesh_id,
            kind=kind,
            transfer_id=shipment.transfer_id if shipment else await self._mover.transfer_id(target.host_id),
            agent_id=record.agent_id,
            birth=record.birth,
            incarnation=record.incarnation.next(),
            source=self._here.host_id,
            destination=target.host_id,
            class_name=record.class_name,
            state_class_name=record.state_class_name,
            code_version=self._here.code_version,
            payload_size=payload.size,
            files=shipment.entries if shipment else [],
            ticket=ticket.to_wire(),
            previous_receipt=receipt_digest(record.receipt),
            sent_at=time.time(),
            source_name=self._here.name,
            source_url=self._here.address,
            target_name=target.name,
            target_url=target.url,
            clone_of=clone_of,
            hook=HookKind.CLONE if clone_of else HookKind.ARRIVAL,
            event=event or {},
            inactive=InactiveEntry(policy=record.policy, request=record.request) if parked else None,
        )
