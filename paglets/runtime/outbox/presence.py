"""Whether the hosts that paglets want to move to are there, and take any in."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

from paglets.core.errors import PagletError, TransferError
from paglets.remote.members import normal_url
from paglets.remote.wire.failures import HostAwayError
from paglets.runtime.gate import DRAINING, RESTORED

if TYPE_CHECKING:
    from paglets.remote.mesh_service import MeshService
    from paglets.runtime.here import Here
    from paglets.runtime.peers import Peers


class Away(NamedTuple):
    """A host that cannot take a paglet now."""

    host_id: str
    """Empty when it was never met."""
    url: str
    name: str
    reason: str


class Presence:
    """Looks for hosts; those who look for the same one share the look."""

    def __init__(self, *, peers: Peers, mesh: MeshService, here: Here) -> None:
        self._peers = peers
        self._mesh = mesh
        self._here = here
        self._looks: dict[tuple[str, str], asyncio.Task[str]] = {}

    async def away(self, destination: str) -> Away | None:
        """Why the host of that name or URL can take nothing now; None when it is there.

        ``TransferError``: there is no such host, or something else answers in its place.
        """
        known = self._peers.known(destination)
        if known is not None:
            if known.host_id == self._here.host_id:
                return None
            reason = await self.absent(known.host_id, known.url)
            return Away(known.host_id, known.url, known.name, reason) if reason else None
        url = normal_url(destination)
        try:
            await self._peers.reach("", url)
        except HostAwayError as error:
            return Away("", url, "", str(error))
        except PagletError as error:
            raise TransferError(f"the host at {url} cannot be asked who it is: {error}") from error
        return None

    async def absent(self, host_id: str, url: str) -> str:
        """Why that host can take nothing now; empty when it can.

        One that is drained, or was restored and is not accepted, counts as away. So does one whose address
        somebody else has.
        """
        if shut := self._shut(host_id):
            return shut
        key = (host_id, url)
        look = self._looks.get(key)
        if look is None:
            look = self._looks[key] = asyncio.create_task(self._look(host_id, url))
            look.add_done_callback(lambda _: self._looks.pop(key, None))
        return await asyncio.shield(look)

    async def _look(self, host_id: str, url: str) -> str:
        try:
            await self._peers.reach(host_id, url)
        except PagletError as error:
            return str(error) or type(error).__name__
        return self._shut(host_id)

    def _shut(self, host_id: str) -> str:
        seen = self._mesh.view.by_key.get(host_id)
        if seen is not None and seen.online:
            if seen.facts.properties.get(DRAINING) is True:
                return f"host {seen.facts.name} is being drained"
            if seen.facts.properties.get(RESTORED) is True:
                return f"host {seen.facts.name} was restored from a backup that is not accepted yet"
        return ""

    async def aclose(self) -> None:
        """Look for nobody any more."""
        looks = list(self._looks.values())
        for look in looks:
            look.cancel()
        await asyncio.gather(*looks, return_exceptions=True)
