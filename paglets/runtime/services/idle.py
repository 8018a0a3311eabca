"""Parks lazy resident services that nobody has asked anything for a while."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from paglets.core.errors import PagletError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from paglets.runtime.children.child import Child
    from paglets.runtime.residents import Resident, Residents

logger = logging.getLogger(__name__)


class IdleParking:
    """One clock for each lazy service at work; none for those that are parked.

    A service is idle while it has no lease, handles no message, and has none waiting.
    """

    def __init__(
        self,
        *,
        residents: Residents,
        leased: Callable[[str], bool],
        park: Callable[[str], Awaitable[None]],
    ) -> None:
        self._residents = residents
        self._leased = leased
        self._park = park
        self._clocks: dict[Child, asyncio.TimerHandle] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        residents.on_ended.append(self._ended)

    def watch(self, resident: Resident, timeout: float) -> None:
        """Park it when it has been idle for ``timeout`` seconds, in this life."""
        if resident.child is not None:
            self._set(resident, resident.child, timeout, timeout)

    def _set(self, resident: Resident, child: Child, timeout: float, delay: float) -> None:
        self._ended(child)
        loop = asyncio.get_running_loop()
        self._clocks[child] = loop.call_later(delay, self._look, resident, child, timeout)

    def _look(self, resident: Resident, child: Child, timeout: float) -> None:
        del self._clocks[child]
        if self._residents.get(resident.agent_id) is not resident or resident.child is not child:
            return
        left = timeout
        if not (
            self._leased(resident.agent_id)
            or resident.moving
            or resident.mailbox.held
            or len(resident.mailbox)
            or not resident.idle.is_set()
        ):
            left = timeout - (asyncio.get_running_loop().time() - resident.idle.since)
        if left > 0:
            self._set(resident, child, timeout, left)
            return
        task = asyncio.create_task(self._put_away(resident, child, timeout))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _put_away(self, resident: Resident, child: Child, timeout: float) -> None:
        try:
            await self._park(resident.agent_id)
        except (PagletError, TimeoutError) as error:
            logger.warning(
                "an idle service could not be parked; it goes on",
                extra={"agent_id": resident.agent_id, "error": str(error)},
            )
            if self._residents.get(resident.agent_id) is resident and resident.running:
                self._set(resident, child, timeout, timeout)

    def touch(self, agent_id: str) -> None:
        """A lease on it has ended: it is idle from now on."""
        resident = self._residents.get(agent_id)
        if resident is not None:
            resident.idle.since = max(resident.idle.since, asyncio.get_running_loop().time())

    def _ended(self, child: Child) -> None:
        clock = self._clocks.pop(child, None)
        if clock is not None:
            clock.cancel()

    async def aclose(self) -> None:
        """Park no more."""
        for child in list(self._clocks):
            self._ended(child)
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
