"""Getting a paglet ready to leave its process, and letting it go on when it does not leave."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from paglets.core.errors import LifecycleError, PagletError, TransferError
from paglets.runtime.child_specs import DepartureKind
from paglets.runtime.patience import within

if TYPE_CHECKING:
    from collections.abc import Generator

    from paglets.runtime.checkpoints import Checkpoints
    from paglets.runtime.child_specs import Departure, Snapshot
    from paglets.runtime.children.child import Child
    from paglets.runtime.files.leaving import LeavingFiles
    from paglets.runtime.mailboxes import Mailboxes
    from paglets.runtime.residents import Resident
    from paglets.runtime.settings import Limits
    from paglets.runtime.work_places import WorkPlaces


class Packing:
    """Hooks, resources and state of those that leave, and copies of their files."""

    def __init__(
        self,
        *,
        files: LeavingFiles,
        work_places: WorkPlaces,
        mailboxes: Mailboxes,
        checkpoints: Checkpoints,
        limits: Limits,
    ) -> None:
        self._files = files
        self._work_places = work_places
        self._mailboxes = mailboxes
        self._checkpoints = checkpoints
        self._limits = limits

    async def pack(self, resident: Resident, departure: Departure) -> Snapshot:
        """Run the leaving hook and take the state; the paglet's context is closed then, and its queue up to date.

        ``TransferError`` when that cannot be, as the disk has no room.
        """
        child = resident.need_child()
        if departure.kind is not DepartureKind.CLONE:
            await self._mailboxes.settle(resident)
            try:
                await self._checkpoints.catch_up(resident, departure.call_id)
            except PagletError as error:
                raise TransferError(
                    f"paglet {child.agent_id} did not move, as what it has handled cannot be written: {error}"
                ) from error
        async with within(
            self._limits.hook_timeout,
            f"paglet {child.agent_id} was not ready to leave",
            so="it goes on here",
            error=LifecycleError,
        ):
            snapshot = await child.begin_departure(departure)
        await self._mailboxes.settle(resident)
        return snapshot

    async def stay(self, child: Child, event: dict[str, Any]) -> None:
        """Let a paglet that has packed go on where it is; it may have crashed, which is told by itself."""
        with suppress(PagletError, TimeoutError):
            async with asyncio.timeout(self._limits.hook_timeout):
                await child.resume(event)

    @contextmanager
    def place_for_copies(self) -> Generator[str]:
        """A directory for files that stay on this host; it goes again unless a record names it in the end."""
        place = self._files.new_place()
        places = self._work_places.files
        with places.holding(place):
            yield place
        places.tidy()
