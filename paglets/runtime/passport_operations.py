"""The operation that shows a paglet's passport."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from paglets.core.errors import InvalidAgentError, PagletError
from paglets.persistence.records import Phase
from paglets.remote import api
from paglets.runtime.operations import Entry
from paglets.runtime.transfers.passports import Passports

if TYPE_CHECKING:
    from paglets.persistence.store import Store
    from paglets.runtime.caller import Caller
    from paglets.runtime.here import Here
    from paglets.runtime.peers import Peers

logger = logging.getLogger(__name__)

_TIMEOUT = 10.0


class PassportOperations:
    """Shows passports of paglets that are here, or were."""

    def __init__(self, *, store: Store, peers: Peers, here: Here) -> None:
        self._store = store
        self._peers = peers
        self._here = here
        self._passports = Passports(store)

    def entries(self) -> dict[str, Entry]:
        """The operations by name."""
        return {api.PAGLETS_PASSPORT: Entry(api.PagletParams, self.passport)}

    async def passport(self, _caller: Caller, params: api.PagletParams) -> Any:
        """That of the host where the paglet is; when it does not answer, what this one knows until it left."""
        record = await self._store.read(lambda tx: tx.paglet(params.agent_id))
        if record is None or record.phase is Phase.TOMBSTONE:
            raise InvalidAgentError(f"there is no paglet {params.agent_id} on host {self._here.name}")
        if record.forward is not None:
            try:
                return await self._peers.follow(
                    record.forward, api.PAGLETS_PASSPORT, params, timeout=_TIMEOUT
                )
            except PagletError as error:
                logger.info(
                    "a passport is shown as it was when the paglet left",
                    extra={"agent_id": params.agent_id, "error": str(error)},
                )
        return await self._passports.show(record, self._here.mesh_id, self._here.name)
