"""Operations on leases: asked of the holder's own host, which passes them on to the provider's."""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING, Any

from paglets.core.errors import ForbiddenError, LifecycleError, ServiceNotFoundError
from paglets.remote import api
from paglets.remote.wire.peer import PeerKind
from paglets.runtime.operations import Entry
from paglets.runtime.services.leases import HeldLeases, check_ttl

if TYPE_CHECKING:
    from paglets.runtime.caller import Caller
    from paglets.runtime.circles import Circles
    from paglets.runtime.here import Here
    from paglets.runtime.lifecycle import Lifecycle
    from paglets.runtime.peers import Peers
    from paglets.runtime.residents import Residents
    from paglets.runtime.services.desk import ServiceDesk
    from paglets.runtime.services.leases import Leases

_PATIENCE = 60.0
"""Seconds that the provider's host has to start the provider."""
_RELEASE_PATIENCE = 5.0


class Leasing:
    """Leases, as operations."""

    def __init__(
        self,
        *,
        desk: ServiceDesk,
        leases: Leases,
        residents: Residents,
        lifecycle: Lifecycle,
        circles: Circles,
        peers: Peers,
        here: Here,
    ) -> None:
        self._desk = desk
        self._leases = leases
        self._residents = residents
        self._lifecycle = lifecycle
        self._circles = circles
        self._peers = peers
        self._here = here
        self._held = HeldLeases(residents, self._release)

    def entries(self) -> dict[str, Entry]:
        """The operations by name."""
        return {
            api.SERVICES_LEASE: Entry(api.LeaseParams, self.lease),
            api.SERVICES_RELEASE: Entry(api.ReleaseParams, self.release),
        }

    async def lease(self, caller: Caller, params: api.LeaseParams) -> Any:
        """Keep a service up, wherever it is. What a paglet holds is remembered with it."""
        lease_id = params.lease_id or uuid.uuid4().hex
        check_ttl(params.ttl)
        child, url = caller.child, params.host_url
        if child is not None:
            if self._residents.get(child.agent_id) is None:
                raise LifecycleError(f"paglet {child.agent_id} has left this process")
            self._held.begin(child, lease_id, url, params.ttl)
        try:
            if self._here.is_me(url):
                await self._grant(caller, lease_id, params)
            else:
                _check_may_pass_on(caller)
                onward = api.LeaseParams(agent_id=params.agent_id, ttl=params.ttl, lease_id=lease_id)
                await self._peers.call("", url, api.SERVICES_LEASE, onward, timeout=_PATIENCE)
        except BaseException as error:
            if child is not None and (isinstance(error, asyncio.CancelledError)):
                self._held.let_go(child, lease_id, url)  # it may have been granted all the same
            elif child is not None:
                self._held.forget(child, lease_id)
            raise
        if child is not None and not self._held.holds(child, lease_id):
            self._held.let_go(child, lease_id, url)
            raise LifecycleError(f"paglet {child.agent_id} has left this process")
        return {"lease_id": lease_id, "ttl": params.ttl}

    async def _grant(self, caller: Caller, lease_id: str, params: api.LeaseParams) -> None:
        agent_id = params.agent_id
        if not self._desk.has(agent_id):
            raise ServiceNotFoundError(
                f"paglet {agent_id} offers no service on host {self._here.name} any more; look for another provider"
            )
        asker = _asker(caller)
        self._leases.grant(lease_id, agent_id, params.ttl, asker=asker)
        try:
            await self._lifecycle.rouse(agent_id, self._circles.handlers_waiting(caller))
        except BaseException:
            self._leases.release(lease_id, asker=asker)
            raise

    async def release(self, caller: Caller, params: api.ReleaseParams) -> Any:
        """End a lease."""
        if caller.child is not None:
            self._held.forget(caller.child, params.lease_id)
        if self._here.is_me(params.host_url):
            self._leases.release(params.lease_id, asker=_asker(caller))
        else:
            _check_may_pass_on(caller)
            await self._release(params.lease_id, params.host_url)
        return {}

    async def _release(self, lease_id: str, host_url: str) -> None:
        if self._here.is_me(host_url):
            self._leases.release(lease_id)
            return
        params = api.ReleaseParams(lease_id=lease_id)
        await self._peers.call("", host_url, api.SERVICES_RELEASE, params, timeout=_RELEASE_PATIENCE)

    async def aclose(self) -> None:
        """Release no more."""
        await self._held.aclose()


def _asker(caller: Caller) -> str:
    """Whose lease it is: the key of another host or of an admin; empty for all that is on this machine."""
    return caller.peer.host_id if caller.peer is not None else ""


def _check_may_pass_on(caller: Caller) -> None:
    """Other hosts ask the provider's host themselves: nobody's host dials, or holds leases, in another's place."""
    if caller.peer is not None and caller.peer.kind is PeerKind.MEMBER:
        raise ForbiddenError("a host asks for leases where the service is")
