"""What is the matter with a host's store: told by events, shown in its status, and tried again until it is over."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from paglets.persistence.damage import BLOB_CONTENT
from paglets.persistence.errors import StoreError, StoreFailedError, StoreFullError, StoreReadOnlyError

if TYPE_CHECKING:
    from collections.abc import Callable

    from paglets.persistence.damage import Damage
    from paglets.persistence.store import Store
    from paglets.runtime.events import Events

logger = logging.getLogger(__name__)

FAULT = "store-fault"
RECOVERED = "store-recovered"
DEGRADED = "degraded"
"""The property by which the mesh sees that something is wrong with a host's store."""
_TRY_AGAIN = 5.0
_PROBE = "probe"
_ROOM_SECONDS = 1.0
_MOST_TOLD = 20
"""Damage of earlier lives that a start tells of one by one."""


class StoreHealth:
    """Watches one store for its host, on the host's loop.

    ``on_sound``: called when writes succeed again, to take up what failed meanwhile.
    """

    def __init__(self, store: Store, events: Events, *, try_again: float = _TRY_AGAIN) -> None:
        self._store = store
        self._events = events
        self._try_again = try_again
        self._loop = asyncio.get_running_loop()
        self._probing: asyncio.Task[None] | None = None
        self._stopped = False
        self._has_room = True
        self._looked_at = -1
        self.on_sound: Callable[[], None] = _nothing
        store.listen(self._on_damage, self._on_trouble)

    # --- what is shown -----------------------------------------------------------------------------------

    @property
    def read_only(self) -> str:
        """Why the host can only be looked at, having been started so; empty when it is not."""
        failed = self._store.failed
        return str(failed) if isinstance(failed, StoreReadOnlyError) else ""

    @property
    def writable(self) -> bool:
        """Whether the store takes writes, as far as is known; a full one does again when there is room."""
        return self._store.trouble is None or isinstance(self._store.trouble, StoreFullError)

    @property
    def word(self) -> str:
        """The state in one word: ``ok damaged nearly-full full failing failed read-only``."""
        if (trouble := self._store.trouble) is not None:
            return _word(trouble)
        if self._store.damaged:
            return "damaged"
        return "ok" if self._has_room else "nearly-full"

    @property
    def problem(self) -> str:
        """What is the matter, and what to do; empty when all is well."""
        said: list[str] = []
        if (trouble := self._store.trouble) is not None:
            said.append(str(trouble))
        elif not self._has_room:
            said.append("the store is nearly full, and takes no more paglets; make room on its disk")
        if damaged := len(self._store.damaged):
            things = "1 thing in the store is" if damaged == 1 else f"{damaged} things in the store are"
            said.append(
                f"{things} damaged, and nothing is done with what it is about; `paglets damaged` names it"
            )
        return "; ".join(said)

    def status(self) -> dict[str, Any]:
        """For ``paglets status --json``."""
        return {
            "state": self.word,
            "writable": self.writable,
            "damaged": len(self._store.damaged),
            "problem": self.problem,
        }

    async def look(self) -> None:
        """See whether there is room, off the loop; a disk that does not answer is not waited for.

        Only when something was written: a look marks a page of LMDB's lock file, which is then written to the disk.
        """
        if self._has_room and self._looked_at == self._store.commit_number:
            return
        self._looked_at = self._store.commit_number
        with suppress(TimeoutError, StoreError, OSError):
            async with asyncio.timeout(_ROOM_SECONDS):
                self._has_room = await asyncio.to_thread(self._store.accepts_arrivals)

    # --- start and stop ----------------------------------------------------------------------------------

    def start(self) -> None:
        """Tell of what was found when the store was opened, and of what is in quarantine since earlier lives."""
        damaged = self._store.damaged
        for damage in damaged[:_MOST_TOLD]:
            self._tell_damage(damage)
        if len(damaged) > _MOST_TOLD:
            self._events.emit(FAULT, data={"what": "damaged", "count": len(damaged)}, error=self.problem)
        if (trouble := self._store.trouble) is not None:
            self._changed(trouble)

    async def aclose(self) -> None:
        """Look no more."""
        self._stopped = True
        probing, self._probing = self._probing, None
        if probing is not None:
            probing.cancel()
            await asyncio.gather(probing, return_exceptions=True)

    # --- what the store tells, on its threads ------------------------------------------------------------

    def _on_damage(self, damage: Damage) -> None:
        self._on_loop(lambda: self._tell_damage(damage))

    def _on_trouble(self, error: StoreError | None) -> None:
        self._on_loop(lambda: self._changed(error))

    def _on_loop(self, work: Callable[[], None]) -> None:
        with suppress(RuntimeError):  # the loop has been closed: there is nobody to tell
            self._loop.call_soon_threadsafe(work)

    # --- on the loop -------------------------------------------------------------------------------------

    def _tell_damage(self, damage: Damage) -> None:
        agent_id = damage.shown_key if damage.table == "paglets" else None
        self._events.emit(
            FAULT,
            agent_id=agent_id,
            data={"what": "damaged", "table": damage.table, "key": damage.shown_key},
            error=f"{damage}; `paglets damaged` says what to do"
            if damage.table != BLOB_CONTENT
            else f"{damage}; restore a backup, and check the disk",
        )

    def _changed(self, error: StoreError | None) -> None:
        if self._stopped:
            return
        if error is None:
            logger.warning("the store can be written again")
            self._events.emit(RECOVERED)
            self.on_sound()
            return
        logger.error("the store is in trouble", extra={"what": _word(error), "error": str(error)})
        data = {"what": _word(error), "has_written": self._store.has_written}
        self._events.emit(FAULT, data=data, error=str(error))
        if self._store.failed is None and self._probing is None:
            self._probing = asyncio.create_task(self._probe(), name="trying whether the store can be written")

    async def _probe(self) -> None:
        """Write something small now and then until that works: an idle host would never know."""
        try:
            while self._store.trouble is not None and self._store.failed is None:
                await asyncio.sleep(self._try_again)
                with suppress(StoreError):
                    await self._store.commit(lambda tx: tx.meta_put(_PROBE, b""))
        finally:
            self._probing = None


def _word(error: StoreError) -> str:
    if isinstance(error, StoreFullError):
        return "full"
    if isinstance(error, StoreFailedError):
        return "failed"
    return "read-only" if isinstance(error, StoreReadOnlyError) else "failing"


def _nothing() -> None:
    """Nobody waits for it."""
