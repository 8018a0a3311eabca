"""A host put together: its parts, wired once, started and stopped in order, all on one loop."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from paglets.core.deactivation import DeactivationPolicy, DeactivationRequest
from paglets.core.errors import HostError, PagletCrashedError, PagletError
from paglets.persistence.journal.counters import open_transfers
from paglets.persistence.records import MoveKind, PagletRecord, Phase
from paglets.remote.discovery import Advertisement
from paglets.remote.membership_effects import MembershipSettings, MeshEvent, MeshEventKind
from paglets.remote.mesh import MeshRegistry
from paglets.remote.mesh_service import MeshService
from paglets.remote.trust.revocation import RevocationSet
from paglets.remote.wire.listener import Listener
from paglets.remote.wire.member_trust import MemberTrust
from paglets.remote.wire.pool import LinkPool
from paglets.runtime.beginnings import Beginnings
from paglets.runtime.bind_addresses import machine_addresses, reachable_urls
from paglets.runtime.claims import Claims
from paglets.runtime.delivery import Delivery
from paglets.runtime.events import Events
from paglets.runtime.here import Here
from paglets.runtime.hook_waits import HookWaits
from paglets.runtime.host_operations import HostOperations
from paglets.runtime.launchers.orphans import end_orphans
from paglets.runtime.lifecycle import Lifecycle
from paglets.runtime.locating import Locator
from paglets.runtime.mesh_operations import Greetings, MeshOperations
from paglets.runtime.operations import Operations
from paglets.runtime.outputs import Outputs
from paglets.runtime.paglet_operations import PagletOperations
from paglets.runtime.peers import Peers
from paglets.runtime.reads import Reads
from paglets.runtime.residents import Residents
from paglets.runtime.revocations import RevocationRecords, Revocations
from paglets.runtime.states import States
from paglets.runtime.status import Status
from paglets.runtime.supervisor import Supervisor
from paglets.runtime.transfers.arrivals import Arrivals
from paglets.runtime.transfers.asking import Asker
from paglets.runtime.transfers.departures import Departures
from paglets.runtime.transfers.mover import Mover
from paglets.runtime.transfers.open_ids import OpenTransfers
from paglets.runtime.views import Views
from paglets.runtime.work_dirs import WorkDirs

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable, Sequence

    from paglets.core.context_events import ContextEventLog
    from paglets.persistence.store import Store
    from paglets.remote.discovery import Discovery
    from paglets.remote.mesh import LoopRunner
    from paglets.remote.trust.credentials import MeshCredentials
    from paglets.remote.wire.strangers import SecurityReport
    from paglets.runtime.children.child import Child
    from paglets.runtime.children.outcomes import ChildOutcome
    from paglets.runtime.launchers.launcher import Launcher
    from paglets.runtime.settings import HostSettings

logger = logging.getLogger(__name__)

_SHUTDOWN_PATIENCE = 10.0
_MESH_EVENTS = {
    MeshEventKind.JOINED: "peer-joined",
    MeshEventKind.LEFT: "peer-left",
    MeshEventKind.FAILED: "peer-failed",
    MeshEventKind.ADDRESS_CHANGED: "peer-address-changed",
    MeshEventKind.NAME_CLASH: "peer-name-clash",
    MeshEventKind.KEY_CLASH: "peer-key-clash",
}


@dataclass(frozen=True, slots=True)
class Means:
    """What a host is given to live on: made by whoever embeds it, kept apart from how it is set up."""

    store: Store
    credentials: MeshCredentials
    launcher: Launcher
    runner: LoopRunner
    version: str
    discoveries: Sequence[Discovery] = ()


class HostCore:
    """The parts of one host. Made and used on its loop; ``Host`` is the door for other threads."""

    def __init__(
        self, settings: HostSettings, means: Means, *, log: ContextEventLog, properties: dict[str, Any]
    ) -> None:
        limits, store, credentials = settings.limits, means.store, means.credentials
        self.settings = settings
        self.store = store
        self.here = Here(settings.name, credentials.host_id, credentials.mesh_id, settings.mesh_version)
        self.properties = properties
        self._launcher = means.launcher
        self._version = means.version
        self._life_file = settings.data_dir / "children.lock"
        self.events = Events(log, self.here)
        self.outputs = Outputs()
        self.residents = Residents(limits.active_paglets, limits.mailbox_messages)
        self.views = Views(residents=self.residents, store=store, here=self.here)
        self.status = Status(
            here=self.here,
            settings=settings,
            views=self.views,
            store=store,
            properties=properties,
            version=means.version,
            refused=self._refused,
        )
        revoked = RevocationSet(credentials.authority, RevocationRecords(store))
        self.revocations = Revocations(revoked, on_struck=self._on_struck)
        trust = MemberTrust(credentials, revoked)
        self.pool = LinkPool(trust, hello=self._greet, security=self._on_security)
        self.mesh = MeshService(
            self.pool,
            self.status.facts,
            MembershipSettings(period=settings.gossip_interval, offline_after=settings.offline_after),
            on_event=self._on_mesh_event,
            discoveries=means.discoveries,
            admits=lambda host_id: not revoked.is_revoked(host_id),
        )
        self.registry = MeshRegistry(self.mesh, means.runner)
        self.open_transfers = OpenTransfers(self.here.host_id, store.read_sync(lambda tx: tx.counter()))
        self.greetings = Greetings(
            store=store,
            mesh=self.mesh,
            here=self.here,
            status=self.status,
            open_transfers=self.open_transfers,
            revocations=self.revocations,
            events=self.events,
            version=means.version,
        )
        self.peers = Peers(pool=self.pool, mesh=self.mesh, here=self.here, own_hello=self.greetings.own)
        self.states = States(store)
        self.work_dirs = WorkDirs(settings.data_dir / "work")
        self.supervisor = Supervisor(
            launcher=means.launcher,
            residents=self.residents,
            events=self.events,
            outputs=self.outputs,
            here=self.here,
            settings=settings,
            properties=properties,
            work_dirs=self.work_dirs,
            life_file=self._life_file,
        )
        waits = HookWaits()
        self.delivery = Delivery(
            residents=self.residents,
            store=store,
            peers=self.peers,
            events=self.events,
            waits=waits,
            limits=limits,
        )
        beginnings = Beginnings(
            store=store,
            states=self.states,
            residents=self.residents,
            supervisor=self.supervisor,
            delivery=self.delivery,
            events=self.events,
            limits=limits,
        )
        claims = Claims(self.residents, self.delivery)
        self.lifecycle = Lifecycle(
            store=store,
            states=self.states,
            residents=self.residents,
            supervisor=self.supervisor,
            delivery=self.delivery,
            beginnings=beginnings,
            claims=claims,
            events=self.events,
            here=self.here,
            limits=limits,
        )
        asker = Asker(peers=self.peers, store=store, here=self.here, open_transfers=self.open_transfers)
        self.mover = Mover(
            store=store,
            states=self.states,
            residents=self.residents,
            supervisor=self.supervisor,
            delivery=self.delivery,
            lifecycle=self.lifecycle,
            peers=self.peers,
            events=self.events,
            key=credentials.key,
            asker=asker,
            open_transfers=self.open_transfers,
        )
        self.departures = Departures(
            residents=self.residents,
            states=self.states,
            claims=claims,
            lifecycle=self.lifecycle,
            mover=self.mover,
            peers=self.peers,
            waits=waits,
            here=self.here,
            limits=limits,
        )
        self.arrivals = Arrivals(
            store=store,
            residents=self.residents,
            supervisor=self.supervisor,
            beginnings=beginnings,
            delivery=self.delivery,
            events=self.events,
            here=self.here,
            key=credentials.key,
            limits=limits,
            is_revoked=revoked.is_revoked,
            came_home=self.open_transfers.settle,
        )
        self.operations = Operations(here=self.here, peers=self.peers)
        listing = self._fill_table()
        self.listener = Listener(
            trust,
            operations={**self.operations.control_table(), **listing.subscriptions()},
            reads=Reads(
                status=self.status,
                mesh=self.registry,
                views=self.views,
                residents=self.residents,
                lifecycle=self.lifecycle,
                events=self.events,
            ).table(),
            streams=self.arrivals,
            security=self._on_security,
            ready=lambda: self.status.ready,
        )
        self.delivery.activator = self.lifecycle
        self.greetings.mover = self.mover
        self.supervisor.switchboard = self.operations
        self.supervisor.on_crash = self._on_crash
        self._recovery: asyncio.Task[None] | None = None

    def _fill_table(self) -> HostOperations:
        paglets = PagletOperations(
            residents=self.residents,
            store=self.store,
            lifecycle=self.lifecycle,
            departures=self.departures,
            delivery=self.delivery,
            views=self.views,
            locator=Locator(store=self.store, mesh=self.mesh, peers=self.peers, here=self.here),
            peers=self.peers,
            here=self.here,
        )
        self.delivery.reserved = paglets.reserved()
        listing = HostOperations(
            status=self.status,
            mesh=self.registry,
            properties=self.properties,
            events=self.events,
            outputs=self.outputs,
            mover=self.mover,
            arrivals=self.arrivals,
        )
        between = MeshOperations(
            greetings=self.greetings, mesh=self.mesh, arrivals=self.arrivals, revocations=self.revocations
        )
        self.operations.add({**paglets.entries(), **listing.entries(), **between.entries()})
        return listing

    # --- start and stop ----------------------------------------------------------------------------------

    async def start(self) -> None:
        """Open the doors, take up what was interrupted, join the mesh.

        Ready when peers can call; the paglets of the last life are brought back beside that.
        ``HostError`` when an address cannot be bound.
        """
        settings = self.settings
        await asyncio.to_thread(self._clean_up)
        await self.greetings.recall()
        records = await self._interrupted()
        for target, transfer_id in open_transfers(records):
            self.open_transfers.reopen(transfer_id, target)
        await self._launcher.start()
        await self.listener.start(settings.bind, settings.port, socket_path=settings.socket_path)
        await self.refresh_addresses()
        self._recovery = asyncio.create_task(self._take_up(records), name="recovery")
        if settings.mesh:
            await self.mesh.start(self._advertisement(), peers=settings.peers)
        self.status.ready = True
        self.events.emit("context-start")

    def _clean_up(self) -> None:
        end_orphans(self._life_file)
        self.work_dirs.clear_all()

    async def refresh_addresses(self) -> None:
        """Look at the machine's addresses again; the mesh hears of a change."""
        machine = await asyncio.to_thread(machine_addresses)
        urls = reachable_urls(self.listener.urls, machine)
        if urls == self.status.addresses:
            return
        self.status.addresses = urls
        self.here.address = self.settings.public_url or (urls[0] if urls else "")
        for resident in self.residents:
            if resident.child is not None:
                resident.child.set_place(self.here.name, self.here.address)
        if self.status.ready and self.settings.mesh:
            self.mesh.refresh()
            await self.mesh.advertise(self._advertisement())

    def _advertisement(self) -> Advertisement:
        return Advertisement(
            host_id=self.here.host_id,
            mesh_id=self.here.mesh_id,
            name=self.here.name,
            port=self.listener.port,
            urls=self.status.addresses,
        )

    async def _interrupted(self) -> list[PagletRecord]:
        """The records that the last life of this host left unfinished."""
        found: list[PagletRecord] = []
        after = ""
        while True:
            batch = await self.store.read(lambda tx, start=after: tx.paglets(start, 1000))
            found.extend(record for record in batch if _unfinished(record))
            if len(batch) < 1000:
                return found
            after = batch[-1].agent_id

    async def _take_up(self, records: Iterable[PagletRecord]) -> None:
        """Ask about what was on its way, and bring back what was running."""
        running: list[Coroutine[Any, Any, Any]] = []
        for record in records:
            if record.phase is Phase.PREPARED:
                clone = record.outgoing is not None and record.outgoing.kind is MoveKind.CLONE
                self.mover.resume(record, None if clone else self.residents.add(record))
            elif record.phase is Phase.ACTIVE:
                running.append(self.lifecycle.recover(record.agent_id))
            else:
                running.append(self._wake(record.agent_id))
        for error in await asyncio.gather(*running, return_exceptions=True):
            if isinstance(error, Exception):
                logger.error("a paglet could not be brought back", exc_info=error)

    async def _wake(self, agent_id: str) -> None:
        with suppress(PagletError):  # shown by its record
            await self.lifecycle.activate(agent_id)

    async def stop(self, *, deactivate: bool = False) -> None:
        """Close the doors and end every process; with ``deactivate`` the paglets are parked first. Bounded."""
        if deactivate:
            await self._park_all()
        self.status.ready = False
        self.events.emit("context-stop")
        if self._recovery is not None:
            self._recovery.cancel()
            await asyncio.gather(self._recovery, return_exceptions=True)
        if self.settings.mesh:
            await self.mesh.stop()
        await self.listener.close()
        await self.mover.aclose()
        await self.arrivals.aclose()
        await self.lifecycle.aclose()
        await self.delivery.aclose()
        await self.supervisor.aclose()
        await self.pool.close()

    async def _park_all(self) -> None:
        """Park every paglet that can be, so that it comes back at the next start; the others recover then."""
        request = DeactivationRequest(reason="shutdown", source="host")

        async def park(agent_id: str) -> None:
            try:
                async with asyncio.timeout(_SHUTDOWN_PATIENCE):
                    await self.lifecycle.deactivate(
                        agent_id, request, resume=True, timeout=_SHUTDOWN_PATIENCE
                    )
            except (PagletError, TimeoutError) as error:
                logger.warning(
                    "a paglet could not be parked; it comes back from its last checkpoint",
                    extra={"agent_id": agent_id, "error": str(error)},
                )

        await asyncio.gather(*(park(each.agent_id) for each in self.residents if each.running))
        await self.supervisor.quiet(self.settings.limits.end_grace + 1.0)

    # --- what the parts tell -----------------------------------------------------------------------------

    async def _greet(self, link: Any) -> None:
        await self.greetings.greet(link)

    def _refused(self) -> dict[str, int]:
        return dict(self.listener.counts)

    def _on_struck(self, host_ids: set[str]) -> None:
        """Keys have died: their sessions end, and they leave the mesh."""
        for host_id in host_ids:
            self.listener.expel(host_id)
            self.pool.expel(host_id)
            self.mesh.evict(host_id)
            self.events.emit(
                "security", data={"what": "revoked", "peer": host_id}, error="its key was revoked"
            )

    def _on_security(self, report: SecurityReport) -> None:
        self.events.emit(
            "security",
            data={"what": report.reason.value, "address": report.address, "count": report.count},
            error=report.detail or report.reason.value,
        )

    def _on_mesh_event(self, event: MeshEvent) -> None:
        clash = event.kind in {MeshEventKind.NAME_CLASH, MeshEventKind.KEY_CLASH}
        level = logging.WARNING if clash else logging.INFO
        logger.log(
            level,
            "the mesh changed",
            extra={"change": event.kind.value, "host": event.host.name, "detail": event.detail},
        )
        self.events.emit(
            _MESH_EVENTS[event.kind],
            data={
                "host_id": event.host.host_id,
                "host_name": event.host.name,
                "host_url": event.host.url,
                "compatible": event.compatible,
            },
            error=event.detail or None,
        )
        if event.kind is MeshEventKind.JOINED:
            self.mover.peer_seen(event.host.host_id)

    def _on_crash(self, child: Child, outcome: ChildOutcome) -> None:
        if self.mover.is_moving(child.agent_id):
            return
        resident = self.residents.get(child.agent_id)
        if resident is not None:
            self.delivery.fail_waiting(
                resident, PagletCrashedError(f"the process of paglet {child.agent_id} ended: {outcome}")
            )


def _unfinished(record: PagletRecord) -> bool:
    if record.phase is Phase.INACTIVE:
        return record.resume or DeactivationPolicy.from_wire(record.policy).activate_on_startup
    return record.phase in {Phase.ACTIVE, Phase.PREPARED}


def require_name(name: str) -> str:
    """A host's name as it may be; ``HostError`` otherwise."""
    if not name or len(name) > 63 or not all(letter.isalnum() or letter in "-_." for letter in name):
        raise HostError(f"{name!r} is no host name: use up to 63 letters, digits and - _ .")
    return name
