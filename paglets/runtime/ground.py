"""What every part of a host stands on: who it is, what it was told, what it holds, and whom it tells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from paglets.runtime.artifacts.workers import Workers
from paglets.runtime.backups import Backups
from paglets.runtime.events import Events
from paglets.runtime.files.places import FilePlaces
from paglets.runtime.gate import Gate
from paglets.runtime.here import Here
from paglets.runtime.outputs import Outputs
from paglets.runtime.pressure import Pressure
from paglets.runtime.residents import Residents
from paglets.runtime.states import States
from paglets.runtime.status import Status
from paglets.runtime.store_health import StoreHealth
from paglets.runtime.transfers.open_ids import OpenTransfers
from paglets.runtime.views import Views
from paglets.runtime.work_dirs import WorkDirs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from paglets.artifacts.store import ArtifactStore
    from paglets.core.context_events import ContextEventLog
    from paglets.persistence.store import Store
    from paglets.remote.discovery import Discovery
    from paglets.remote.mesh import LoopRunner
    from paglets.remote.trust.credentials import MeshCredentials
    from paglets.runtime.launchers.launcher import Launcher
    from paglets.runtime.settings import HostSettings


@dataclass(frozen=True, slots=True)
class Means:
    """What a host is given to live on: made by whoever embeds it, kept apart from how it is set up."""

    store: Store
    artifacts: ArtifactStore
    credentials: MeshCredentials
    launcher: Launcher
    runner: LoopRunner
    version: str
    discoveries: Sequence[Discovery] = ()


class Ground:
    """The parts that depend on no other part."""

    def __init__(
        self, settings: HostSettings, means: Means, *, log: ContextEventLog, properties: dict[str, Any]
    ) -> None:
        store, credentials = means.store, means.credentials
        self.settings = settings
        self.means = means
        self.limits = settings.limits
        self.store = store
        self.properties = properties
        self.life_file = settings.data_dir / "children.lock"
        self.here = Here(settings.name, credentials.host_id, credentials.mesh_id, settings.mesh_version)
        self.events = Events(log, self.here)
        self.outputs = Outputs()
        self.residents = Residents(
            settings.limits.active_paglets, settings.limits.mailbox_messages, settings.limits.waiting_bytes
        )
        self.health = StoreHealth(store, self.events)
        self.views = Views(residents=self.residents, store=store, here=self.here)
        self.states = States(store)
        self.work_dirs = WorkDirs(settings.data_dir / "work")
        self.workers = Workers(f"paglets-{settings.name}-content")
        self.files = FilePlaces(settings.data_dir / "files", store, self.workers)
        self.artifacts = means.artifacts
        self.backups = Backups(
            data_dir=settings.data_dir, store=store, files=self.files, here=self.here, version=means.version
        )
        self.open_transfers = OpenTransfers(self.here.host_id, store.read_sync(lambda tx: tx.counter()))
        self.gate = Gate(store, settings.name, credentials.host_id)
        self.pressure = Pressure(self.residents)
        self.status = Status(
            here=self.here,
            settings=settings,
            views=self.views,
            store=store,
            properties=properties,
            version=means.version,
            gate=self.gate,
            pressure=self.pressure,
            health=self.health,
        )
