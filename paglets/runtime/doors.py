"""Where others reach a host: the table of its operations, and the listener that offers it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paglets.remote.wire.listener import Listener
from paglets.remote.wire.settings import WireSettings
from paglets.runtime.artifacts.operations import ArtifactOperations
from paglets.runtime.artifacts.receiving import BulkStreams
from paglets.runtime.files.operations import FileOperations
from paglets.runtime.host_operations import HostOperations
from paglets.runtime.locating import Locator
from paglets.runtime.mesh_operations import MeshOperations
from paglets.runtime.operations import Operations
from paglets.runtime.paglet_operations import PagletOperations
from paglets.runtime.passport_operations import PassportOperations
from paglets.runtime.reads import Reads
from paglets.runtime.retracting import Retracting
from paglets.runtime.store_operations import StoreOperations
from paglets.runtime.transfers.still_open import StillOpen

if TYPE_CHECKING:
    from paglets.runtime.adoption.room import AdoptionRoom
    from paglets.runtime.ground import Ground
    from paglets.runtime.neighbours import Neighbours
    from paglets.runtime.outbox.room import OutboxRoom
    from paglets.runtime.population import Population
    from paglets.runtime.services.room import ServiceRoom


class Doors:
    """The TLS port, the local socket, and the children's links: three doors to one table."""

    def __init__(
        self,
        ground: Ground,
        neighbours: Neighbours,
        population: Population,
        services: ServiceRoom,
        outbox: OutboxRoom,
        adoptions: AdoptionRoom,
    ) -> None:
        self.operations = Operations(here=ground.here, peers=neighbours.peers, circles=population.circles)
        self.operations.post = outbox.outbox.post
        locator = Locator(store=ground.store, mesh=neighbours.mesh, peers=neighbours.peers, here=ground.here)
        retracting = Retracting(
            residents=ground.residents,
            lifecycle=population.lifecycle,
            departures=population.departures,
            locator=locator,
            peers=neighbours.peers,
            here=ground.here,
        )
        paglets = PagletOperations(
            residents=ground.residents,
            store=ground.store,
            births=population.births,
            lifecycle=population.lifecycle,
            endings=population.endings,
            checkpoints=population.checkpoints,
            departures=population.departures,
            first_hooks=population.first_hooks,
            delivery=population.delivery,
            circles=population.circles,
            views=ground.views,
            offers=population.offers,
            locator=locator,
            peers=neighbours.peers,
            here=ground.here,
        )
        host = HostOperations(
            status=ground.status,
            mesh=neighbours.registry,
            properties=ground.properties,
            events=ground.events,
            outputs=ground.outputs,
            mover=population.mover,
            duties=population.duties,
            arrivals=population.arrivals,
            draining=population.draining,
            backups=ground.backups,
            restored=population.restored,
            leaving=population.leaving_files,
            dispatches=outbox.dispatches,
            health=ground.health,
        )
        between = MeshOperations(
            greetings=neighbours.greetings,
            mesh=neighbours.mesh,
            arrivals=population.arrivals,
            revocations=neighbours.revocations,
            events=ground.events,
            still_open=StillOpen(ground.store, ground.open_transfers),
        )
        artifacts = ArtifactOperations(
            artifacts=ground.artifacts,
            workers=ground.workers,
            pool=neighbours.pool,
            peers=neighbours.peers,
            events=ground.events,
            here=ground.here,
            key=ground.means.credentials.key,
        )
        files = FileOperations(
            store=ground.store,
            residents=ground.residents,
            leaving=population.leaving_files,
            places=ground.files,
            work_dirs=ground.work_dirs,
            here=ground.here,
        )
        passports = PassportOperations(store=ground.store, peers=neighbours.peers, here=ground.here)
        self.operations.add(
            {**artifacts.entries(), **files.entries(), **outbox.entries(), **passports.entries()}
        )
        self.operations.add(
            {**adoptions.entries(), **retracting.entries(), **StoreOperations(ground.store).entries()}
        )
        self.operations.add(
            {**paglets.entries(), **host.entries(), **between.entries(), **services.entries()}
        )
        reads = Reads(
            status=ground.status,
            mesh=neighbours.registry,
            views=ground.views,
            residents=ground.residents,
            lifecycle=population.lifecycle,
            events=ground.events,
        )
        streams = BulkStreams(
            artifacts=ground.artifacts,
            files=population.arriving_files,
            envelopes=population.arrivals,
            workers=ground.workers,
            events=ground.events,
            here=ground.here,
            key=ground.means.credentials.key,
        )
        self.listener = Listener(
            neighbours.trust,
            operations={**self.operations.control_table(), **host.subscriptions()},
            reads={**reads.table(), **artifacts.reads(), "/services": services.read},
            streams=streams,
            security=neighbours.report,
            opened=lambda: ground.status.open,
            ready=lambda: ground.status.ready,
            settings=WireSettings(max_call_bytes=ground.limits.waiting_bytes),
        )
        population.delivery.reserved = paglets.reserved()
        population.supervisor.switchboard = self.operations
        supervisor, own = (
            population.supervisor,
            (ground.residents.mail_room, population.supervisor.calls_room),
        )
        ground.pressure.shares = lambda: (*own, self.operations.outward.share, *self.listener.shares)
        ground.pressure.memory = supervisor.memory
        ground.pressure.starting = lambda: supervisor.starting
        ground.status.refused = lambda: dict(self.listener.counts)
