"""What a program reads of its host's paglets: from the store, so also before the host has started."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from paglets.core.agent import ACTIVE, INACTIVE
from paglets.core.agent_ids import is_agent_id
from paglets.core.errors import InvalidAgentError
from paglets.persistence.records import PagletRecord, Phase
from paglets.persistence.storage import ManagedStorage
from paglets.runtime.work_dirs import WorkDirs, safe_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from paglets.runtime.host_life import HostLife

_BATCH = 1000
_GONE = frozenset({Phase.TOMBSTONE, Phase.DEPARTED})
_PHASES = {
    ACTIVE: frozenset({Phase.ACTIVE}),
    INACTIVE: frozenset({Phase.INACTIVE}),
    ACTIVE | INACTIVE: frozenset({Phase.ACTIVE, Phase.INACTIVE}),
}


class HostRecords:
    """The paglets of one embedded host and their directories; ``HostError`` on the host's own loop."""

    def __init__(self, life: HostLife) -> None:
        self._life = life

    def is_here(self, agent_id: str, *, include_inactive: bool) -> bool:
        """Whether a paglet is here; a parked one only when that is asked for."""
        record = self._record(agent_id)
        return record is not None and (include_inactive or record.phase is not Phase.INACTIVE)

    def require(self, agent_id: str) -> None:
        """``InvalidAgentError`` when no such paglet is here, active or parked."""
        if self._record(agent_id) is None:
            raise self._missing("paglet", agent_id)

    def entries(self, *, active: bool, inactive: bool) -> list[dict[str, Any]]:
        """The paglets in one of the states, by id, as ``GET /agents`` shows them."""
        self._life.thread.refuse_own_thread()
        wanted = (ACTIVE if active else 0) | (INACTIVE if inactive else 0)
        phases = _PHASES.get(wanted, frozenset[Phase]())
        return [self._describe(record) for record in self._all() if record.phase in phases]

    def work_dir(self, agent_id: str) -> Path:
        """The working directory of an active paglet, made if need be."""
        record = self._record(agent_id)
        if record is None or record.phase is not Phase.ACTIVE:
            raise self._missing("active paglet", agent_id)
        path = WorkDirs(self._life.settings.data_dir / "work").path(agent_id, record.incarnation)
        path.mkdir(parents=True, exist_ok=True)
        return path

    def storage(self, agent_id: str, quota_bytes: int | None) -> ManagedStorage:
        """The storage of a paglet's class."""
        record = self._record(agent_id)
        if record is None:
            raise self._missing("paglet", agent_id)
        root = self._life.settings.data_dir / "storage" / safe_name(record.class_name)
        quota = self._life.settings.storage_quota_bytes if quota_bytes is None else quota_bytes
        return ManagedStorage(root, quota_bytes=quota)

    def mailbox(self, agent_id: str) -> dict[str, Any]:
        """``waiting`` messages, whether one is ``in_progress``, and whether the mailbox is ``held``."""
        self._life.thread.refuse_own_thread()
        resident = self._life.core.ground.residents.get(agent_id)
        if resident is None:
            raise self._missing("active paglet", agent_id)
        mailbox = resident.mailbox
        return {
            "agent_id": agent_id,
            "waiting": len(mailbox),
            "in_progress": mailbox.in_progress is not None,
            "held": mailbox.held,
        }

    async def wait_message(self, agent_id: str, timeout: float | None) -> bool:
        """Wait, on the host's loop, for a notice to a paglet; False when ``timeout`` seconds pass first."""
        resident = self._life.core.ground.residents.get(agent_id)
        if resident is None:
            raise self._missing("active paglet", agent_id)
        return await resident.notices.wait(timeout)

    def _record(self, agent_id: str) -> PagletRecord | None:
        self._life.thread.refuse_own_thread()
        if not is_agent_id(agent_id):
            return None  # nor a key that the store could have
        record = self._life.store.read_sync(lambda tx: tx.paglet(agent_id))
        return None if record is None or record.phase in _GONE else record

    def _all(self) -> Iterator[PagletRecord]:
        after = ""
        while True:
            batch = self._life.store.read_sync(lambda tx, start=after: tx.paglets(start, _BATCH))
            yield from batch
            if len(batch) < _BATCH:
                return
            after = batch[-1].agent_id

    def _describe(self, record: PagletRecord) -> dict[str, Any]:
        if self._life.running is not None:
            return self._life.running.ground.views.describe(record)
        return {
            "agent_id": record.agent_id,
            "class_name": record.class_name,
            "state_class_name": record.state_class_name,
            "active": record.phase is Phase.ACTIVE,
        }

    def _missing(self, what: str, agent_id: str) -> InvalidAgentError:
        return InvalidAgentError(f"there is no {what} {agent_id} on host {self._life.settings.name}")
