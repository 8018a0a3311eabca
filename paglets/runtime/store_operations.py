"""Operations on the host's store: what is damaged in it, and giving that up."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any

from paglets.core.errors import HostError
from paglets.remote import api, store_api
from paglets.runtime.operations import LOCAL, Entry

if TYPE_CHECKING:
    from paglets.persistence.damage import Damage
    from paglets.persistence.store import Store
    from paglets.runtime.caller import Caller

_MOST = 1000


class StoreOperations:
    """The quarantine, as operations."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def entries(self) -> dict[str, Entry]:
        """The operations by name."""
        return {
            store_api.STORE_DAMAGED: Entry(api.NoParams, self.damaged),
            store_api.STORE_FORGET: Entry(store_api.ForgetParams, self.forget, LOCAL, paglets=False),
        }

    async def damaged(self, _caller: Caller, _params: api.NoParams) -> Any:
        """What is in quarantine."""
        found = self._store.damaged
        return {"damaged": [_shown(each) for each in found[:_MOST]], "total": len(found)}

    async def forget(self, _caller: Caller, params: store_api.ForgetParams) -> Any:
        """Give one thing up: what it was about is unknown from then on."""
        for damage in self._store.damaged:
            if _id(damage) == params.id:
                await self._store.forget_damaged(damage)
                return {"forgotten": _shown(damage)}
        raise HostError(
            f"nothing in quarantine has the id {params.id!r}; `paglets damaged` lists what is there"
        )


def _shown(damage: Damage) -> dict[str, str]:
    return {
        "id": _id(damage),
        "table": damage.table,
        "key": damage.shown_key,
        "reason": damage.reason,
    }


def _id(damage: Damage) -> str:
    """Short, and the same after a restart."""
    return sha256(damage.table.encode() + b"\0" + damage.key).hexdigest()[:8]
