"""What is left to do after an adoption: targets to be asked, and hosts to be told, until they have answered."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import msgspec

from paglets.core.errors import PagletError
from paglets.persistence.journal import meeting
from paglets.persistence.journal.conflict import JournalConflict
from paglets.persistence.journal.peers import note_peer_store
from paglets.remote import api
from paglets.runtime.transfers import events as on
from paglets.runtime.transfers.source import ask_delay

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from paglets.persistence.adoption_records import AbandonedTransfer, Notice
    from paglets.persistence.records import PeerRecord
    from paglets.persistence.store import Store
    from paglets.remote.mesh_service import MeshService
    from paglets.runtime.events import Events
    from paglets.runtime.here import Here
    from paglets.runtime.peers import Peers
    from paglets.runtime.transfers.asking import Asker, Heard
    from paglets.runtime.transfers.open_ids import OpenTransfers

logger = logging.getLogger(__name__)

NOTICE_TIMEOUT = 10.0


class Duties:
    """Abandoned transfers, each asked about, and notices, each delivered, by a task of its own; over restarts.

    After a failure a task waits 0.25 s to 30 s, doubling, or until a host is heard from.
    """

    def __init__(
        self,
        *,
        store: Store,
        mesh: MeshService,
        peers: Peers,
        is_revoked: Callable[[str], bool],
        asker: Asker,
        open_transfers: OpenTransfers,
        events: Events,
        here: Here,
    ) -> None:
        self._store = store
        self._mesh = mesh
        self._peers = peers
        self._is_revoked = is_revoked
        self._asker = asker
        self._open_transfers = open_transfers
        self._events = events
        self._here = here
        self._abandoned: dict[str, AbandonedTransfer] = {}
        self._notices: dict[tuple[str, str], Notice] = {}
        self._tasks: dict[object, asyncio.Task[None]] = {}
        self._news = asyncio.Event()
        self._closed = False

    def hold_open(self, abandoned: Sequence[AbandonedTransfer]) -> None:
        """What the journal holds open: before the host tells anybody a floor."""
        for each in abandoned:
            self._open_transfers.reopen(each.outgoing.transfer_id, each.outgoing.target_id)

    async def take_up(self) -> None:
        """Go on with what the host's earlier life has left to do."""
        abandoned, notices = await self._store.read(lambda tx: (tx.abandoned(), tx.notices()))
        self.hold_open(abandoned)
        for each in abandoned:
            self.ask(each)
        for each in notices:
            self.tell(each)

    def ask(self, abandoned: AbandonedTransfer) -> None:
        """A transfer was abandoned: its target has to say what became of it."""
        self.hold_open([abandoned])
        name = str(abandoned.outgoing.transfer_id)
        if name not in self._abandoned:
            self._abandoned[name] = abandoned
            self._begin(name, self._ask(name, abandoned))

    def tell(self, notice: Notice) -> None:
        """A host is owed news; in the place of what it was owed of that paglet before."""
        key = (notice.agent_id, notice.target_id)
        if self._notices.get(key) == notice:
            return
        earlier = self._tasks.pop(key, None)
        if earlier is not None:
            earlier.cancel()
        self._notices[key] = notice
        self._begin(key, self._tell(key, notice))

    def wake(self) -> None:
        """A host was heard from: whoever waits tries again at once."""
        self._news.set()
        self._news = asyncio.Event()

    def abandoned(self) -> list[dict[str, Any]]:
        """The abandoned transfers, as the list of transfers shows them."""
        return [
            {
                "transfer_id": name,
                "agent_id": each.agent_id,
                "peer": each.outgoing.target_name or each.outgoing.target_id,
                "direction": "out",
                "status": "abandoned",
                "reason": "the paglet was adopted; its target is asked until it says what became of it",
                "started_at": each.outgoing.started_at,
            }
            for name, each in self._abandoned.items()
        ]

    def notices(self) -> list[dict[str, Any]]:
        """Which hosts are still to be told of what."""
        return [
            {
                "agent_id": each.agent_id,
                "peer": each.target_name or each.target_id,
                "life": str(each.higher.incarnation),
            }
            for each in self._notices.values()
        ]

    # --- asking

    async def _ask(self, name: str, abandoned: AbandonedTransfer) -> None:
        failed = 0
        while True:
            news = self._news
            heard = await self._asker.ask(abandoned.outgoing, abandoned.agent_id)
            if isinstance(heard.event, on.VerdictReceived | on.ClosedReceived):
                try:
                    await self._settle(name, abandoned, heard, heard.event)
                except JournalConflict as conflict:  # it is not open any more
                    logger.warning("an abandoned transfer cannot be settled", extra={"error": str(conflict)})
                    self._over(name, abandoned)
                    return
                except PagletError as error:
                    logger.warning("a verdict could not be noted", extra={"error": str(error)})
                else:
                    return
            failed = await self._pause(failed, news)

    async def _settle(
        self,
        name: str,
        abandoned: AbandonedTransfer,
        heard: Heard,
        said: on.VerdictReceived | on.ClosedReceived,
    ) -> None:
        transfer_id, seen = abandoned.outgoing.transfer_id, heard.store

        def rule(tx: Any) -> Notice | None:
            if seen is not None:
                note_peer_store(tx, seen.host_id, seen.store_id, seen.commit)
            if isinstance(said, on.ClosedReceived):
                return meeting.close_abandoned(tx, abandoned.agent_id, transfer_id)
            return meeting.settle_abandoned(
                tx, abandoned.agent_id, transfer_id, said.outcome, said.incarnation
            )

        notice = await self._store.commit(rule)
        self._over(name, abandoned)
        self._events.emit(
            "transfer-settled",
            agent_id=abandoned.agent_id,
            data={
                "transfer_id": name,
                "outcome": said.outcome.value if isinstance(said, on.VerdictReceived) else "closed",
                "abandoned": True,
            },
        )
        if notice is not None:
            self.tell(notice)

    def _over(self, name: str, abandoned: AbandonedTransfer) -> None:
        self._open_transfers.settle(abandoned.outgoing.transfer_id)
        self._abandoned.pop(name, None)

    # --- telling

    async def _tell(self, key: tuple[str, str], notice: Notice) -> None:
        failed = 0
        while True:
            news = self._news
            try:
                await self._say(key, notice)
            except (PagletError, ValueError, msgspec.MsgspecError) as error:
                logger.info(
                    "a notice could not be delivered yet",
                    extra={"agent_id": notice.agent_id, "peer": notice.target_id, "error": str(error)},
                )
                failed = await self._pause(failed, news)
            else:
                return

    async def _say(self, key: tuple[str, str], notice: Notice) -> None:
        """Tell the host, and note that it was told, with what is owed to others because it has lost track."""
        if notice.everywhere and self._is_revoked(notice.target_id):  # nobody takes anything from it any more
            await self._acknowledged(key, notice)
            return
        where, params = (notice.target_id, notice.target_url), self._params(notice)
        raw = await self._peers.call(*where, api.ADOPTION_NOTICE, params, timeout=NOTICE_TIMEOUT)
        if not msgspec.json.decode(raw, type=api.NoticeTaken).lost_track:
            await self._acknowledged(key, notice)
            return
        everyone = await self._everyone()
        await self._store.commit(
            lambda tx: meeting.tell_everyone(tx, self._here.host_id, notice, everyone),
            then=lambda owed: self._is_told(key, notice, owed),
        )

    async def _acknowledged(self, key: tuple[str, str], notice: Notice) -> None:
        await self._store.commit(
            lambda tx: meeting.notice_acknowledged(tx, notice),
            then=lambda _: self._is_told(key, notice, []),
        )

    def _is_told(self, key: tuple[str, str], notice: Notice, owed: list[Notice]) -> None:
        """That is durable; a newer notice may have taken the place of this one since, and its task is cancelled."""
        if self._notices.get(key) == notice:
            del self._notices[key]
        if not self._closed:
            for each in owed:
                self.tell(each)

    async def _everyone(self) -> list[meeting.Addressee]:
        """All hosts ever heard of: the mesh forgets those that are away for long, the journal does not."""
        known = {record.host_id: meeting.Addressee(record.host_id) for record in await self._recalled()}
        for seen in self._mesh.view.others:
            if seen.facts.host_id:
                known[seen.facts.host_id] = meeting.Addressee(seen.facts.host_id, seen.url, seen.facts.name)
        return [each for each in known.values() if not self._is_revoked(each.host_id)]

    async def _recalled(self) -> list[PeerRecord]:
        return await self._store.read(lambda tx: tx.peers())

    def _params(self, notice: Notice) -> api.NoticeParams:
        higher, here = notice.higher, self._here
        is_here = higher.host_id == here.host_id
        return api.NoticeParams(
            agent_id=notice.agent_id,
            birth=notice.birth,
            incarnation=higher.incarnation,
            host_id=higher.host_id,
            url=here.address if is_here else higher.url,
            name=here.name if is_here else higher.name,
            everywhere=notice.everywhere,
        )

    # --- tasks

    async def _pause(self, failed: int, news: asyncio.Event) -> int:
        try:
            async with asyncio.timeout(ask_delay(failed)):
                await news.wait()
        except TimeoutError:
            return failed + 1
        return 0

    def _begin(self, key: object, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks[key] = task
        task.add_done_callback(lambda done: self._done(key, done))

    def _done(self, key: object, task: asyncio.Task[None]) -> None:
        if self._tasks.get(key) is task:
            del self._tasks[key]
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("what an adoption left to do failed; the next start tries again", exc_info=error)

    async def aclose(self) -> None:
        """Stop; what is left stays in the journal."""
        self._closed = True
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
