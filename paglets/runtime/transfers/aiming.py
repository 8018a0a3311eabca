"""Where a move wants to go, and whether that host may and can take it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from paglets.core.errors import PagletError, TransferError
from paglets.remote import api

if TYPE_CHECKING:
    from paglets.remote.transfer import TransferTicket
    from paglets.runtime.here import Here
    from paglets.runtime.peers import Peers, Target


class Aim(NamedTuple):
    """Where a move wants to go: a host, or why there is none."""

    target: Target | None
    error: TransferError | None


class Aimer:
    """Finds the hosts that tickets name."""

    def __init__(self, *, peers: Peers, here: Here) -> None:
        self._peers = peers
        self._here = here

    async def aim(self, ticket: TransferTicket, host_id: str = "") -> Aim:
        """Find the host and see whether it may and can take the paglet, as often as the ticket says.

        ``host_id``: its key, where that is known already; then the ticket's destination is its URL.
        """
        error: TransferError | None = None
        for attempt in range(ticket.retries + 1):
            if attempt:
                await asyncio.sleep(ticket.retry_interval)
            try:
                if host_id:
                    target = await self._peers.find_key(host_id, ticket.destination)
                else:
                    target = await self._peers.find(ticket.destination)
                self._check_version(target, ticket)
                if target.host_id != self._here.host_id and (ticket.required_capabilities or ticket.retries):
                    await self._check_capabilities(target, ticket)
                return Aim(target, None)
            except TransferError as failure:
                error = failure
            except PagletError as failure:
                error = TransferError(str(failure))
        return Aim(None, error)

    async def here(self) -> Aim:
        """This host itself."""
        return Aim(await self._peers.find(self._here.host_id), None)

    def _check_version(self, target: Target, ticket: TransferTicket) -> None:
        wanted = (
            self._here.code_version if ticket.expected_code_version is None else ticket.expected_code_version
        )
        if target.code_version != wanted:
            raise TransferError(
                f"host {target} runs mesh code version {target.code_version!r}, not {wanted!r}; a ticket with "
                f"expected_code_version={target.code_version!r} says that it is meant"
            )

    async def _check_capabilities(self, target: Target, ticket: TransferTicket) -> None:
        raw = await self._peers.ask(
            target.host_id, target.url, api.HOST_HEALTH, api.NoParams(), timeout=ticket.timeout
        )
        has = set(msgspec.json.decode(raw).get("capabilities", ()))
        missing = sorted(set(ticket.required_capabilities) - has)
        if missing:
            raise TransferError(f"host {target} cannot {', '.join(missing)}, which the ticket requires")
