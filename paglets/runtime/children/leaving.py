"""Departures of one child, and those that nobody wants any more, which are undone before anything else is asked."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from paglets.runtime.child_specs import DepartureKind, Snapshot
from paglets.runtime.frames import Depart, Resume

if TYPE_CHECKING:
    from paglets.runtime.child_specs import Departure
    from paglets.runtime.children.link import HostLink
    from paglets.runtime.children.requests import Requests

logger = logging.getLogger(__name__)


class Leaving:
    """Asks a child to pack; and has it go on when whoever wanted that was cancelled meanwhile."""

    def __init__(self, agent_id: str, link: HostLink, requests: Requests) -> None:
        self._agent_id = agent_id
        self._link = link
        self._requests = requests
        self._given_up: dict[int, Departure] = {}
        self._undone = asyncio.Event()
        self._undone.set()
        self._ended = False

    @property
    def is_undone(self) -> bool:
        """Whether nothing that was given up is still to be undone."""
        return self._undone.is_set()

    async def undone(self) -> None:
        """Until what was given up is undone."""
        await self._undone.wait()

    async def begin(self, departure: Departure) -> Snapshot:
        """Have it pack. Cancelled, it is undone as soon as the paglet has packed."""
        await self._link.drain()
        seq, answer = self._requests.open(Snapshot)
        try:
            self._link.send(Depart(seq, departure))
            return await answer
        except asyncio.CancelledError:
            if answer.done() and not answer.cancelled() and answer.exception() is None:
                self._undo(departure, answer.result())
            else:
                self._undone.clear()
                self._given_up[seq] = departure
            raise
        finally:
            self._requests.forget(seq)

    def taken(self, seq: int, snapshot: Snapshot) -> None:
        """The child has packed."""
        if (departure := self._given_up.pop(seq, None)) is not None:
            self._undo(departure, snapshot)
        else:
            self._requests.answer(seq, snapshot)

    def failed(self, seq: int) -> None:
        """The child answers that request with an error: if it was to pack, it goes on by itself."""
        if self._given_up.pop(seq, None) is not None:
            self._undone.set()

    def end(self) -> None:
        """The child has ended: nothing is left to be undone."""
        self._ended = True
        self._undone.set()

    def _undo(self, departure: Departure, snapshot: Snapshot) -> None:
        """Nobody wants that snapshot any more: the paglet goes on, and is told as if a move had failed."""
        if snapshot.state is not None:
            snapshot.state.close()
        if departure.kind in {DepartureKind.CLONE, DepartureKind.CHECKPOINT} or self._ended:
            self._undone.set()
            return
        moved = departure.kind in {DepartureKind.DISPATCH, DepartureKind.RETRACT}
        self._undone.clear()
        seq, answer = self._requests.open(bytes)
        answer.add_done_callback(lambda done: self._is_undone(seq, done))
        self._link.send(Resume(seq, departure.event if moved else None))

    def _is_undone(self, seq: int, answer: asyncio.Future[Any]) -> None:
        self._requests.forget(seq)
        self._undone.set()
        if (error := answer.exception()) is not None:
            logger.warning(
                "a departure that was given up could not be undone cleanly",
                extra={"agent_id": self._agent_id, "error": str(error)},
            )
