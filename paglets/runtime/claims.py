"""Exclusive hold on a paglet for one life-cycle operation, taken so that nothing waits for itself."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from paglets.core.errors import LifecycleError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from paglets.runtime.caller import Caller
    from paglets.runtime.mailboxes import Mailboxes
    from paglets.runtime.residents import Resident, Residents


class Claims:
    """Hands out paglets for life-cycle operations, one at a time.

    An operation from outside waits until the paglet's first hook and the handler in progress have ended, and
    only then takes the lock: so a handler that asks for a move of its own is never behind somebody who waits
    for that handler.
    """

    def __init__(self, residents: Residents, mailboxes: Mailboxes) -> None:
        self._residents = residents
        self._mailboxes = mailboxes

    @contextlib.asynccontextmanager
    async def take(self, agent_id: str, caller: Caller, timeout: float) -> AsyncGenerator[Resident | None]:
        """The paglet's resident, its mailbox held, for this operation alone; None when it has no process here.

        ``LifecycleError`` when it is not to be had within ``timeout`` seconds.
        """
        resident = self._residents.get(agent_id)
        if resident is not None and caller.own_call(resident) is not None:
            async with self._held(resident), self._residents.claim(agent_id, timeout):
                if self._residents.get(agent_id) is not resident:
                    raise LifecycleError(
                        f"paglet {agent_id} has left this process; nothing more can be done with it here"
                    )
                yield resident
            return
        deadline = asyncio.get_running_loop().time() + timeout
        async with contextlib.AsyncExitStack() as stack:
            while True:
                attempt = contextlib.AsyncExitStack()
                resident = self._residents.get(agent_id)
                if resident is not None:
                    await attempt.enter_async_context(self._held(resident))
                try:
                    if resident is not None:
                        await self._at_rest(resident, deadline, timeout)
                    left = max(0.001, deadline - asyncio.get_running_loop().time())
                    await attempt.enter_async_context(self._residents.claim(agent_id, left))
                except BaseException:
                    await attempt.aclose()
                    raise
                if self._residents.get(agent_id) is resident and (resident is None or resident.idle.is_set()):
                    stack.push_async_exit(attempt)
                    break
                await attempt.aclose()
            yield resident

    @contextlib.asynccontextmanager
    async def _held(self, resident: Resident) -> AsyncGenerator[None]:
        resident.mailbox.hold()
        self._mailboxes.recall(resident)
        try:
            yield
        finally:
            resident.mailbox.let_go()
            if self._residents.get(resident.agent_id) is resident:
                self._mailboxes.pump(resident)

    async def _at_rest(self, resident: Resident, deadline: float, timeout: float) -> None:
        try:
            async with asyncio.timeout_at(deadline):
                await asyncio.wait([resident.settled])
                await resident.idle.wait()
        except TimeoutError:
            doing = "in its first hook" if not resident.settled.done() else "handling a message"
            raise LifecycleError(
                f"paglet {resident.agent_id} is still {doing} after {timeout:g} s; nothing was done, try again later"
            ) from None
