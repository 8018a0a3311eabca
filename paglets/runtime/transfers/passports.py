"""The passports of paglets on their way into and out of the store."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import msgspec

from paglets.core.errors import PagletError
from paglets.persistence.records import LastStop, Phase
from paglets.remote.envelopes.passport import check_passport
from paglets.remote.envelopes.stops import Stop, add_stop, decode_stops, encode_stops

if TYPE_CHECKING:
    from collections.abc import Sequence

    from paglets.persistence.blobs import StagedBlob
    from paglets.persistence.records import Outgoing, PagletRecord
    from paglets.persistence.store import Store

logger = logging.getLogger(__name__)


class Passports:
    """Reads and writes passports as blobs beside the records, which are written far more often."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def stops(self, record: PagletRecord) -> tuple[Stop, ...]:
        """Where the paglet has been. None when that cannot be read: no move fails for it."""
        if record.passport is None:
            return ()
        try:
            return decode_stops(await self._store.read_small(record.passport))
        except PagletError as error:
            logger.warning(
                "a passport cannot be read", extra={"agent_id": record.agent_id, "error": str(error)}
            )
            return ()

    async def stage(self, before: Sequence[Stop], header: bytes, receipt: bytes) -> StagedBlob:
        """Write a passport with one more stop towards the store."""
        return await self._store.stage_bytes(encode_stops(add_stop(before, header, receipt)))

    async def show(self, record: PagletRecord, mesh_id: str, host_name: str) -> dict[str, Any]:
        """A passport for people and programs, verified; with the frames, so that they can verify it themselves."""
        stops = await self.stops(record)
        if (last := record.last_stop) is not None:
            stops = add_stop(stops, last.header, last.receipt)
        receipt = record.receipt.decode("ascii")
        checked = check_passport(stops, mesh_id=mesh_id, agent_id=record.agent_id, receipt=receipt)
        return {
            "agent_id": record.agent_id,
            "host_name": host_name,
            "departed": record.phase is Phase.DEPARTED,
            "receipt": receipt,
            **msgspec.to_builtins(checked),
            "stops": msgspec.to_builtins(stops),
        }


def last_stop(outgoing: Outgoing, verdict: bytes) -> LastStop | None:
    """The end of the passport of one that has left, within a passport's bounds; None when its target did not say so."""
    if not verdict:
        return None
    (stop,) = add_stop((), outgoing.header, verdict)
    return LastStop(stop.header.encode("ascii"), stop.receipt.encode("ascii"))
