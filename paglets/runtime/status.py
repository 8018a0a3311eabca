"""How a host is: for people, for probes, and for the mesh."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from paglets.persistence.errors import StoreError
from paglets.remote.members import HostFacts
from paglets.runtime.gate import DRAINING, RESTORED
from paglets.runtime.store_health import DEGRADED

if TYPE_CHECKING:
    from collections.abc import Callable

    from paglets.persistence.store import Store
    from paglets.runtime.gate import Gate
    from paglets.runtime.here import Here
    from paglets.runtime.pressure import Pressure
    from paglets.runtime.settings import HostSettings
    from paglets.runtime.store_health import StoreHealth
    from paglets.runtime.views import Views

CAPABILITIES = (
    "agents:create",
    "agents:receive",
    "agents:clone",
    "agents:retract",
    "hosts:list",
    "events:list",
)
_SHUT = frozenset({"agents:create", "agents:receive", "agents:retract"})
"""What a host that is drained does not do."""


class Status:
    """Gathers what a host says of itself. ``version`` is the product's."""

    def __init__(
        self,
        *,
        here: Here,
        settings: HostSettings,
        views: Views,
        store: Store,
        properties: dict[str, Any],
        version: str,
        gate: Gate,
        pressure: Pressure,
        health: StoreHealth,
    ) -> None:
        self._here = here
        self._settings = settings
        self._views = views
        self._store = store
        self._properties = properties
        self._version = version
        self._gate = gate
        self._pressure = pressure
        self._health = health
        self._started = time.time()
        self.open = False
        """Whether others can call."""
        self.recovered = False
        """Whether the paglets of the host's last life run again, have failed, or took longer than is waited for."""
        self.refused: Callable[[], dict[str, int]] = dict
        """How many strangers were turned away, by reason; the doors say it once they are there."""
        self.addresses: tuple[str, ...] = ()
        """Every URL that may reach this host."""

    @property
    def ready(self) -> bool:
        """Whether the doors are open and what was interrupted has been taken up again.

        A move that is in doubt and a paglet whose first hook takes long do not keep a host from being ready; a
        store that cannot be written does.
        """
        return self.open and self.recovered and self._health.writable

    @property
    def restored(self) -> str:
        """Why this host's store counts as a restored copy, and what to do; empty when it does not."""
        return self._gate.held

    @restored.setter
    def restored(self, why: str) -> None:
        self._gate.hold(why)

    def status(self) -> dict[str, Any]:
        """What ``paglets status`` shows."""
        return {
            "name": self._here.name,
            "host_id": self._here.host_id,
            "mesh_id": self._here.mesh_id,
            "address": self._here.address,
            "addresses": list(self.addresses),
            "version": self._version,
            "code_version": self._here.code_version,
            "ready": self.ready,
            "open": self.open,
            "started_at": self._started,
            "data_dir": str(self._settings.data_dir),
            "store_id": self._store.store_id,
            "commit": self._store.commit_number,
            "active_count": self._views.active_count(),
            "inactive_count": self._inactive_count(),
            "failed_count": self._views.failed_count(),
            "damaged_records": len(self._store.damaged),
            "store": self._health.status(),
            "degraded": self._health.problem,
            "refused_strangers": self.refused(),
            "restored": self.restored,
            "draining": self._gate.order is not None,
            "pressure": self._pressure.shown(),
        }

    def health(self) -> dict[str, Any]:
        """``Host.health()`` and ``GET /health``."""
        return {
            "name": self._here.name,
            "address": self._here.address,
            "active_count": self._views.active_count(),
            "inactive_count": self._inactive_count(),
            "failed_count": self._views.failed_count(),
            "code_version": self._here.code_version,
            "store": self._health.word,
            "capabilities": [each for each in CAPABILITIES if not self._gate.refusal() or each not in _SHUT],
            "tags": list(self._settings.tags),
            "properties": dict(self._properties),
            "tight": self._pressure.tight(),
        }

    def facts(self) -> HostFacts:
        """What the mesh is told."""
        return HostFacts(
            host_id=self._here.host_id,
            name=self._here.name,
            url=self._here.address,
            addresses=tuple(url for url in self.addresses if url != self._here.address)[:16],
            code_version=self._here.code_version,
            active_count=self._views.active_count(),
            inactive_count=self._inactive_count(),
            tags=self._settings.tags,
            properties=self._told_properties(),
        )

    def _inactive_count(self) -> int:
        """0 when the store can no more be read: how it is with the store is told beside that."""
        try:
            return self._views.inactive_count()
        except StoreError:
            return 0

    def _told_properties(self) -> dict[str, Any]:
        told: dict[str, Any] = dict(self._settings.properties)
        if self._gate.order is not None:
            told[DRAINING] = True
        if self._gate.held:
            told[RESTORED] = True
        if self._health.word != "ok":
            told[DEGRADED] = self._health.word
        return told
