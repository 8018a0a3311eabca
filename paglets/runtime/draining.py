"""Moves every ordinary paglet away from a host, for maintenance, whoever asked for it being gone or not."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from paglets.core.errors import HostError, PagletError, TransferError, TransferInDoubtError
from paglets.persistence.errors import StoreError
from paglets.persistence.records import MoveKind, PagletRecord, Phase
from paglets.remote.transfer import TransferTicket
from paglets.runtime.caller import PROGRAM
from paglets.runtime.gate import DRAINING, RESTORED, DrainOrder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from paglets.persistence.store import Store
    from paglets.remote.mesh_service import MeshService
    from paglets.remote.mesh_view import SeenHost
    from paglets.runtime.gate import Gate
    from paglets.runtime.here import Here
    from paglets.runtime.peers import Peers
    from paglets.runtime.transfers.departures import Departures

logger = logging.getLogger(__name__)

_AT_ONCE = 8
_MOVE_SECONDS = 30.0
_HOSTS_TRIED = 3
"""Hosts that are tried for one paglet: what a third one refuses, too, is no host's fault."""
_LOOK_AGAIN = 0.25
_PAGE = 1000
_MOVES_KEPT = 1000
_FAILURES_SHOWN = 100


class Moved(NamedTuple):
    """One paglet that has left, counted from 1."""

    number: int
    agent_id: str
    host_name: str
    note: str = ""
    """What went wrong after it had left."""


class Loads:
    """How many paglets each host holds, as the mesh said at first, plus what was sent there since."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def lightest(self, hosts: Iterable[SeenHost]) -> SeenHost | None:
        """The host with the fewest, by name where several have as few; None of none."""

        def rank(seen: SeenHost) -> tuple[int, str, str]:
            facts = seen.facts
            count = self._counts.setdefault(facts.host_id, facts.active_count + facts.inactive_count)
            return (count, facts.name, facts.host_id)

        return min(hosts, key=rank, default=None)

    def add(self, host_id: str, change: int) -> None:
        """One more is on its way there, or, -1, did not get there."""
        self._counts[host_id] = self._counts.get(host_id, 0) + change


class Draining:
    """Drains one host. Runs in the host, so that a command line that is interrupted interrupts nothing.

    Paglets go to the online hosts of the same code version that are not drained themselves, those with the fewest
    paglets first; active ones go on there, parked ones stay parked. Each is tried once in a round; ``begin`` starts
    another round, and so does a restart of the host.
    """

    def __init__(
        self,
        *,
        gate: Gate,
        store: Store,
        departures: Departures,
        mesh: MeshService,
        peers: Peers,
        here: Here,
    ) -> None:
        self._gate = gate
        self._found = gate.order
        """The order of the host's earlier life."""
        self._store = store
        self._departures = departures
        self._mesh = mesh
        self._peers = peers
        self._here = here
        self._task: asyncio.Task[None] | None = None
        self._moved: deque[Moved] = deque(maxlen=_MOVES_KEPT)
        self._count = 0
        self._failed: dict[str, str] = {}
        self._loads = Loads()

    async def begin(self, names: Sequence[str]) -> None:
        """Let nothing in any more, and move everything away: to the hosts of these names or URLs, or to any.

        ``TransferError`` when there is no such host; ``HostError`` when it is this one, or nothing may leave here
        because the store is a restored copy. Nothing has changed then.
        A round that runs already goes on, to the hosts that are named now.
        """
        self._gate.check_held()
        targets = [await self._peers.find(name) for name in names]
        if any(target.host_id == self._here.host_id for target in targets):
            raise HostError(f"host {self._here.name} is the one to be drained; name other hosts to move to")
        ids = tuple(dict.fromkeys(target.host_id for target in targets))
        await self._gate.shut(DrainOrder(ids, time.time()))
        self._mesh.refresh()
        self.resume()

    def resume(self, *, patience: float = 0.0) -> None:
        """Start a round, unless one runs or the host is not to be drained.

        ``patience``: seconds to wait for another host, where none is known yet; not for an order of this life.
        """
        if self._gate.order is None or self._gate.held or self._running:
            return
        self._failed = {}
        self._loads = Loads()
        if self._gate.order is not self._found:
            patience = 0.0  # it came while the host was still taking up what it had left
        self._task = asyncio.create_task(self._drain(patience), name="draining")

    async def undo(self) -> None:
        """Let paglets in again. What is on its way still leaves; nothing comes back by itself."""
        await self._gate.open()
        self._mesh.refresh()
        await self.aclose()

    async def aclose(self) -> None:
        """End the round; moves that have begun are the host's to finish."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    @property
    def _running(self) -> bool:
        return self._task is not None and not self._task.done()

    def report(self, since: int = 0) -> dict[str, Any]:
        """How it goes: ``draining running moved moves failed failed_count``; moves with a number above ``since``."""
        failed = list(self._failed.items())
        return {
            "host": self._here.name,
            "draining": self._gate.order is not None,
            "running": self._running,
            "moved": self._count,
            "moves": [move._asdict() for move in self._moved if move.number > since],
            "failed_count": len(failed),
            "failed": [
                {"agent_id": agent_id, "reason": reason} for agent_id, reason in failed[:_FAILURES_SHOWN]
            ],
        }

    # --- one round ---------------------------------------------------------------------------------------

    async def _drain(self, patience: float) -> None:
        try:
            for _ in range(round(patience / _LOOK_AGAIN)):
                if self._targets(set()):
                    break
                await asyncio.sleep(_LOOK_AGAIN)
            tried: set[str] = set()
            while await self._pass(tried):
                pass  # a creation that had begun before may have ended meanwhile
        except (PagletError, StoreError, OSError) as error:
            logger.exception("draining has stopped")
            self._failed[""] = f"draining has stopped: {error}"
        logger.info("drained", extra={"moved": self._count, "left": len(self._failed)})

    async def _pass(self, tried: set[str]) -> bool:
        """Try each paglet that was not tried yet, page by page; whether there were any."""
        found, after = False, ""
        while True:
            batch = await self._store.read(lambda tx, start=after: tx.paglets(start, _PAGE))
            fresh = [each.agent_id for each in batch if _is_here(each) and each.agent_id not in tried]
            tried.update(fresh)
            found = found or bool(fresh)
            waiting = iter(fresh)
            async with asyncio.TaskGroup() as workers:
                for _ in range(min(_AT_ONCE, len(fresh))):
                    workers.create_task(self._work(waiting))
            if len(batch) < _PAGE:
                return found
            after = batch[-1].agent_id

    async def _work(self, agent_ids: Iterator[str]) -> None:
        for agent_id in agent_ids:
            problem = await self._move(agent_id)
            if problem:
                self._failed[agent_id] = problem

    async def _move(self, agent_id: str) -> str:
        """Move one paglet; why it is still here, or empty."""
        tried: set[str] = set()
        problem = ""
        while len(tried) < _HOSTS_TRIED:
            target = self._loads.lightest(self._targets(tried))
            if target is None:
                break
            host_id = target.facts.host_id
            tried.add(host_id)
            self._loads.add(host_id, 1)
            try:
                await self._departures.dispatch(
                    agent_id, TransferTicket(target.url, timeout=_MOVE_SECONDS), PROGRAM
                )
            except PagletError as error:
                problem = str(error)
                if await self._has_left(agent_id):
                    self._note(agent_id, target, problem)
                    return ""
                self._loads.add(host_id, -1)
                if isinstance(error, TransferInDoubtError) or not isinstance(error, TransferError):
                    return problem
            else:
                self._note(agent_id, target)
                return ""
        return problem or self._nowhere()

    def _targets(self, tried: set[str]) -> list[SeenHost]:
        view, order = self._mesh.view, self._gate.order
        return [
            seen
            for seen in view.others
            if seen.online
            and seen.facts.host_id
            and seen.facts.code_version == view.own.code_version
            and seen.facts.host_id not in tried
            and (_takes_paglets(seen) if order is None or not order.to else seen.facts.host_id in order.to)
        ]

    def _nowhere(self) -> str:
        which = "of those named with --to" if self._gate.order and self._gate.order.to else "of this mesh"
        version = self._here.code_version
        return (
            f"no other host {which} is online, of code version {version!r} and not drained itself; "
            "`paglets hosts` shows them"
        )

    async def _has_left(self, agent_id: str) -> bool:
        """Whether it went, or was disposed of, and only what came afterwards went wrong."""
        record = await self._store.read(lambda tx: tx.paglet(agent_id))
        return record is None or record.phase in {Phase.DEPARTED, Phase.TOMBSTONE}

    def _note(self, agent_id: str, target: SeenHost, note: str = "") -> None:
        self._count += 1
        self._moved.append(Moved(self._count, agent_id, target.facts.name, note))


def _takes_paglets(seen: SeenHost) -> bool:
    """What was heard of a host last; one that is named is asked itself, since that may have changed just now."""
    return not any(seen.facts.properties.get(shut) is True for shut in (DRAINING, RESTORED))


def _is_here(record: PagletRecord) -> bool:
    """Whether an ordinary paglet lives or is parked here; a clone on its way does not live anywhere yet."""
    if record.host_scoped or record.phase in {Phase.DEPARTED, Phase.TOMBSTONE}:
        return False
    return record.outgoing is None or record.outgoing.kind is not MoveKind.CLONE
