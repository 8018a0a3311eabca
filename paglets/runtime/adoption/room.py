"""Everything about adopted copies put together, and as operations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from paglets.remote import adoption_api as api
from paglets.remote.api import ADOPTION_NOTICE, NoticeParams
from paglets.remote.wire.peer import PeerKind
from paglets.runtime.adoption.adoption import Adoption
from paglets.runtime.operations import MEMBERS, Entry

if TYPE_CHECKING:
    from paglets.persistence.journal.adoption import Adopted
    from paglets.runtime.caller import Caller
    from paglets.runtime.ground import Ground
    from paglets.runtime.population import Population

OPERATORS = frozenset({PeerKind.LOCAL, PeerKind.ADMIN})
"""A host may not adopt for another one: that is for somebody who has looked."""


class AdoptionRoom:
    """What operators and other hosts ask of a host about copies."""

    def __init__(self, ground: Ground, population: Population) -> None:
        self._meetings = population.meetings
        self._duties = population.duties
        self._adoption = Adoption(
            store=ground.store,
            residents=ground.residents,
            lifecycle=population.lifecycle,
            mover=population.mover,
            asker=population.asker,
            duties=population.duties,
            work_places=population.work_places,
            events=ground.events,
            here=ground.here,
            gate=ground.gate,
            parked=population.wakeups.look,
        )
        population.mover.on_adopted = self._adopted

    def entries(self) -> dict[str, Entry]:
        """The operations by name."""
        return {
            api.TRANSFERS_ADOPT: Entry(api.AdoptTransferParams, self.adopt, OPERATORS, paglets=False),
            api.COPIES_LIST: Entry(api.CopiesListParams, self.copies, paglets=False),
            api.COPIES_ADOPT: Entry(api.AdoptCopyParams, self.adopt_copy, OPERATORS, paglets=False),
            api.COPIES_DROP: Entry(api.CopyParams, self.drop_copy, OPERATORS, paglets=False),
            ADOPTION_NOTICE: Entry(NoticeParams, self._meetings.notice, MEMBERS, paglets=False),
        }

    async def adopt(self, _caller: Caller, params: api.AdoptTransferParams) -> Any:
        """Take the paglet of a transfer back that is in doubt."""
        return await self._adoption.adopt(params.transfer, fence=params.fence)

    async def copies(self, _caller: Caller, params: api.CopiesListParams) -> Any:
        """A page of what is in quarantine."""
        return await self._adoption.copies(params.limit, params.cursor)

    async def adopt_copy(self, _caller: Caller, params: api.AdoptCopyParams) -> Any:
        """Let a copy in quarantine count again."""
        return await self._adoption.adopt_copy(params.copy, params.life, fence=params.fence)

    async def drop_copy(self, _caller: Caller, params: api.CopyParams) -> Any:
        """Drop a copy for good."""
        return await self._adoption.drop_copy(params.copy, params.life)

    def _adopted(self, adopted: Adopted) -> None:
        if adopted.abandoned is not None:
            self._duties.ask(adopted.abandoned)
