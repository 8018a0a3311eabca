"""The parts of a host that keep its paglets: processes, mailboxes, life cycles, moves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paglets.core.errors import HostError
from paglets.runtime.adoption.duties import Duties
from paglets.runtime.adoption.meetings import Meetings
from paglets.runtime.beginnings import Beginnings
from paglets.runtime.births import Births
from paglets.runtime.checkpoints import Checkpoints
from paglets.runtime.circles import Circles
from paglets.runtime.claims import Claims
from paglets.runtime.closing import Part
from paglets.runtime.delivery import Delivery
from paglets.runtime.draining import Draining
from paglets.runtime.endings import Endings
from paglets.runtime.files.arriving import ArrivingFiles
from paglets.runtime.files.leaving import LeavingFiles
from paglets.runtime.hook_waits import HookWaits
from paglets.runtime.lifecycle import Lifecycle
from paglets.runtime.mailboxes import Mailboxes
from paglets.runtime.outbox.presence import Presence
from paglets.runtime.restored import Restored
from paglets.runtime.services.class_offers import ClassOffers
from paglets.runtime.services.desk import ServiceDesk
from paglets.runtime.supervision.supervision import Supervision
from paglets.runtime.supervisor import Supervisor
from paglets.runtime.transfers.arrivals import Arrivals
from paglets.runtime.transfers.asking import Asker
from paglets.runtime.transfers.departures import Departures
from paglets.runtime.transfers.first_hooks import FirstHooks
from paglets.runtime.transfers.mover import Mover
from paglets.runtime.transfers.packing import Packing
from paglets.runtime.transfers.queueing import Queueing
from paglets.runtime.wakeups import Wakeups
from paglets.runtime.work_places import WorkPlaces

if TYPE_CHECKING:
    from collections.abc import Iterator

    from paglets.runtime.ground import Ground
    from paglets.runtime.neighbours import Neighbours


class Population:
    """The paglets of one host."""

    def __init__(self, ground: Ground, neighbours: Neighbours) -> None:
        self._residents = ground.residents
        self._name = ground.here.name
        self.desk = ServiceDesk(residents=ground.residents, here=ground.here, events=ground.events)
        self.offers = ClassOffers(desk=self.desk, events=ground.events)
        self.circles = Circles(ground.residents)
        self.waits = HookWaits(ground.residents)
        self.first_hooks = FirstHooks(
            residents=ground.residents, peers=neighbours.peers, waits=self.waits, here=ground.here
        )
        self.supervisor = _supervisor(ground)
        self.checkpoints = _checkpoints(ground)
        self.mailboxes = Mailboxes(
            residents=ground.residents,
            store=ground.store,
            events=ground.events,
            checkpoints=self.checkpoints,
        )
        self.supervision = Supervision(
            store=ground.store, residents=ground.residents, mailboxes=self.mailboxes, events=ground.events
        )
        self.delivery = _delivery(ground, neighbours, self)
        self.beginnings = _beginnings(ground, self)
        self.claims = Claims(ground.residents, self.mailboxes)
        self.work_places = WorkPlaces(ground.work_dirs, ground.files)
        self.leaving_files = _leaving_files(ground, neighbours)
        self.arriving_files = _arriving_files(ground)
        self.births = _births(ground, self)
        self.lifecycle = _lifecycle(ground, self)
        self.wakeups = Wakeups(ground.store, self.lifecycle.activate)
        self.endings = _endings(ground, self)
        self.asker = Asker(peers=neighbours.peers, here=ground.here, open_transfers=ground.open_transfers)
        self.mover = _mover(ground, neighbours, self)
        self.duties = Duties(
            store=ground.store,
            mesh=neighbours.mesh,
            peers=neighbours.peers,
            is_revoked=neighbours.revoked.is_revoked,
            asker=self.asker,
            open_transfers=ground.open_transfers,
            events=ground.events,
            here=ground.here,
        )
        self.meetings = _meetings(ground, self)
        self.presence = Presence(peers=neighbours.peers, mesh=neighbours.mesh, here=ground.here)
        self.packing = Packing(
            files=self.leaving_files,
            work_places=self.work_places,
            mailboxes=self.mailboxes,
            checkpoints=self.checkpoints,
            limits=ground.limits,
        )
        self.queueing = _queueing(ground, self)
        self.departures = _departures(ground, neighbours, self)
        self.arrivals = _arrivals(ground, neighbours, self)
        self.restored = Restored(
            store=ground.store,
            gate=ground.gate,
            residents=ground.residents,
            endings=self.endings,
            mesh=neighbours.mesh,
            peers=neighbours.peers,
            here=ground.here,
            is_revoked=neighbours.revoked.is_revoked,
            work_places=self.work_places,
            events=ground.events,
        )
        self.draining = Draining(
            gate=ground.gate,
            store=ground.store,
            departures=self.departures,
            mesh=neighbours.mesh,
            peers=neighbours.peers,
            here=ground.here,
        )
        self.delivery.activator = self.lifecycle
        self.delivery.rouse_later = self.wakeups.mail_waits
        self.supervisor.on_crash = self.supervision.exited
        self.supervision.restart = self.lifecycle.restart

    def parts(self) -> Iterator[Part]:
        """What is to be closed, in this order: every move and message is let go of, then every process ends."""
        yield Part("supervision", self.supervision.aclose)
        yield Part("draining", self.draining.aclose)
        yield Part("what was restored", self.restored.aclose)
        yield Part("wake-ups", self.wakeups.aclose)
        yield Part("mail that is not answered", self._abandon_mail)
        yield Part("duties after adoptions", self.duties.aclose)
        yield Part("meetings of copies", self.meetings.aclose)
        yield Part("the mover", self.mover.aclose)
        yield Part("departures", self.departures.undivided.aclose)
        yield Part("arrivals", self.arrivals.aclose)
        yield Part("endings", self.endings.aclose)
        yield Part("checkpoints", self.checkpoints.aclose)
        yield Part("births", self.births.undivided.aclose)
        yield Part("lives", self.lifecycle.aclose)
        yield Part("work places", self.work_places.aclose)
        yield Part("delivery", self.delivery.aclose)
        yield Part("mailboxes", self.mailboxes.aclose)
        yield Part("the supervisor", self.supervisor.aclose)

    async def _abandon_mail(self) -> None:
        for resident in self._residents:
            self.mailboxes.abandon(resident, HostError(f"host {self._name} stopped before it was answered"))


def _supervisor(ground: Ground) -> Supervisor:
    return Supervisor(
        launcher=ground.means.launcher,
        residents=ground.residents,
        events=ground.events,
        outputs=ground.outputs,
        here=ground.here,
        settings=ground.settings,
        work_dirs=ground.work_dirs,
        life_file=ground.life_file,
    )


def _delivery(ground: Ground, neighbours: Neighbours, population: Population) -> Delivery:
    return Delivery(
        residents=ground.residents,
        mailboxes=population.mailboxes,
        store=ground.store,
        peers=neighbours.peers,
        waits=population.waits,
        offers=population.offers,
        limits=ground.limits,
    )


def _beginnings(ground: Ground, population: Population) -> Beginnings:
    return Beginnings(
        store=ground.store,
        states=ground.states,
        residents=ground.residents,
        supervisor=population.supervisor,
        mailboxes=population.mailboxes,
        offers=population.offers,
        events=ground.events,
        limits=ground.limits,
        supervision=population.supervision,
    )


def _leaving_files(ground: Ground, neighbours: Neighbours) -> LeavingFiles:
    return LeavingFiles(
        places=ground.files,
        work_dirs=ground.work_dirs,
        workers=ground.workers,
        pool=neighbours.pool,
        peers=neighbours.peers,
        here=ground.here,
        key=ground.means.credentials.key,
        floor=ground.open_transfers.floor,
    )


def _arriving_files(ground: Ground) -> ArrivingFiles:
    return ArrivingFiles(
        ground.files,
        ground.store,
        ground.workers,
        max_file_bytes=ground.settings.artifact_max_bytes,
        max_transfer_bytes=ground.settings.artifact_quota_bytes,
    )


def _births(ground: Ground, population: Population) -> Births:
    return Births(
        store=ground.store,
        states=ground.states,
        residents=ground.residents,
        supervisor=population.supervisor,
        beginnings=population.beginnings,
        offers=population.offers,
        here=ground.here,
        gate=ground.gate,
    )


def _lifecycle(ground: Ground, population: Population) -> Lifecycle:
    return Lifecycle(
        store=ground.store,
        states=ground.states,
        residents=ground.residents,
        supervisor=population.supervisor,
        mailboxes=population.mailboxes,
        delivery=population.delivery,
        beginnings=population.beginnings,
        supervision=population.supervision,
        checkpoints=population.checkpoints,
        work_places=population.work_places,
        events=ground.events,
        here=ground.here,
        limits=ground.limits,
        gate=ground.gate,
    )


def _endings(ground: Ground, population: Population) -> Endings:
    return Endings(
        store=ground.store,
        states=ground.states,
        residents=ground.residents,
        supervisor=population.supervisor,
        mailboxes=population.mailboxes,
        checkpoints=population.checkpoints,
        delivery=population.delivery,
        lifecycle=population.lifecycle,
        claims=population.claims,
        wakeups=population.wakeups,
        work_places=population.work_places,
        offers=population.offers,
        events=ground.events,
        limits=ground.limits,
    )


def _checkpoints(ground: Ground) -> Checkpoints:
    return Checkpoints(
        store=ground.store,
        states=ground.states,
        residents=ground.residents,
        events=ground.events,
        here=ground.here,
        limits=ground.limits,
    )


def _departures(ground: Ground, neighbours: Neighbours, population: Population) -> Departures:
    return Departures(
        residents=ground.residents,
        states=ground.states,
        claims=population.claims,
        lifecycle=population.lifecycle,
        mover=population.mover,
        work_places=population.work_places,
        peers=neighbours.peers,
        first_hooks=population.first_hooks,
        files=population.leaving_files,
        here=ground.here,
        limits=ground.limits,
        gate=ground.gate,
        packing=population.packing,
        queueing=population.queueing,
    )


def _queueing(ground: Ground, population: Population) -> Queueing:
    return Queueing(
        store=ground.store,
        presence=population.presence,
        states=ground.states,
        residents=ground.residents,
        supervisor=population.supervisor,
        delivery=population.delivery,
        packing=population.packing,
        files=population.leaving_files,
        work_places=population.work_places,
        events=ground.events,
        here=ground.here,
        limits=ground.limits,
    )


def _arrivals(ground: Ground, neighbours: Neighbours, population: Population) -> Arrivals:
    return Arrivals(
        store=ground.store,
        residents=ground.residents,
        supervisor=population.supervisor,
        beginnings=population.beginnings,
        delivery=population.delivery,
        events=ground.events,
        here=ground.here,
        key=ground.means.credentials.key,
        limits=ground.limits,
        files=population.arriving_files,
        is_revoked=neighbours.revoked.is_revoked,
        came_home=population.mover.came_home,
        meetings=population.meetings,
        parked=population.wakeups.look,
        gate=ground.gate,
    )


def _meetings(ground: Ground, population: Population) -> Meetings:
    return Meetings(
        store=ground.store,
        residents=ground.residents,
        supervisor=population.supervisor,
        delivery=population.delivery,
        mover=population.mover,
        duties=population.duties,
        events=ground.events,
        here=ground.here,
        gate=ground.gate,
    )


def _mover(ground: Ground, neighbours: Neighbours, population: Population) -> Mover:
    return Mover(
        store=ground.store,
        states=ground.states,
        residents=ground.residents,
        supervisor=population.supervisor,
        mailboxes=population.mailboxes,
        work_places=population.work_places,
        delivery=population.delivery,
        lifecycle=population.lifecycle,
        supervision=population.supervision,
        peers=neighbours.peers,
        events=ground.events,
        key=ground.means.credentials.key,
        asker=population.asker,
        open_transfers=ground.open_transfers,
        limits=ground.limits,
    )
