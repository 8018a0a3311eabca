"""Bringing paglets to this host from where they are, and giving those up that other hosts ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from paglets.core.errors import HostError, LifecycleError, RemoteHostError
from paglets.core.incarnation import Incarnation, Lineage
from paglets.persistence.records import MoveKind, Phase
from paglets.remote import api
from paglets.remote.transfer import TransferTicket
from paglets.remote.wire.peer import PeerKind
from paglets.runtime.operations import MEMBERS, Entry
from paglets.runtime.transfers.movable import check_stays

if TYPE_CHECKING:
    from paglets.runtime.caller import Caller
    from paglets.runtime.here import Here
    from paglets.runtime.lifecycle import Lifecycle
    from paglets.runtime.locating import Locator
    from paglets.runtime.peers import Peers
    from paglets.runtime.residents import Residents
    from paglets.runtime.transfers.departures import Departures

_MARGIN = 5.0
"""Seconds that a host waits for another beyond the time that the operation itself may take."""


class _Whereabouts(msgspec.Struct, frozen=True):
    """What is needed of another host's description of a paglet."""

    host_url: api.Text
    lineage: api.Count
    adopter: api.Text
    epoch: api.Count


class Retracting:
    """Retracts, as operations: the half of the host that wants a paglet, and that of the host that has it."""

    def __init__(
        self,
        *,
        residents: Residents,
        lifecycle: Lifecycle,
        departures: Departures,
        locator: Locator,
        peers: Peers,
        here: Here,
    ) -> None:
        self._residents = residents
        self._lifecycle = lifecycle
        self._departures = departures
        self._locator = locator
        self._peers = peers
        self._here = here

    def entries(self) -> dict[str, Entry]:
        """The operations by name."""
        return {
            api.PAGLETS_RETRACT: Entry(api.RetractParams, self.retract),
            api.PAGLETS_SURRENDER: Entry(api.SurrenderParams, self.surrender, MEMBERS, paglets=False),
        }

    async def retract(self, _caller: Caller, params: api.RetractParams) -> Any:
        """Bring it here from where it is."""
        here = self._residents.get(params.agent_id)
        if here is not None:
            check_stays(here.record)
            return self._place(params.agent_id)
        if params.source_url:
            source = await self._peers.find(params.source_url)
        else:
            source = await self._locator.host_of(params.agent_id)
        if source.host_id == self._here.host_id:
            check_stays(await self._lifecycle.record(params.agent_id))
            return self._place(params.agent_id)
        raw = await self._peers.ask(
            source.host_id,
            source.url,
            api.PAGLETS_INFO,
            api.PagletParams(agent_id=params.agent_id),
            timeout=params.timeout,
        )
        try:
            info = msgspec.json.decode(raw, type=_Whereabouts)
        except msgspec.MsgspecError as error:
            raise RemoteHostError(f"{source} does not say which life of the paglet it has: {error}") from None
        surrender = api.SurrenderParams(
            agent_id=params.agent_id,
            incarnation=Incarnation(Lineage(info.lineage, info.adopter), info.epoch),
            url=self._here.address,
            timeout=params.timeout,
        )
        where = await self._peers.find(info.host_url)
        await self._peers.call(
            where.host_id, where.url, api.PAGLETS_SURRENDER, surrender, timeout=params.timeout + _MARGIN
        )
        return self._place(params.agent_id)

    async def surrender(self, caller: Caller, params: api.SurrenderParams) -> Any:
        """Give a paglet to the host that asks for it."""
        if caller.peer is None or caller.peer.kind is not PeerKind.MEMBER:
            raise HostError("only a host of the mesh can ask for a paglet")
        record = await self._lifecycle.record(params.agent_id)
        if record.phase is Phase.PREPARED:
            raise LifecycleError(
                f"paglet {params.agent_id} is on its way or in doubt; it cannot be retracted now"
            )
        try:
            target = await self._peers.find(caller.peer.host_id)
        except HostError:
            target = None
        destination = target.url if target is not None else params.url
        ticket = TransferTicket(destination=destination, timeout=params.timeout)
        return await self._departures.dispatch(
            params.agent_id, ticket, caller, kind=MoveKind.RETRACT, expected=params.incarnation
        )

    def _place(self, agent_id: str) -> api.Place:
        return api.Place(self._here.address, agent_id)
