"""What follows on a host when a copy of a lower lineage has given way in its journal, and notices that say so."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import TYPE_CHECKING, Any

from paglets.core.errors import ForbiddenError, LifecycleError
from paglets.persistence.adoption_records import Whereabouts
from paglets.persistence.journal import meeting
from paglets.remote.api import NoticeTaken
from paglets.remote.wire.peer import PeerKind
from paglets.runtime.residents import OPERATION_TIMEOUT

if TYPE_CHECKING:
    from paglets.core.incarnation import Incarnation
    from paglets.persistence.journal.arrivals import Decided
    from paglets.persistence.store import Store
    from paglets.remote.api import NoticeParams
    from paglets.runtime.adoption.duties import Duties
    from paglets.runtime.caller import Caller
    from paglets.runtime.delivery import Delivery
    from paglets.runtime.events import Events
    from paglets.runtime.gate import Gate
    from paglets.runtime.here import Here
    from paglets.runtime.residents import Residents
    from paglets.runtime.supervisor import Supervisor
    from paglets.runtime.transfers.mover import Mover

logger = logging.getLogger(__name__)


class Meetings:
    """Ends what still runs of a copy that gave way, and passes the news on."""

    def __init__(
        self,
        *,
        store: Store,
        residents: Residents,
        supervisor: Supervisor,
        delivery: Delivery,
        mover: Mover,
        duties: Duties,
        events: Events,
        here: Here,
        gate: Gate,
    ) -> None:
        self._store = store
        self._residents = residents
        self._supervisor = supervisor
        self._delivery = delivery
        self._mover = mover
        self._duties = duties
        self._events = events
        self._here = here
        self._gate = gate
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    async def notice(self, caller: Caller, params: NoticeParams) -> Any:
        """Another host tells of a higher lineage. Answered when what follows from it is durable.

        Any member may say so: who may send paglets could as well send one of a later life. Nothing is lost by
        it, as the copy here is kept; the event says who sent the notice.
        """
        peer = caller.peer
        if peer is None or peer.kind is not PeerKind.MEMBER:
            raise ForbiddenError("only hosts of the mesh tell each other of adoptions")
        self._gate.check_held()
        _check(params.incarnation)
        higher = Whereabouts(params.incarnation, params.host_id, params.url, params.name)
        agent_id, birth, everywhere = params.agent_id, params.birth, params.everywhere
        noticed = await self._store.commit(
            lambda tx: meeting.take_notice(
                tx, self._here.host_id, agent_id, birth, higher, at=time.time(), everywhere=everywhere
            ),
            # Also when who told it has hung up meanwhile: told again, it finds nothing more to be done.
            then=lambda noticed: self._noticed(agent_id, noticed, told_by=peer.name or peer.host_id),
        )
        return NoticeTaken(noticed.lost_track)

    def _noticed(self, agent_id: str, noticed: meeting.Noticed, *, told_by: str) -> None:
        """A notice is durable."""
        if self._closed:
            return  # the next start finds it in the journal
        if noticed.gave_way is not None:
            self.gave_way(noticed.gave_way, told_by=told_by)
            if noticed.gave_way.messages:
                self._mover.follow_on(agent_id)
        if noticed.counter is not None:
            self._duties.tell(noticed.counter)

    def decided(self, decided: Decided, source: str) -> None:
        """An envelope was decided on: a copy may have given way to it, or its source may have to be told."""
        if decided.gave_way is not None:
            self.gave_way(decided.gave_way, told_by=source)
        if decided.notice is not None:
            self._duties.tell(decided.notice)

    def gave_way(self, gave_way: meeting.GaveWay, *, told_by: str) -> None:
        """A record has given way to a higher lineage, durably: bring this host up to date.

        The loop is not given back before that is done, so whoever comes next finds it so.
        """
        record, higher = gave_way.record, gave_way.higher
        agent_id = record.agent_id
        self._mover.gave_way(agent_id, abandoned=gave_way.abandoned is not None)
        self._end(agent_id, higher.incarnation)
        if gave_way.abandoned is not None:
            self._duties.ask(gave_way.abandoned)
        if gave_way.notice is not None:
            self._duties.tell(gave_way.notice)
        if gave_way.copy is not None:
            self._events.emit(
                "quarantined",
                agent_id=agent_id,
                class_name=record.class_name,
                data={
                    "life": str(record.incarnation),
                    "higher": str(higher.incarnation),
                    "at": higher.name or higher.host_id,
                    "told_by": told_by,
                },
            )
        task: asyncio.Task[None] = asyncio.create_task(self._look_again(agent_id, higher.incarnation))
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _end(self, agent_id: str, higher: Incarnation) -> None:
        self._supervisor.end_lower(agent_id, higher.lineage)
        resident = self._residents.get(agent_id)
        if resident is not None and resident.incarnation.lineage < higher.lineage:
            self._residents.remove(resident)
            self._residents.left(agent_id)
            self._delivery.reroute(resident)

    async def _look_again(self, agent_id: str, higher: Incarnation) -> None:
        """An operation may have begun a life just before: it holds the paglet until it has put that on the table."""
        while True:
            with contextlib.suppress(LifecycleError):
                async with self._residents.claim(agent_id, OPERATION_TIMEOUT):
                    self._end(agent_id, higher)
                    return

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("ending a copy that gave way failed", exc_info=error)

    async def aclose(self) -> None:
        """Stop; the journal says who counts."""
        self._closed = True
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


_MOST = 2**53


def _check(incarnation: Incarnation) -> None:
    if not (0 < incarnation.lineage.number <= _MOST and 0 <= incarnation.epoch <= _MOST):
        raise ForbiddenError(f"no paglet can live in life {incarnation}")
