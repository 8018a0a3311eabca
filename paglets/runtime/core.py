"""A host put together: its parts, wired once, started and stopped in order, all on one loop."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, NamedTuple

from paglets.core.deactivation import DeactivationRequest
from paglets.core.errors import PagletError
from paglets.persistence.agenda import Matter
from paglets.persistence.errors import StoreError
from paglets.persistence.journal.counters import open_transfers
from paglets.remote.discovery import Advertisement
from paglets.runtime.adoption.room import AdoptionRoom
from paglets.runtime.artifacts.sweeping import ArtifactSweeper
from paglets.runtime.bind_addresses import network_state, reachable_addresses, reachable_urls
from paglets.runtime.closing import Part, close_in_order
from paglets.runtime.doors import Doors
from paglets.runtime.forgetting import Forgetter
from paglets.runtime.ground import Ground, Means
from paglets.runtime.launchers.orphans import end_orphans
from paglets.runtime.neighbours import Neighbours
from paglets.runtime.outbox.room import OutboxRoom
from paglets.runtime.population import Population
from paglets.runtime.services.room import ServiceRoom

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from paglets.core.context_events import ContextEventLog
    from paglets.persistence.read_transaction import ReadTransaction
    from paglets.persistence.records import PagletRecord
    from paglets.runtime.settings import HostSettings

logger = logging.getLogger(__name__)

_PARKED_AT_ONCE = 32
_PARKING_PATIENCE = 10.0
"""Seconds that a paglet has to get ready at a clean shutdown, from when it is its turn."""
_CLOSING_PATIENCE = 15.0
"""Seconds that each of its parts has to close."""
_SHUTDOWN_PATIENCE = 40.0
"""Seconds that all of them have, however slow the disk is: less than half of what the service manager waits."""
_PAGE = 1000
_RECOVERY_PATIENCE = 10.0
"""Seconds that paglets have to come back before their host counts as ready without them."""
_DRAIN_PATIENCE = 30.0
"""Seconds that a host which was drained when it stopped waits for another one to go on with."""


class HostCore:
    """The parts of one host. Made and used on its loop; ``Host`` is the door for other threads."""

    def __init__(
        self, settings: HostSettings, means: Means, *, log: ContextEventLog, properties: dict[str, Any]
    ) -> None:
        self.ground = Ground(settings, means, log=log, properties=properties)
        self.neighbours = Neighbours(self.ground, on_struck=self._on_struck, on_met=self._on_met)
        self.population = Population(self.ground, self.neighbours)
        self.services = ServiceRoom(self.ground, self.neighbours, self.population)
        self.outbox_room = OutboxRoom(self.ground, self.neighbours, self.population)
        self.adoption_room = AdoptionRoom(self.ground, self.population)
        self.population.delivery.follow_on = self.population.mover.follow_on
        self.doors = Doors(
            self.ground, self.neighbours, self.population, self.services, self.outbox_room, self.adoption_room
        )
        self._forgetter = Forgetter(self.ground.store)
        self._artifact_sweeper = ArtifactSweeper(
            self.ground.artifacts, self.population.arriving_files, self.ground.files, self.ground.workers
        )
        self.neighbours.greetings.on_floor = self.population.arriving_files.settled_below
        self._recovery: asyncio.Task[None] | None = None
        self._missed: set[str] = set()
        """Paglets that could not be brought back, as the store took no writes."""
        self.ground.health.on_sound = self._store_is_sound
        self.population.restored.on_accepted = self._accepted
        self.ground.gate.on_held = self.population.restored.hold

    # --- start and stop ----------------------------------------------------------------------------------

    async def start(self) -> None:
        """Open the doors, take up what was interrupted, join the mesh.

        Returns when peers can call; the paglets of the last life are brought back beside that, and then
        it is ready.
        ``HostError`` when an address cannot be bound.
        """
        settings = self.ground.settings
        await asyncio.to_thread(self._clean_up)
        await self.neighbours.greetings.recall()
        interrupted = await self._interrupted()
        for target, transfer_id in open_transfers(interrupted.moving):
            self.ground.open_transfers.reopen(transfer_id, target)
        if (
            not self.ground.gate.held
        ):  # of a restored store all is closed, or what its lost life sent might still come
            self.population.duties.hold_open(await self.ground.store.read(lambda tx: tx.abandoned()))
        await self.ground.means.launcher.start()
        if not self.ground.gate.held and not self.ground.gate.read_only:
            await self.outbox_room.take_up()
        await self.doors.listener.start(settings.bind, settings.port, socket_path=settings.socket_path)
        await self.refresh_addresses()
        if self.ground.gate.read_only:
            self._opened_to_be_looked_at()
            return
        self._recovery = asyncio.create_task(self._take_up(interrupted), name="recovery")
        if settings.mesh:
            await self.neighbours.mesh.start(self._advertisement(), peers=settings.peers)
        self._forgetter.start()
        self._artifact_sweeper.start()
        self.ground.status.open = True
        self.ground.events.emit("context-start")
        self.ground.health.start()
        self.services.start()
        if not interrupted.running and not interrupted.sleeping:
            self.ground.status.recovered = True  # there is no process to wait for

    def _opened_to_be_looked_at(self) -> None:
        """The disk cannot be written: nothing is begun, and no other host is told that this one is there."""
        self.ground.status.open = self.ground.status.recovered = True
        self.ground.events.emit("context-start", error=self.ground.health.problem)
        self.ground.health.start()

    async def _interrupted(self) -> _Interrupted:
        """What the last life left unfinished; of a restored one only its services, the rest is parked."""
        if self.ground.gate.read_only:
            return _Interrupted([], [], [], [])
        if not self.ground.gate.held:
            return await self.ground.store.read(_interrupted)
        await self.population.restored.park_records()
        found = await self.ground.store.read(_interrupted)
        return _Interrupted([], found.running, [], [])

    async def _accepted(self) -> None:
        """Take up what a restored store has left lying, now that it counts."""
        interrupted = await self.ground.store.read(_interrupted)
        running = {each.agent_id for each in self.ground.residents}
        interrupted = interrupted._replace(
            running=[each for each in interrupted.running if each not in running]
        )
        self.neighbours.greetings.hear_anew()
        await self.outbox_room.take_up()
        if self._recovery is not None:
            await asyncio.wait([self._recovery])
        self._recovery = asyncio.create_task(self._take_up(interrupted), name="recovery")

    def _clean_up(self) -> None:
        end_orphans(self.ground.life_file)
        if self.ground.gate.read_only:
            return
        self.ground.work_dirs.clear_all()
        self.ground.backups.clear()

    async def refresh_addresses(self) -> None:
        """Look at the machine's addresses again; the mesh hears of a change."""
        network = await asyncio.to_thread(network_state)
        self.neighbours.pool.rebind({address for _, _, address in network})
        urls = reachable_urls(self.doors.listener.urls, reachable_addresses(network))
        if urls == self.ground.status.addresses:
            return
        self.ground.status.addresses = urls
        self.ground.here.address = self.ground.settings.public_url or (urls[0] if urls else "")
        for resident in self.ground.residents:
            if resident.child is not None:
                resident.child.set_place(self.ground.here.name, self.ground.here.address)
        if self.ground.status.open and self.ground.settings.mesh:
            self.neighbours.mesh.refresh()
            await self.neighbours.mesh.advertise(self._advertisement())

    def _advertisement(self) -> Advertisement:
        return Advertisement(
            host_id=self.ground.here.host_id,
            mesh_id=self.ground.here.mesh_id,
            name=self.ground.here.name,
            port=self.doors.listener.port,
            urls=self.ground.status.addresses,
        )

    async def _take_up(self, interrupted: _Interrupted) -> None:
        """Ask about what was on its way, and bring back what was running."""
        mover, lifecycle = self.population.mover, self.population.lifecycle
        asking = asyncio.gather(
            *(() if self.ground.gate.held else (mover.take_up_messages(), self.population.duties.take_up())),
            *(mover.take_up(record) for record in interrupted.moving),
            self._set_alarms(interrupted.alarms),
            *(() if self.ground.gate.held else (self._see_to_mail(),)),
            return_exceptions=True,
        )
        coming = asyncio.gather(
            *(lifecycle.recover(agent_id) for agent_id in interrupted.running),
            *(self._wake(agent_id) for agent_id in interrupted.sleeping),
            return_exceptions=True,
        )
        patience = asyncio.get_running_loop().call_later(_RECOVERY_PATIENCE, self._recovered)
        coming.add_done_callback(lambda _: self._recovered())
        try:
            for errors in await asyncio.gather(asking, coming):
                for error in errors:
                    if isinstance(error, Exception):
                        logger.error("a paglet could not be brought back", exc_info=error)
            results = zip((*interrupted.running, *interrupted.sleeping), await coming, strict=True)
            self._missed |= {agent_id for agent_id, error in results if isinstance(error, StoreError)}
        finally:
            patience.cancel()
        await self.services.retire()
        self.population.draining.resume(patience=_DRAIN_PATIENCE)

    def _recovered(self) -> None:
        self.ground.status.recovered = True

    async def _set_alarms(self, agent_ids: Sequence[str]) -> None:
        for start in range(0, len(agent_ids), _PAGE):
            page = agent_ids[start : start + _PAGE]
            for record in await self.ground.store.read(lambda tx, ids=page: tx.some_paglets(ids)):
                self.population.wakeups.note(record)

    async def _see_to_mail(self) -> None:
        """The last life may have ended between taking a message in and waking its paglet."""
        for agent_id in await self.ground.store.read(lambda tx: tx.with_messages()):
            self.population.wakeups.look(agent_id)

    async def _wake(self, agent_id: str) -> None:
        try:
            await self.population.lifecycle.activate(agent_id)
        except StoreError:
            raise
        except PagletError:
            record = await self.ground.store.read(lambda tx: tx.paglet(agent_id))
            if record is not None:
                self.population.wakeups.start_failed(record)

    def _store_is_sound(self) -> None:
        """What could not be brought back while the store took no writes is brought back now."""
        if self._missed and self._recovery is not None and self._recovery.done():
            self._recovery = asyncio.create_task(self._bring_back_missed(), name="recovery")

    async def _bring_back_missed(self) -> None:
        missed, self._missed = self._missed, set()
        found = await self.ground.store.read(_interrupted)
        running = [each for each in found.running if each in missed]
        sleeping = [each for each in found.sleeping if each in missed]
        await self._take_up(_Interrupted([], running, sleeping, []))

    async def stop(self, *, deactivate: bool = False) -> None:
        """Close the doors and end every process; with ``deactivate`` the paglets are parked first. Bounded."""
        if deactivate:
            await self._park_all()
        self.ground.status.open = False
        self.ground.events.emit("context-stop")
        await close_in_order(self._parts(), patience=_CLOSING_PATIENCE)

    def _parts(self) -> Iterator[Part]:
        """What is to be closed, in this order: first what begins work, then the doors, then what is being worked at."""
        ground, neighbours = self.ground, self.neighbours
        yield Part("the watch over the store", ground.health.aclose)
        yield Part("forgetting", self._forgetter.aclose)
        yield Part("the sweeping of artifacts", self._artifact_sweeper.aclose)
        yield Part("backups", ground.backups.aclose)
        yield Part("files", ground.files.aclose)
        yield Part("recovery", self._end_recovery)
        if ground.settings.mesh:
            yield Part("the mesh", neighbours.mesh.stop)
        yield Part("revocations", neighbours.revocations.aclose)
        yield Part("news of the floor", neighbours.floor_news.aclose)
        yield Part("the listener", self.doors.listener.close)
        yield Part("services", self.services.aclose)
        yield Part("the outbox", self.outbox_room.aclose)
        yield from self.population.parts()
        yield Part("connections to other hosts", neighbours.pool.close)
        yield Part("the workers", ground.workers.aclose)

    async def _end_recovery(self) -> None:
        if self._recovery is not None:
            self._recovery.cancel()
            await asyncio.gather(self._recovery, return_exceptions=True)

    async def _park_all(self) -> None:
        """Park every paglet that can be, so that it comes back at the next start; the others recover then."""
        request = DeactivationRequest(reason="shutdown", source="host")
        turns = asyncio.Semaphore(_PARKED_AT_ONCE)
        unparked = {each.agent_id for each in self.ground.residents if each.running}

        async def park(agent_id: str) -> None:
            async with turns:
                try:
                    await self.population.endings.deactivate(
                        agent_id, request, resume=True, timeout=_PARKING_PATIENCE
                    )
                    unparked.discard(agent_id)
                except (PagletError, TimeoutError) as error:
                    logger.warning(
                        "a paglet could not be parked; it comes back from its last checkpoint: %s",
                        error,
                        extra={"agent_id": agent_id},
                    )

        try:
            async with asyncio.timeout(_SHUTDOWN_PATIENCE):
                await asyncio.gather(*map(park, sorted(unparked)))
        except TimeoutError:
            logger.warning(
                "the host stops after %g s of parking: %d paglets come back from their last checkpoints",
                _SHUTDOWN_PATIENCE,
                len(unparked),
            )
        await self.population.supervisor.quiet(self.ground.settings.limits.end_grace + 1.0)

    # --- what the parts tell -----------------------------------------------------------------------------

    def _on_met(self, host_id: str) -> None:
        """Another host was heard from: what is in doubt with it can be asked about."""
        self.population.mover.peer_seen(host_id)
        self.population.duties.wake()
        self.outbox_room.peer_seen()

    def _on_struck(self, host_ids: set[str]) -> None:
        """Keys have died: their sessions end, and they leave the mesh."""
        for host_id in host_ids:
            self.doors.listener.expel(host_id)
            self.neighbours.pool.expel(host_id)
            self.neighbours.mesh.evict(host_id)
            self.ground.events.emit(
                "security", data={"what": "revoked", "peer": host_id}, error="its key was revoked"
            )


class _Interrupted(NamedTuple):
    """What the last life of this host left unfinished."""

    moving: list[PagletRecord]
    running: list[str]
    sleeping: list[str]
    """Parked, and woken because the host starts."""
    alarms: list[str]
    """Parked until a time."""


def _interrupted(tx: ReadTransaction) -> _Interrupted:
    return _Interrupted(
        tx.some_paglets(tx.agenda(Matter.MOVING)),
        tx.agenda(Matter.RUNNING),
        tx.agenda(Matter.STARTUP),
        tx.agenda(Matter.ALARM),
    )
