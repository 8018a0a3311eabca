"""Births: new paglets of one host, from a class and a first state."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, Any, NamedTuple

from paglets.core.agent_ids import is_agent_id
from paglets.core.deactivation import DeactivationPolicy
from paglets.core.errors import HostError, PagletError
from paglets.core.incarnation import Incarnation
from paglets.persistence.journal import lifecycle
from paglets.persistence.journal.conflict import JournalConflict
from paglets.persistence.journal.enlisting import enlist
from paglets.persistence.records import HookKind, PagletRecord, PendingHook, Phase
from paglets.remote.api import NULL
from paglets.runtime.lives import Life
from paglets.runtime.residents import OPERATION_TIMEOUT
from paglets.runtime.undivided import Undivided, undivided

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import msgspec

    from paglets.persistence.blobs import StagedBlob
    from paglets.persistence.store import Store
    from paglets.persistence.transaction import JournalTransaction
    from paglets.runtime.beginnings import Beginnings
    from paglets.runtime.children.child import Child
    from paglets.runtime.gate import Gate
    from paglets.runtime.here import Here
    from paglets.runtime.memory_files import Payload
    from paglets.runtime.residents import Resident, Residents
    from paglets.runtime.services.class_offers import ClassOffers
    from paglets.runtime.states import States
    from paglets.runtime.supervisor import Supervisor


class Births:
    """Makes the paglets that nobody had before."""

    def __init__(
        self,
        *,
        store: Store,
        states: States,
        residents: Residents,
        supervisor: Supervisor,
        beginnings: Beginnings,
        offers: ClassOffers,
        here: Here,
        gate: Gate,
    ) -> None:
        self._store = store
        self._states = states
        self._residents = residents
        self._supervisor = supervisor
        self._beginnings = beginnings
        self._offers = offers
        self._here = here
        self._gate = gate
        self.undivided = Undivided()

    @undivided
    async def create(
        self,
        *,
        class_name: str,
        state_class_name: str = "",
        state: Payload | None = None,
        state_json: msgspec.Raw = NULL,
        init: Any = None,
        agent_id: str = "",
        waiting: Sequence[str] = (),
        host_scoped: bool = False,
        on_behalf: str = "",
    ) -> Resident:
        """A new paglet, durable, its ``on_creation`` returned. ``HostError`` when the id is taken.

        When the hook raises, its error is raised here and no paglet is left. ``waiting``: paglets whose handlers
        wait for this. ``host_scoped``: a resident service of the host, which is never moved. ``on_behalf``: the paglet
        or peer that asks, which shares the starts of processes with others.
        """
        chosen = bool(agent_id)
        agent_id = agent_id or uuid.uuid4().hex
        if not is_agent_id(agent_id):
            raise HostError(f"{agent_id!r} is no paglet id: use up to 128 letters, digits and . _ : -")
        if not host_scoped:
            self._gate.check()
        new = _New(
            agent_id, class_name, state_class_name, state, state_json, init, host_scoped, on_behalf, chosen
        )
        async with self._residents.claim(agent_id, OPERATION_TIMEOUT):
            with self._residents.place(agent_id):
                resident = await self._enter(new)
        resident.waiting = waiting
        try:
            await self._beginnings.begin(resident, newborn=True)
        except PagletError:
            await self._discard(resident)
            raise
        return resident

    @undivided
    async def enlist(self, *, agent_id: str, class_name: str, state_json: msgspec.Raw, init: Any) -> None:
        """A resident service that starts when it is first asked: its record, durable, and no process.

        Its class is loaded and its first state made now, so that what cannot run fails now. ``HostError`` when the
        id is taken.
        """
        new = _New(agent_id, class_name, "", None, state_json, init, host_scoped=True)
        async with self._residents.claim(agent_id, OPERATION_TIMEOUT):
            child, record, staged = await self._prepare(new, Phase.INACTIVE)
            self._supervisor.end(child, grace=0)
            await self._write(_enlisting(record), record, staged)

    async def _enter(self, new: _New) -> Resident:
        """Process, record and place on the table."""
        child, record, staged = await self._prepare(new, Phase.ACTIVE)
        try:
            record = await self._write(_creating(record), record, staged)
        except BaseException:
            self._supervisor.end(child, grace=0)
            raise
        resident = self._residents.add(record, begins=new.hook)
        resident.child = child
        return resident

    async def _prepare(self, new: _New, phase: Phase) -> tuple[Child, PagletRecord, StagedBlob]:
        """A new paglet's process, its first record and its first state; nothing is written yet."""
        agent_id = new.agent_id
        # Whoever takes an id of its own making for one that is there is told so by the commit.
        standing = await self._store.read(lambda tx: tx.paglet(agent_id)) if new.chosen else None
        if standing is not None and standing.phase is not Phase.TOMBSTONE:
            raise _taken(agent_id)
        incarnation = standing.incarnation.next() if standing else Incarnation()
        child, admitted = await self._supervisor.start(
            Life(agent_id, incarnation, new.class_name, new.state_class_name),
            state=new.state,
            state_json=new.state_json,
            on_behalf=new.on_behalf,
            gives_state=True,
        )
        try:
            self._offers.check(agent_id, child)
            if child.first_state is None:
                raise HostError(f"paglet {agent_id} gave no state")
            with child.first_state as payload:
                staged = await self._states.stage(payload)
        except BaseException:
            self._supervisor.end(child, grace=0)
            raise
        now = time.time()
        record = PagletRecord(
            agent_id=agent_id,
            birth=self._here.host_id,
            phase=phase,
            incarnation=incarnation,
            class_name=admitted.class_name,
            state_class_name=admitted.state_class_name,
            code_version=self._here.code_version,
            state=staged.ref,
            pending=new.hook.among(admitted.hooks if phase is Phase.ACTIVE else None),
            policy={} if phase is Phase.ACTIVE else DeactivationPolicy().to_wire(),
            host_scoped=new.host_scoped,
            created_at=now,
            changed_at=now,
        )
        return child, record, staged

    async def _write(
        self, rule: Callable[[JournalTransaction], PagletRecord], record: PagletRecord, staged: StagedBlob
    ) -> PagletRecord:
        try:
            return await self._store.commit(rule, blobs=[staged])
        except JournalConflict:
            raise _taken(record.agent_id) from None

    async def _discard(self, resident: Resident) -> None:
        """Undo a creation whose hook raised: nobody was told of the paglet."""
        self._residents.remove(resident)
        await self._store.commit(
            lambda tx: lifecycle.dispose(tx, resident.agent_id, resident.incarnation, at=time.time())
        )


class _New(NamedTuple):
    """A paglet that is to be."""

    agent_id: str
    class_name: str
    state_class_name: str
    state: Payload | None
    state_json: msgspec.Raw
    init: Any
    host_scoped: bool
    on_behalf: str = ""
    chosen: bool = True
    """The id is somebody's choice, and not a random one that nobody had before."""

    @property
    def hook(self) -> PendingHook:
        """What its first life begins with."""
        return PendingHook(HookKind.CREATION, {"init": self.init})


def _creating(record: PagletRecord) -> Callable[[JournalTransaction], PagletRecord]:
    return lambda tx: lifecycle.create(tx, record)


def _enlisting(record: PagletRecord) -> Callable[[JournalTransaction], PagletRecord]:
    return lambda tx: enlist(tx, record)


def _taken(agent_id: str) -> HostError:
    return HostError(f"there is a paglet {agent_id} already; choose another id or leave it out")
