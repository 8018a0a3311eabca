"""The table of paglets that have a process here or are on their way, and the locks of their life cycles."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING

from paglets.core.errors import HostError, LifecycleError
from paglets.core.fair_share import FairShare
from paglets.runtime.mailbox import Mailbox
from paglets.runtime.notices import Notices
from paglets.runtime.turns import Turns

OPERATION_TIMEOUT = 30.0
"""Seconds that an operation waits for its turn on a paglet."""

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Sequence

    from paglets.core.errors import TransferInDoubtError
    from paglets.core.incarnation import Incarnation
    from paglets.persistence.records import PagletRecord, PendingHook
    from paglets.runtime.children.child import Child


class ClaimedError(LifecycleError):
    """Another operation has the paglet, and did not end in time."""


class Rest(asyncio.Event):
    """Set while nothing is going on; knows since when."""

    since = 0.0
    """By the loop's clock; means something while it is set."""

    def set(self) -> None:
        """Nothing goes on from now on."""
        if not self.is_set():
            self.since = asyncio.get_running_loop().time()
        super().set()


class Resident:
    """One paglet that is active here, starting, moving, in doubt or crashed.

    ``record`` is its record as last committed. ``child`` is its process, None while it has none.
    """

    def __init__(self, record: PagletRecord, mailbox: Mailbox, begins: PendingHook | None) -> None:
        self.agent_id = record.agent_id
        self.record = record
        self.mailbox = mailbox
        self.begins = begins
        """What this life begins with; it is still to be run while it is pending in the record, too."""
        self.child: Child | None = None
        self.crashed = ""
        """What ended its process against its will; empty while it is well."""
        self.returning = False
        """It crashed and is being started again: what comes for it waits for its next life."""
        self.exit_code: int | None = None
        self.moving = False
        """On its way: what the end of its process means is for its move to say."""
        self.doubt: TransferInDoubtError | None = None
        """Set when the process was ended because the verdict on its move did not come in time."""
        self.settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Resolves when the hook that this life began with has returned, or with its error; with one, too, when it
        goes from the table without a process: there is no hook to return."""
        self.settled.add_done_callback(_retrieve)
        self.idle = Rest()
        """Set while no handler runs."""
        self.idle.set()
        self.notices = Notices()
        """For those outside its process who wait for ``notify_message``."""
        self.waiting: Sequence[str] = ()
        """Paglets whose handlers wait for the first hook of this life."""

    @property
    def incarnation(self) -> Incarnation:
        """Which life of the paglet this is."""
        return self.record.incarnation

    @property
    def has_begun(self) -> bool:
        """Whether the hook that this life began with has returned well, or it has none."""
        settled = self.settled
        return settled.done() and not settled.cancelled() and settled.exception() is None

    @property
    def running(self) -> bool:
        """Whether a process can take messages."""
        return self.child is not None and not self.crashed

    def need_child(self) -> Child:
        """Its process; ``LifecycleError`` when it has none."""
        if self.child is None:
            why = self.crashed or self.record.failed or str(self.doubt or "")
            raise LifecycleError(f"paglet {self.agent_id} has no process here{': ' + why if why else ''}")
        return self.child


def _retrieve(future: asyncio.Future[None]) -> None:
    if not future.cancelled():
        future.exception()  # nobody has to wait for it; the error is shown by the record


class Residents:
    """All residents by id, and one life-cycle lock for every id that somebody works on."""

    def __init__(self, limit: int, mailbox_limit: int, waiting_bytes: int = 256 * 1024**2) -> None:
        self._residents: dict[str, Resident] = {}
        self._turns = Turns()
        self._landing: dict[str, tuple[int, asyncio.Event]] = {}
        self._limit = limit
        self._beginning = 0
        self.refused = 0
        """How often there was no place for one more, since the start."""
        self.refused_at: float | None = None
        """When there was none the last time, by the monotonic clock."""
        self._mailbox_limit = mailbox_limit
        self.mail_room = FairShare("bytes of messages that wait", waiting_bytes)
        """Bytes in all mailboxes, by paglet."""
        self.on_ended: list[Callable[[Child], None]] = []
        """Told of each life that is over: its paglet was parked, has left, crashed, or goes on in another process.

        Never late; more than once for some.
        """
        self.on_left: list[Callable[[str], None]] = []
        """Told of each paglet that has left this host or was disposed of, parked ones too."""
        self.on_life_over: list[Callable[[Resident], None]] = []
        """Told of each resident that is one no more: it has left the table, or its next life took its place."""

    def __len__(self) -> int:
        return len(self._residents)

    def __iter__(self) -> Iterator[Resident]:
        return iter(list(self._residents.values()))

    def get(self, agent_id: str) -> Resident | None:
        """The resident of that id, or None: then the store knows more."""
        return self._residents.get(agent_id)

    @property
    def limit(self) -> int:
        """How many there may be."""
        return self._limit

    def check_room(self, *, spare: bool = False) -> None:
        """``HostError`` when the host holds as many active paglets as it may.

        ``spare``: leave the last eighth free, for people and for paglets that wake.
        """
        limit = self._limit - self._limit // 8 if spare else self._limit
        if len(self._residents) + self._beginning >= limit:
            self.refused += 1
            self.refused_at = time.monotonic()
            raise HostError(
                f"this host already runs {len(self._residents)} paglets of {self._limit}"
                f"{', and keeps the rest of its places for people and parked paglets' if spare else ''}; "
                "deactivate or move some, or raise its limit"
            )

    @contextlib.contextmanager
    def place(self, agent_id: str) -> Generator[None]:
        """Keep a place for a paglet that is being given a process; ``HostError`` when there is none.

        Processes take a while to come, so many could be asked for before the first of them counts. One that is on
        the table has its place.
        """
        if agent_id in self._residents:
            yield
            return
        self.check_room()
        self._beginning += 1
        try:
            yield
        finally:
            self._beginning -= 1

    @contextlib.contextmanager
    def landing(self, agent_id: str) -> Generator[None]:
        """A paglet may be about to arrive: its record can be read before it is on the table.

        An arrival takes no claim: the paglet may come home while its departure still has that.
        """
        count, landed = self._landing.get(agent_id) or (0, asyncio.Event())
        self._landing[agent_id] = (count + 1, landed)
        try:
            yield
        finally:
            count, landed = self._landing.pop(agent_id)
            if count > 1:
                self._landing[agent_id] = (count - 1, landed)
            else:
                landed.set()

    async def landed(self, agent_id: str) -> None:
        """Until no arrival of that paglet is being decided; a moment."""
        while (landing := self._landing.get(agent_id)) is not None:
            await landing[1].wait()

    def is_still(self, agent_id: str, resident: Resident | None) -> bool:
        """Whether what was read of a paglet since ``resident`` was looked up is no newer than the table."""
        return agent_id not in self._landing and self._residents.get(agent_id) is resident

    def add(self, record: PagletRecord, *, begins: PendingHook | None = None) -> Resident:
        """A new resident for the record, its mailbox held until its first hook has returned.

        ``begins``: what its life begins with, when nothing is pending because its class has no such hook.
        """
        mailbox = Mailbox(self._mailbox_limit, owner=record.agent_id, room=self.mail_room)
        resident = Resident(record, mailbox, begins or record.pending)
        resident.mailbox.hold()
        earlier = self._residents.get(record.agent_id)
        if earlier is not None and earlier.incarnation.lineage > record.incarnation.lineage:
            return resident  # it gave way before it was put here; its process is being ended
        self._residents[record.agent_id] = resident
        if earlier is not None:
            self._end(earlier)
        return resident

    def remove(self, resident: Resident) -> None:
        """Take a resident off the table, unless a later life has taken its place."""
        if self._residents.get(resident.agent_id) is resident:
            del self._residents[resident.agent_id]
        self._end(resident)

    def _end(self, resident: Resident) -> None:
        gone = LifecycleError(f"paglet {resident.agent_id} is not at work here any more")
        resident.notices.end(gone)
        if resident.child is None and not resident.settled.done():
            resident.settled.set_exception(gone)
        for listener in self.on_life_over:
            listener(resident)
        if resident.child is not None:
            self.ended(resident.child)

    def ended(self, child: Child) -> None:
        """A life in that process is over; said here by itself when a resident leaves the table."""
        for listener in self.on_ended:
            listener(child)

    def left(self, agent_id: str) -> None:
        """The paglet is not on this host any more."""
        for listener in self.on_left:
            listener(agent_id)

    @contextlib.asynccontextmanager
    async def claim(self, agent_id: str, timeout: float) -> AsyncGenerator[None]:
        """Hold the life-cycle lock of an id: one operation at a time changes what a paglet is.

        ``ClaimedError`` when another operation on it does not end within ``timeout`` seconds.
        """
        try:
            async with asyncio.timeout(timeout):
                await self._turns.acquire(agent_id)
        except TimeoutError:
            raise ClaimedError(
                f"another operation on paglet {agent_id} did not end within {timeout:g} s; try again"
            ) from None
        try:
            yield
        finally:
            self._turns.release(agent_id)
