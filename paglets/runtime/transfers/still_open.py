"""Tells a host whose store was restored which transfers to it are open here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paglets.persistence.agenda import Matter
from paglets.remote.api import OpenTransfersPage, OpenTransferView
from paglets.runtime.surveying import open_to

if TYPE_CHECKING:
    from paglets.persistence.read_transaction import ReadTransaction
    from paglets.persistence.restoring import OpenTransfer
    from paglets.persistence.store import Store
    from paglets.runtime.transfers.open_ids import OpenTransfers

_PAGE = 500


class StillOpen:
    """Reads them from the journal, those that an adoption went past, too."""

    def __init__(self, store: Store, open_transfers: OpenTransfers) -> None:
        self._store = store
        self._open_transfers = open_transfers

    async def page(self, target_id: str, after: int) -> OpenTransfersPage:
        """Some of those to that host, in the order of their counters, from the one after ``after``."""
        # Before the journal is read: what is begun meanwhile is above it.
        next_counter = self._open_transfers.next_counter

        def read(tx: ReadTransaction) -> list[OpenTransfer]:
            return open_to(target_id, tx.some_paglets(tx.agenda(Matter.MOVING)), tx.abandoned())

        found = [each for each in await self._store.read(read) if each.transfer_id.counter > after]
        shown = [
            OpenTransferView(
                each.transfer_id.counter,
                each.agent_id,
                each.birth,
                each.incarnation,
                each.class_name,
                each.state_class_name,
            )
            for each in found[:_PAGE]
        ]
        return OpenTransfersPage(next_counter, shown, more=len(found) > _PAGE)
