"""The parts of a host that know other hosts: trust, links, the mesh, greetings."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from paglets.remote.membership_effects import MembershipSettings, MeshEvent, MeshEventKind
from paglets.remote.mesh import MeshRegistry
from paglets.remote.mesh_service import MeshService
from paglets.remote.trust.revocation import RevocationSet
from paglets.remote.wire.member_trust import MemberTrust
from paglets.remote.wire.pool import LinkPool
from paglets.runtime.mesh_operations import Greetings
from paglets.runtime.peers import Peers
from paglets.runtime.revocations import RevocationRecords, Revocations
from paglets.runtime.transfers.floor_news import FloorNews

if TYPE_CHECKING:
    from collections.abc import Callable

    from paglets.remote.wire.link import Link
    from paglets.remote.wire.strangers import SecurityReport
    from paglets.runtime.ground import Ground

logger = logging.getLogger(__name__)

_EVENT_KINDS = {
    MeshEventKind.JOINED: "peer-joined",
    MeshEventKind.LEFT: "peer-left",
    MeshEventKind.FAILED: "peer-failed",
    MeshEventKind.ADDRESS_CHANGED: "peer-address-changed",
    MeshEventKind.NAME_CLASH: "peer-name-clash",
    MeshEventKind.KEY_CLASH: "peer-key-clash",
}
_CLASHES = frozenset({MeshEventKind.NAME_CLASH, MeshEventKind.KEY_CLASH})


class Neighbours:
    """Other hosts: who may be talked to, how they are reached, and what is known of them.

    ``on_struck`` hears of the keys that a revocation has killed; ``on_met`` of hosts that joined.
    """

    def __init__(
        self, ground: Ground, *, on_struck: Callable[[set[str]], None], on_met: Callable[[str], None]
    ) -> None:
        settings, means = ground.settings, ground.means
        self._events = ground.events
        self._on_met = on_met
        self.revoked = RevocationSet(means.credentials.authority, RevocationRecords(ground.store))
        self.revocations = Revocations(self.revoked, on_struck=on_struck, link_to=self._link_to)
        self.trust = MemberTrust(means.credentials, self.revoked)
        self.pool = LinkPool(self.trust, hello=self._greet, security=self.report)
        self.mesh = MeshService(
            self.pool,
            ground.status.facts,
            MembershipSettings(period=settings.gossip_interval, offline_after=settings.offline_after),
            on_event=self._on_mesh_event,
            discoveries=means.discoveries,
            admits=lambda host_id: not self.revoked.is_revoked(host_id),
            revocations=lambda: self.revocations.digest,
            on_other_revocations=self.revocations.heard,
        )
        self.registry = MeshRegistry(self.mesh, means.runner)
        self.greetings = Greetings(
            store=ground.store,
            mesh=self.mesh,
            here=ground.here,
            status=ground.status,
            open_transfers=ground.open_transfers,
            revocations=self.revocations,
            events=ground.events,
            version=means.version,
            key=means.credentials.key,
            on_met=on_met,
        )
        self.floor_news = FloorNews(self._greet_again, own_id=ground.here.host_id)
        ground.open_transfers.on_settled = self.floor_news.settled
        self.peers = Peers(pool=self.pool, mesh=self.mesh, here=ground.here, own_hello=self.greetings.own)

    async def _link_to(self, host_id: str) -> Link:
        return await self.pool.link(self.peers.address(host_id, ""))

    async def _greet(self, link: Link) -> None:
        await self.greetings.greet(link)

    async def _greet_again(self, host_id: str) -> None:
        await self.greetings.greet(await self._link_to(host_id))

    def report(self, report: SecurityReport) -> None:
        """Make a ``security`` event of what a door or a dial has refused."""
        self._events.emit(
            "security",
            data={"what": report.reason.value, "address": report.address, "count": report.count},
            error=report.detail or report.reason.value,
        )

    def _on_mesh_event(self, event: MeshEvent) -> None:
        level = logging.WARNING if event.kind in _CLASHES else logging.INFO
        logger.log(
            level,
            "the mesh changed",
            extra={"change": event.kind.value, "host": event.host.name, "detail": event.detail},
        )
        self._events.emit(
            _EVENT_KINDS[event.kind],
            data={
                "host_id": event.host.host_id,
                "host_name": event.host.name,
                "host_url": event.host.url,
                "compatible": event.compatible,
            },
            error=event.detail or None,
        )
        if event.kind is MeshEventKind.JOINED:
            self._on_met(event.host.host_id)
        elif event.kind in {MeshEventKind.ADDRESS_CHANGED, MeshEventKind.FAILED}:
            self.pool.doubt(event.host.host_id)
